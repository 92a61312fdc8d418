"""The word lists beside this file: words between spaces, lines that begin with # are remarks."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["word_list", "word_lists"]


@cache
def word_list(name: str) -> frozenset[str]:
    """The words of ``words/NAME.txt``; a star at a word's end stays."""
    return frozenset(word for line in _lines(name) for word in line.split())


@cache
def word_lists(name: str) -> dict[str, frozenset[str]]:
    """The words of ``words/NAME.txt`` by what stands before the colon of their line."""
    parts = [line.partition(":") for line in _lines(name)]
    return {key.strip(): frozenset(words.split()) for key, _, words in parts}


def _lines(name: str) -> list[str]:
    text = (files("mimovl.curate.caption") / "words" / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
