"""``metrics.jsonl``: one line a step, whatever else follows the run."""

from __future__ import annotations

import json
import math
import resource
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

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
    """

    def __init__(self, path: Path, *, step: int, followers: Iterable[Follower] = ()) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        # Bytes: only "\n" ends a line here, and a kill may have torn a character.
        for line in path.read_bytes().split(b"\n") if path.is_file() else ():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + b"\n")
            except (ValueError, KeyError, TypeError):
                break  # a line torn by a kill, and what follows it
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(b"".join(kept))
        partial.replace(path)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        self._followers = tuple(followers)

    def write(self, **values: Any) -> None:
        """Append one line; what is not finite is written as null, which JSON has a word for."""
        self._file.write(json.dumps(_finite(values), ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()
        for follower in self._followers:
            follower.log(values)

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
