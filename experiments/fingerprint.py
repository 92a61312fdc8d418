"""What was made from which settings, written beside it: a result is never taken for that of other settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mimovl.errors import UsageError

__all__ = ["checkpoint_hash", "claim", "ids_hash"]


def checkpoint_hash(folder: Path) -> str:
    """Of a checkpoint's configuration and weights."""
    digest = hashlib.sha256()
    for path in (folder / "config.json", *sorted(folder.glob("*.safetensors"))):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def ids_hash(ids: Sequence[str]) -> str:
    """Of names in their order."""
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()[:16]


def claim(file: Path, made: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings into a file beside what is to be made of them, or find the same ones there.

    Args:
        file: of the settings.
        made: what is made of them.
        settings: names and values, as JSON.

    Raises:
        UsageError: ``made`` was made of others, or nobody knows of which; names the first that differs, both its
            values, and the cure.
    """
    wanted: dict[str, Any] = json.loads(json.dumps(settings))
    if not file.is_file():
        if made.exists():
            raise UsageError(f"{made} is there without {file.name}, which says what it was made of; give another --out")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
        return
    known, wanted = dict(_flat(json.loads(file.read_text(encoding="utf-8")))), dict(_flat(wanted))
    for name in {**known, **wanted}:
        if known.get(name) != wanted.get(name):
            raise UsageError(
                f"{made} was made with {name} {json.dumps(known.get(name))}, and {json.dumps(wanted.get(name))} is "
                "asked for; give another --out"
            )


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Each value under its whole name: monitors.heldout.questions."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value
