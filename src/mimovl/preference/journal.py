"""A file of lines that are on the disk before anything is built on them: what a killed collection goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mimovl.errors import UsageError

__all__ = ["Journal"]


class Journal:
    """JSON lines by key, appended in groups; a last line torn by a kill is cut off.

    Args:
        path: the file; its first line says what the rest was made from.
        about: that; a file that was made from something else is refused.

    Raises:
        UsageError: the file is of another ``about``, or is no journal.
    """

    def __init__(self, path: Path, about: str) -> None:
        self.path = path
        self.entries: dict[str, Any] = {}
        whole = path.read_bytes() if path.is_file() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        lines = whole.splitlines()
        try:
            known = json.loads(lines[0])["about"] if lines else about
            self.entries = {entry["key"]: entry["value"] for entry in map(json.loads, lines[1:])}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is no journal of a collection ({error}); delete it to start again") from None
        if known != about:
            raise UsageError(
                f"{path} was begun with other prompts, generators, ranker or settings; put them back, choose another "
                "--out, or delete it to start again"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if not lines else "r+b") as file:
            file.truncate(len(whole))
        if not lines:
            self._write([json.dumps({"about": about})])

    def add(self, entries: Iterable[tuple[str, Any]]) -> None:
        """Append entries and put them on the disk before returning."""
        entries = list(entries)
        self._write([json.dumps({"key": key, "value": value}, ensure_ascii=False) for key, value in entries])
        self.entries.update(entries)

    def _write(self, lines: Iterable[str]) -> None:
        with self.path.open("ab") as file:
            # a lone surrogate, which a byte-level tokenizer may emit, becomes the JSON escape
            file.write("".join(line + "\n" for line in lines).encode("utf-8", errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
