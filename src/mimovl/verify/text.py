r"""Grade a text: exact match, edit similarity (OCR), ANLS, relaxed accuracy (charts), token F1, or ROUGE.

All aliases are tried and the best counts. "exact" ignores case, spacing, end punctuation and English articles; "edit"
ignores only runs of white space, since case and punctuation are what OCR is about. "relaxed" takes numbers within 5 %
(Methani et al. 2020, as ChartQA has it) and other texts exactly.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, Literal

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import after_marker, no_answer, plain, read_answer, to_ascii, verdict
from mimovl.verify.edit_distance import edit_similarity
from mimovl.verify.numerals import parse_quantity
from mimovl.verify.rouge import rouge

__all__ = ["TextMetric", "anls", "gold_texts", "normalise_text", "relaxed", "token_f1", "verify_text"]

TextMetric = Literal["exact", "edit", "anls", "relaxed", "f1", "rouge1", "rouge2", "rougeL"]

MAX_CHARS = 100_000
FULL_SCORE = 0.999
ANLS_THRESHOLD = 0.5
RELAXED_SHARE = Fraction(5, 100)


def verify_text(
    text: str,
    gold: Any,
    *,
    metric: TextMetric = "exact",
    aliases: Sequence[str] = (),
    threshold: float = FULL_SCORE,
) -> Verdict:
    """Score a text against the gold text and its aliases; the best match counts.

    Args:
        text: the answer, without the thought.
        gold: the text, or a list of equally right texts.
        metric: "exact", 0 or 1; "edit", 1 − edit distance / longer length; "anls", the same without case and 0 below
            one half (Biten et al. 2019, DocVQA); "relaxed", 0 or 1, numbers within 5 % of the gold one; "f1" of tokens
            (Rajpurkar et al. 2016); "rouge1", "rouge2", "rougeL".
        aliases: further right texts.
        threshold: the score from which the outcome is CORRECT.

    Raises:
        DataError: a gold text is empty or the metric is unknown.
    """
    if metric not in _METRICS:
        raise DataError(f"unknown text metric {metric!r}; choose one of {', '.join(map(repr, _METRICS))}")
    golds = gold_texts(gold, aliases)
    answer = read_answer(text)
    given = plain(answer.text[:MAX_CHARS]) if answer else ""
    if answer is None or not given:
        return no_answer("no text")
    measure = _METRICS[metric]
    score, rule = max(measure(given, gold) for gold in golds), str(metric)
    marked = after_marker(given) if metric in ("exact", "relaxed") and not answer.boxed else None
    if score < 1 and marked:
        given, rule = marked, f"{metric}: after answer"
        score = max(measure(plain(marked), gold) for gold in golds)
    return verdict(score, correct=score >= threshold, answer=given, rule=rule)


def gold_texts(gold: Any, aliases: Sequence[str] = ()) -> list[str]:
    """All right texts.

    Raises:
        DataError: there is none, or one is empty.
    """
    listed = [gold] if isinstance(gold, str) or not isinstance(gold, Sequence) else list(gold)
    texts = [str(text).strip() for text in [*listed, *([aliases] if isinstance(aliases, str) else aliases)]]
    if not listed or not all(texts):
        raise DataError(f"gold answer {str(gold)[:80]!r} or an alias of {str(aliases)[:80]!r} is empty; remove it")
    return texts


_ARTICLES = re.compile(r"^(?:a|an|the)\s+(?=\S)")
_YES_NO = re.compile(r"(yes|no|是的?|不是|没有|有)\s*[,.;:，。；：!！]")


def normalise_text(text: str) -> str:
    """Case, width, spacing, surrounding punctuation and a leading article removed."""
    text = " ".join(to_ascii(unicodedata.normalize("NFC", text)).casefold().split())
    text = text.strip(" .,;:!?。、\"'`“”‘’()[]{}*_")
    return _ARTICLES.sub("", text)


def _exact(given: str, gold: str) -> float:
    if len(given) > 4 * len(gold) + 1000:
        return 0.0
    first, second = normalise_text(given), normalise_text(gold)
    if not second:  # a gold that is punctuation only
        return float(given.strip() == gold)
    if first == second:
        return 1.0
    lead = _YES_NO.match(first)  # "Yes, there is one." says yes
    return float(lead is not None and lead[1] == second)


def _edit(given: str, gold: str) -> float:
    return edit_similarity(" ".join(given.split()), " ".join(gold.split()))


def anls(given: str, gold: str) -> float:
    """Normalised Levenshtein similarity without case, 0 below one half."""
    similarity = _edit(given[: 8 * len(gold) + 1000].casefold(), gold.casefold())
    return similarity if similarity >= ANLS_THRESHOLD else 0.0


_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


def token_f1(given: str, gold: str) -> float:
    """Harmonic mean of precision and recall over tokens (words, Chinese characters), articles left out."""
    first, second = (
        Counter(token for token in _TOKEN.findall(to_ascii(text).casefold()) if token not in ("a", "an", "the"))
        for text in (given, gold)
    )
    shared = (first & second).total()
    if not shared:
        return float(not second and given.strip() == gold)
    return 2 * shared / (first.total() + second.total())


def relaxed(given: str, gold: str) -> float:
    """1 for a number within 5 % of the gold number, or for the same text; a percentage is a hundredth."""
    first, second = parse_quantity(given), parse_quantity(gold)
    if first is None or second is None or (first.unit and second.unit and first.unit.lower() != second.unit.lower()):
        return _exact(given, gold)
    return float(abs(first.value - second.value) <= RELAXED_SHARE * abs(second.value))


_METRICS: dict[str, Callable[[str, str], float]] = {
    "exact": _exact,
    "edit": _edit,
    "anls": anls,
    "relaxed": relaxed,
    "f1": token_f1,
    "rouge1": partial(rouge, kind="rouge1"),
    "rouge2": partial(rouge, kind="rouge2"),
    "rougeL": partial(rouge, kind="rougeL"),
}
