"""``metrics.jsonl``: one line a step, whatever else follows the run."""

from __future__ import annotations

import json
import math
import resource
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from mimovl.errors import CheckpointError
from mimovl.train.disk import free_bytes, what_to_do

__all__ = ["Follower", "MetricsLog", "peak_memory_mb"]


class Follower(Protocol):
    """Something that is told every line as well, such as a tracker."""

    def log(self, values: Mapping[str, Any]) -> None:
        """One step's figures, ``step`` among them."""
        ...


class MetricsLog:
    """A JSONL file that continues where a resumed step stands.

    Args:
        path: the file.
        step: lines of later steps are dropped (they will be made again).
        followers: are told what is written.

    Raises:
        CheckpointError: the disk is full or refuses; says how much room there is.
    """

    def __init__(self, path: Path, *, step: int, followers: Iterable[Follower] = ()) -> None:
        self.path = path
        kept = []
        # Bytes: only "\n" ends a line here, and a kill may have torn a character.
        for line in path.read_bytes().split(b"\n") if path.is_file() else ():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + b"\n")
            except (ValueError, KeyError, TypeError):
                break  # a line torn by a kill, and what follows it
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(b"".join(kept))
            partial.replace(path)
            # Unbuffered: what a full disk refused must not be tried again when the file is closed.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._refused(error) from None
        self._followers = tuple(followers)

    def write(self, **values: Any) -> None:
        """Append one line; what is not finite is written as null, which JSON has a word for.

        Raises:
            CheckpointError: the disk is full or refuses; says how much room there is.
        """
        line = json.dumps(_finite(values), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            while line:  # a part may be taken, and a full disk show only at the next
                line = line[self._file.write(line) :]
        except OSError as error:
            raise self._refused(error) from None
        for follower in self._followers:
            follower.log(values)

    def _refused(self, error: OSError) -> CheckpointError:
        reason = error.strerror or str(error)
        return CheckpointError(
            f"{self.path}: could not be written ({reason}), {free_bytes(self.path):,} bytes are free; what was saved "
            f"before is whole: {what_to_do(reason)}"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
