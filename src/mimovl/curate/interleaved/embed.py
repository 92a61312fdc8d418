"""Vectors by which a picture and a text are compared; the offline default sees words only.

``HashedText`` is no model: words (English) and pairs of characters (Chinese), hashed into 4,096 places and weighed by
how often they stand. Two texts are near when they share words, not when they mean the same: "car" and "automobile" are
strangers to it, and so are a Chinese and an English text. It never looks at a picture's pixels; a picture is to it
what its caption and alternative text say, and one without either cannot be judged. A recipe may name a real model
(CLIP, SigLIP, …) in its place; see :class:`Embed`.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mimovl.curate.interleaved.language import ENGLISH_FUNCTION_WORDS
from mimovl.curate.interleaved.text_words import CHINESE_FUNCTION

__all__ = ["Embed", "HashedText", "units_of"]

Vectors = npt.NDArray[np.float32]

_PLACES = 4096
_TOKEN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*|\d+(?:\.\d+)?|[\u4e00-\u9fff]+|[^\W\d_a-zA-Z\u4e00-\u9fff]+")
_ENDINGS = ("ies", "ing", "ed", "es", "s")


class Embed(Protocol):
    """Puts texts, and pictures if it sees them, into one space; rows have length one, or zero if nothing is known."""

    def texts(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, shape (N, D)."""
        ...

    def pictures(self, pictures: Sequence[bytes]) -> Vectors | None:
        """One vector an encoded picture, shape (N, D), or None where it sees no pictures."""
        ...


class HashedText:
    """Bags of hashed words. See the module for what it cannot see."""

    def texts(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, shape (N, 4096)."""
        vectors = np.zeros((len(texts), _PLACES), dtype=np.float32)
        for row, text in enumerate(texts):
            for unit, times in sorted(Counter(units_of(text)).items()):
                code = zlib.crc32(unit.encode())
                # A second bit of the hash gives the sign, so that two words in one place do not add up.
                vectors[row, code % _PLACES] += (1.0 if code >> 31 else -1.0) * (1.0 + np.log(times))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

    def pictures(self, pictures: Sequence[bytes]) -> Vectors | None:
        """None: it sees none."""
        return None


def units_of(text: str) -> list[str]:
    """What texts may share: English words without endings and function words, pairs of Chinese characters, numbers."""
    units: list[str] = []
    for token in _TOKEN.findall(text):
        if "\u4e00" <= token[0] <= "\u9fff":
            kept = [char for char in token if char not in CHINESE_FUNCTION]
            units += [one + two for one, two in zip(kept, kept[1:], strict=False)] or kept
        else:
            word = token.lower()
            if word not in ENGLISH_FUNCTION_WORDS and len(word) > 1:
                units.append(_stem(word))
    return units


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + ("y" if ending == "ies" else "")
            if ending in ("ing", "ed") and word[-1] == word[-2] and word[-1] not in "aeiouls":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word
