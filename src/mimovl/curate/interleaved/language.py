"""Which of the two languages a document is in, by script and by English function words; and its sentences.

A gate, not an identifier of languages: what is neither Chinese nor English prose is ``und``, and no score of this
package is meant for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["ENGLISH_FUNCTION_WORDS", "han_share", "language_of", "sentences", "words_of"]

ENGLISH_FUNCTION_WORDS = frozenset(
    """a about above after again all also an and any are as at be because been before being between both but by can
    could did do does down during each either else even every few for from further had has have having he her here him
    his how i if in into is it its itself just less many may me might more most much must my neither no nor not now of
    off on once one only or other our out over own same she should since so some such than that the their them then
    there these they this those through thus to too under until up upon us very was we were what when where whether
    which while who whom whose why will with within without would you your""".split()
)
_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")
_LETTER = re.compile(r"[^\W\d_]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f]")
_KANA_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7a3]")
_SENTENCE = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|(?<=[。！？；…])[”’」』）]*|\n{2,}")
_SAMPLED = 20_000
"""Characters from which the language is told."""


def words_of(text: str) -> list[str]:
    """English words in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def han_share(text: str) -> float:
    """Share of Chinese characters among the letters; 0 without letters."""
    letters = len(_LETTER.findall(text))
    return len(_HAN.findall(text)) / letters if letters else 0.0


def language_of(text: str) -> str:
    """``zh``, ``en`` or ``und``, from the beginning of a text.

    A Chinese character says about as much as an English word, so a text is Chinese from a share of 0.15 of its letters
    on; English where one word in eight is a function word of English.
    """
    text = text[:_SAMPLED]
    if len(_KANA_HANGUL.findall(text)) > 0.1 * max(1, len(_HAN.findall(text))):
        letters = max(1, len(_LETTER.findall(text)))
        if len(_KANA_HANGUL.findall(text)) > 0.05 * letters:
            return "und"
    if han_share(text) >= 0.15:
        return "zh"
    words = words_of(text)
    known = sum(word in ENGLISH_FUNCTION_WORDS for word in words)
    return "en" if words and known >= 0.125 * len(words) else "und"


def sentences(text: str) -> list[str]:
    """Sentences of Chinese or English text; a blank line ends one too. Abbreviations before a capital are not known."""
    found: Sequence[str] = _SENTENCE.split(text)
    return [sentence.strip() for sentence in found if sentence and not sentence.isspace()]
