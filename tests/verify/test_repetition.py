import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.types import Outcome
from mimovl.verify import grade
from mimovl.verify.repetition import loop_length, repeated_share

PROSE = (
    "A completion that goes on says something new in each sentence, names what it sees, counts what there is to count, "
    "and then it stops because there is nothing left to say about the picture."
)


def test_prose_repeats_nothing() -> None:
    assert repeated_share(PROSE) == 0
    assert grade("repetition", PROSE, None).score == 1


def test_the_same_sentence_five_times_is_repeated_four_fifths() -> None:
    sentence = "one two three four five six seven eight nine ten. "
    assert 0.7 < repeated_share(sentence * 5) < 0.8
    verdict = grade("repetition", PROSE + sentence * 3, 0.1)
    assert verdict.outcome is Outcome.WRONG and verdict.score == pytest.approx(1 - repeated_share(PROSE + sentence * 3))


@pytest.mark.parametrize("loop", ["wait, ", "so the answer is 5. ", "一二三四", "abcdefghij" * 5])
def test_a_loop_at_the_end_is_found_with_its_period(loop: str) -> None:
    text = PROSE + " " + loop * 20
    assert loop_length(text) == len(loop) if loop != "abcdefghij" * 5 else loop_length(text) == 10
    assert grade("repetition", text, None).score == 0


def test_short_repetition_is_no_loop() -> None:
    assert loop_length("ha ha ha ha") == 0
    assert loop_length(PROSE) == 0


@given(st.text(max_size=200))
def test_the_share_is_bounded(text: str) -> None:
    assert 0 <= repeated_share(text, 2) < 1


def test_bad_limits_are_refused() -> None:
    with pytest.raises(DataError, match="is no share"):
        grade("repetition", "x", 2)
    with pytest.raises(DataError, match="ngram is 0"):
        grade("repetition", "x", 0.5, ngram=0)
