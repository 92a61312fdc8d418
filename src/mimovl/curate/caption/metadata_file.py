"""The metadata file: entries to balance captions by, one a line, with where each came from.

    # mimovl metadata 1
    entry<TAB>language<TAB>origin<TAB>count<TAB>pmi
    polar bear	en	bigram	1289	11.482
    北极熊	zh	ngram	733	9.120

Origins are title, unigram, bigram (English) and ngram (Chinese). It is text, so that one can read it, search it and cut
it by hand. A plain list of words, one a line, is read too: the language is then told from the writing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mimovl.curate.caption.canonical import UNSPACED, character_kinds
from mimovl.curate.caption.matching import Matcher
from mimovl.errors import DataError, UsageError

__all__ = ["Entry", "load_matcher", "read_metadata", "writing_of", "write_metadata"]

_FIRST = "# mimovl metadata 1"
_COLUMNS = ("entry", "language", "origin", "count", "pmi")


@dataclass(frozen=True, slots=True)
class Entry:
    """One concept to balance by."""

    text: str
    language: str
    origin: str = "title"
    count: int = 0
    """How often it was met in the corpora; 0 where that was not counted."""
    pmi: float = 0.0
    """Pointwise mutual information of its parts in bits; 0 for single words and titles."""


def writing_of(text: str) -> str:
    """``zh`` if a text has a Chinese character (or kana), else ``en``."""
    return "zh" if (character_kinds(text) == UNSPACED).any() else "en"


def write_metadata(path: Path, entries: Iterable[Entry]) -> int:
    """Write the file whole or not at all; returns the number of entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{_FIRST}\n" + "\t".join(_COLUMNS) + "\n")
            for entry in entries:
                file.write(f"{entry.text}\t{entry.language}\t{entry.origin}\t{entry.count}\t{entry.pmi:.3f}\n")
                number += 1
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return number


def read_metadata(path: Path) -> list[Entry]:
    """Entries in the order of the file.

    Raises:
        UsageError: there is no such file.
        DataError: a line is not as above, or there is no entry; names the line.
    """
    if not path.is_file():
        raise UsageError(
            f"{path}: no such metadata file; make one with: mimovl curate metadata --corpus FILE --out {path}"
        )
    entries: list[Entry] = []
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline().rstrip("\n")
            table = first == _FIRST
            if table:
                file.readline()
            elif first.strip():
                entries.append(Entry(first.strip(), writing_of(first)))
            for number, line in enumerate(file, start=3 if table else 2):
                if line := line.rstrip("\n"):
                    entries.append(_entry(line, path, number) if table else Entry(line.strip(), writing_of(line)))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); convert it") from None
    if not entries:
        raise DataError(f"{path} has no entry; build it again, or give a list of words, one a line")
    return entries


def _entry(line: str, path: Path, number: int) -> Entry:
    parts = line.split("\t")
    try:
        text, language, origin, count, pmi = parts
        return Entry(text, language, origin, int(count), float(pmi))
    except ValueError:
        raise DataError(
            f"{path} line {number}: {len(parts)} columns, or no numbers in the last two; expected {', '.join(_COLUMNS)}"
        ) from None


def load_matcher(path: Path) -> tuple[Matcher, list[Entry]]:
    """Entries of a file and the automaton that finds them; kept for the next call while the file stays as it is."""
    if not path.is_file():
        read_metadata(path)
    state = path.stat()
    return _loaded(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=2)
def _loaded(path: Path, _changed: int, _size: int) -> tuple[Matcher, list[Entry]]:
    entries = read_metadata(path)
    return Matcher([entry.text for entry in entries]), entries
