"""The nearest valid word to a mistyped one, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

__all__ = ["nearest"]


def nearest(word: str, valid: Sequence[str]) -> str:
    """``; did you mean 'steps'?`` where a valid word is near (whatever its case), else nothing."""
    close = difflib.get_close_matches(word.lower(), [name.lower() for name in valid], n=1, cutoff=0.5)
    name = next((name for name in valid if close and name.lower() == close[0]), "")
    return f"; did you mean {name!r}?" if name else ""
