"""How pictures and text go together, and which pictures go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mimovl.curate.interleaved.blocks import blocks_of
from mimovl.curate.interleaved.embed import HashedText, Vectors
from mimovl.curate.interleaved.pair_scores import PairScoresStep, score_pairs
from mimovl.curate.step import Dropped
from mimovl.types import Sample
from tests.curate.interleaved.documents import Bench, flat, make, show, text

RIVER = (
    "The Rhine is a river of Europe. It rises in the Alps and flows through Basel and Cologne to the North Sea. "
    "Barges carry coal and grain along its course, and vineyards stand on its banks."
)


def scores(*blocks) -> list:
    return score_pairs(blocks, HashedText())


def test_a_caption_on_the_subject_is_relevant_and_another_is_not() -> None:
    on, off = scores(text(RIVER), show(1), text("Figure 1: vineyards above the Rhine near Basel", "caption"),
                     text(RIVER), show(2, alt="our special offer of shoes"))  # fmt: skip
    assert on.relevance > 0.2 > 0.01 > off.relevance


def test_a_caption_that_repeats_the_text_adds_nothing() -> None:
    (same,) = scores(text(RIVER), show(1), text("The Rhine is a river of Europe.", "caption"))
    (new,) = scores(text(RIVER), show(1), text("Figure 1: a barge with coal passes a lock at dusk", "caption"))
    assert same.complementarity < 0.01 and new.complementarity > 0.5


def test_balance_is_highest_where_both_hold_much() -> None:
    (full,) = scores(text(RIVER * 3), show(1, (400, 300)))
    (photo,) = scores(text("See."), show(1, (400, 300)))
    (blank,) = scores(text(RIVER * 3), flat())
    assert blank.balance == 0 and photo.balance < 0.2 < full.balance


def test_without_words_a_picture_is_not_judged() -> None:
    (score,) = scores(text(RIVER), show(1))
    assert score.relevance is None and score.complementarity is None


class Seeing:
    """An embedding that sees: pictures are near texts that name them by number."""

    def texts(self, texts: Sequence[str]) -> Vectors:
        return np.array([[float("river" in one), float("river" not in one)] for one in texts], dtype=np.float32)

    def pictures(self, pictures: Sequence[bytes]) -> Vectors | None:
        return np.array([[1, 0]] * len(pictures), dtype=np.float32)


def test_an_embedding_that_sees_judges_pictures_without_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "embed", Seeing, raising=False)
    step = PairScoresStep(embed="json:embed", window=30, min_balance=0)
    sample = make(text("here is a river, it flows"), show(1), text("x" * 90), show(2), text("y" * 90))
    (result,) = step.open(Bench(tmp_path))([sample])
    assert isinstance(result, Sample)
    assert result.meta["pictures_dropped"] == {"low_relevance": 1} and len(result.media) == 1
    assert result.meta["pairs"][0]["relevance"] == 1 and result.meta["pairs"][0]["complementarity"] is None


def test_the_step_leaves_out_what_scores_low_and_says_so(tmp_path: Path) -> None:
    sample = make(text(RIVER), show(1), text("Figure 1: vineyards above the Rhine", "caption"), text(RIVER),
                  show(2, alt="buy shoes"), text(RIVER), show(3))  # fmt: skip
    (result,) = PairScoresStep(keep_unjudged=False).open(Bench(tmp_path))([sample])
    assert isinstance(result, Sample)
    assert [block.kind for block in blocks_of(result)] == ["text", "picture", "caption", "text", "text"]
    assert result.meta["pictures_dropped"] == {"low_relevance": 1, "unjudged": 1}
    (dropped,) = PairScoresStep(min_relevance=1, min_pictures=1, keep_unjudged=False).open(Bench(tmp_path))([sample])
    assert isinstance(dropped, Dropped) and dropped.reason == "no_pictures"


def test_a_document_without_pictures_is_untouched(tmp_path: Path) -> None:
    sample = make(text(RIVER))
    assert PairScoresStep().open(Bench(tmp_path))([sample]) == [sample]
