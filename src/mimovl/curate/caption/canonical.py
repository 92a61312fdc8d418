"""The form in which captions and metadata entries are compared: folded words, with a space at every word boundary.

    "A red T-shirt，iPhone手机"  →  " a red t shirt | iphone 手机 "

Letters are folded (compatibility forms, case). Whatever is no letter or digit is a boundary, and so is the seam
between a Chinese character and a Latin word: "iPhone手机壳" holds the word iphone. A mark is kept as a bar, so that no
phrase is found across a comma; hyphens and apostrophes inside a word are spaces. Chinese characters stay side by side,
because nothing in the writing says where their words end. An entry that begins or ends with a Latin word then carries
the space into the pattern, one that begins or ends with a Chinese character does not, and plain substring search is
word search.

Many captions are folded at once with numpy: about a microsecond a caption.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["canonical", "canonical_bytes", "character_kinds", "patterns"]

SEPARATOR, WORD, UNSPACED, MARK, JOINER, NOTHING = range(6)
"""White space; part of a word between spaces; a character of a writing without spaces (Han, kana); a mark; a hyphen or
apostrophe, which inside a word is a space and elsewhere a mark; a zero-width character, which is not there."""

_UNSEEN = np.uint8(255)
_SPACE, _NEWLINE, _BAR = 32, 10, ord("|")
_UNSPACED_RANGES = (
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3041, 0x3096),
    (0x309D, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
_ACCENT = re.compile("[\u0300-\u036f]")
_ZERO_WIDTH = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFE0E, 0xFE0F, 0xFEFF))

_kinds = np.full(0x110000, _UNSEEN, dtype=np.uint8)
_folded = np.zeros(0x110000, dtype=np.uint32)


def canonical(text: str) -> str:
    """One text in the form above, without the spaces around it."""
    return canonical_bytes([text])[0].decode().strip(" |\n")


def patterns(entries: Sequence[str]) -> list[bytes]:
    """What is searched for to find each entry: its canonical form with the spaces that must stand beside it, as UTF-8.

    Empty for an entry that has neither letter nor digit.
    """
    lines = canonical_bytes(entries)[0].decode().split("\n")[: len(entries)]
    forms = [line.strip(" |") for line in lines]
    kinds = character_kinds("".join(form[0] + form[-1] if form else "  " for form in forms)).tolist()
    return [
        f"{' ' * (first == WORD)}{form}{' ' * (last == WORD)}".encode()
        for form, first, last in zip(forms, kinds[::2], kinds[1::2], strict=True)
    ]


def character_kinds(text: str) -> npt.NDArray[np.uint8]:
    """SEPARATOR, WORD or UNSPACED of each character, shape (len(text),)."""
    return _kinds_of(_codes(text))


def canonical_bytes(texts: Sequence[str]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """All texts in canonical form, one line each.

    Returns:
        UTF-8 in which each text stands between spaces and ends with a newline, and the offset of each newline,
        shape (len(texts),): what begins at byte ``b`` belongs to text ``searchsorted(offsets, b)``.
    """
    joined = "\n".join([*texts, ""])
    codes = _codes(joined)
    kinds = _kinds_of(codes)
    if (kinds == NOTHING).any() or not unicodedata.is_normalized("NFC", joined) or _ACCENT.search(joined):
        texts = [_composed(text) for text in texts]
        codes = _codes("\n".join([*texts, ""]))
        kinds = _kinds_of(codes)
    folded = _folded[codes]
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    ends = np.cumsum(lengths + 1) - 1

    if (joiners := np.flatnonzero(kinds == JOINER)).size:
        # the text's last character is a newline, so a joiner has a right neighbour; a first one's left is that newline
        letters = (kinds == WORD) | (kinds == UNSPACED)
        kinds[joiners] = np.where(letters[joiners - 1] & letters[joiners + 1], SEPARATOR, MARK)
        folded[joiners] = np.where(kinds[joiners] == MARK, _BAR, _SPACE)
    separator = kinds == SEPARATOR
    same = kinds[1:] == kinds[:-1]
    repeated = np.zeros(len(codes), dtype=bool)
    repeated[1:] = same & (separator[1:] | (kinds[1:] == MARK))
    seam = np.zeros(len(codes), dtype=bool)
    seam[1:] = ~same & ~separator[1:] & ~separator[:-1]
    counts = np.ones(len(codes), dtype=np.int64)
    counts[repeated] = 0
    counts[seam] = 2
    counts[ends] = 3
    starts = np.cumsum(counts) - counts
    out = np.repeat(folded, counts)
    out[starts[seam]] = _SPACE
    out[starts[ends]] = _SPACE
    out[starts[ends] + 1] = _NEWLINE
    out[starts[ends] + 2] = _SPACE
    found = b" " + out.tobytes().decode("utf-32-le").encode()
    return found, np.flatnonzero(np.frombuffer(found, dtype=np.uint8) == _NEWLINE)


def _composed(text: str) -> str:
    """Letters with their accents in one character, nothing of zero width."""
    text = text.translate(_ZERO_WIDTH)
    return unicodedata.normalize("NFKC" if _ACCENT.search(text) else "NFC", text)


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _kinds_of(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Look kinds up; characters not met before are learnt: a whole table would take a second at every start."""
    kinds = _kinds[codes]
    unseen = np.unique(codes[kinds == _UNSEEN]).tolist()
    for code in unseen:
        folded = unicodedata.normalize("NFKC", chr(code)).lower()
        if len(folded) != 1:
            folded = chr(code)
        kind = _kind(folded)
        _folded[code] = {SEPARATOR: _SPACE, MARK: _BAR}.get(kind, ord(folded))
        _kinds[code] = kind
    return _kinds[codes] if unseen else kinds


def _kind(character: str) -> int:
    category, code = unicodedata.category(character), ord(character)
    if category[0] in "LNM":
        return UNSPACED if any(low <= code <= high for low, high in _UNSPACED_RANGES) else WORD
    if code in _ZERO_WIDTH:
        return NOTHING
    if category == "Pd" or character in "'’_":
        return JOINER
    return SEPARATOR if category[0] in "ZC" else MARK
