import pickle

import pytest

from mimovl.curate.caption.captions import caption_of
from mimovl.curate.caption.filters import CaptionLanguage, CaptionRepetition, CaptionText
from mimovl.curate.step import Dropped, Result, Step
from mimovl.types import Sample
from tests.curate.caption.sample import ToolsOfTests, caption


def results(step: Step, *samples: Sample) -> list[Result]:
    return step.open(ToolsOfTests())(samples)


def test_text_that_is_no_caption_is_dropped_with_its_reason_and_the_rest_is_tidied() -> None:
    whole = caption("A cat.", "whole")
    found = results(CaptionText(), caption("IMG_1.jpg"), caption("a  <i>red</i> car", picture=b"1"), whole)
    assert found[0] == Dropped("file_name", "IMG_1.jpg")
    assert isinstance(found[1], Sample) and caption_of(found[1]) == "a red car" and found[1].media
    assert found[2] is whole


def test_a_caption_gets_the_language_it_is_written_in() -> None:
    english = caption("A cat on the mat.", "en")
    found = results(CaptionLanguage(), caption("一只猫在垫子上。", language="en"), english)
    assert isinstance(found[0], Sample) and found[0].language == "zh"
    assert found[1] is english


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("一只 cat 坐在 sofa 上", "mixed_language", "cat, sofa among Chinese"),
        ("Ein Hund ist auf dem Tisch", "other_language", "words of de"),
        ("1234", "no_words", "no letter"),
    ],
)
def test_other_languages_are_dropped_with_what_told(text: str, reason: str, detail: str) -> None:
    (found,) = results(CaptionLanguage(), caption(text))
    assert isinstance(found, Dropped) and found.reason == reason and detail in found.detail


def test_only_the_samples_own_language_is_right_where_that_is_expected() -> None:
    step = CaptionLanguage(expect="sample")
    found = results(step, caption("一只猫在垫子上。", language="en"), caption("一只猫在垫子上。", language="zh"))
    assert isinstance(found[0], Dropped) and "expected en, found zh" in found[0].detail
    assert isinstance(found[1], Sample)
    (dropped,) = results(CaptionLanguage(languages=("zh",)), caption("A cat on the mat."))
    assert isinstance(dropped, Dropped) and dropped.reason == "other_language"


def test_a_loop_is_dropped_and_named() -> None:
    good = caption("A dog on the beach.")
    found = results(CaptionRepetition(), caption("a dog " * 9), good)
    assert found == [Dropped("repetition", "phrase: 'a dog' 9 times"), good]


def test_steps_travel_to_workers() -> None:
    step = pickle.loads(pickle.dumps(CaptionLanguage(expect="sample")))
    assert step == CaptionLanguage(expect="sample")
