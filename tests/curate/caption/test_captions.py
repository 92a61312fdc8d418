import statistics

from mimovl.curate.caption.captions import caption_of, chance, with_caption
from mimovl.types import Message, Part, Sample
from tests.curate.caption.sample import caption


def test_a_new_caption_keeps_the_pictures_and_the_id() -> None:
    sample = with_caption(caption("old", picture=b"1"), "neu", language="de", meta={"raw": "old"})
    assert caption_of(sample) == "neu"
    assert [part.type for part in sample.messages[0].content] == ["image", "text"]
    assert (sample.id, sample.language, sample.meta) == ("one", "de", {"raw": "old"})


def test_a_question_with_a_picture_gets_its_caption_as_an_answer() -> None:
    asked = Sample("one", (Message("user", (Part("image", media="image"), Part("text", "What?"))),))
    assert caption_of(asked) == "What?"
    answered = with_caption(asked, "A cat.")
    assert [message.role for message in answered.messages] == ["user", "assistant"]
    assert caption_of(answered) == "A cat."


def test_a_chance_depends_on_seed_purpose_and_name_alone_and_spreads_evenly() -> None:
    assert chance(0, "balance", "a") == chance(0, "balance", "a")
    assert (
        len({chance(0, "balance", "a"), chance(1, "balance", "a"), chance(0, "x", "a"), chance(0, "balance", "b")}) == 4
    )
    drawn = sorted(chance(3, "balance", str(number)) for number in range(10_000))
    assert max(abs(value - rank / 10_000) for rank, value in enumerate(drawn)) < 0.02  # Kolmogorov-Smirnov, p < 0.001
    assert 0 <= drawn[0] and drawn[-1] < 1
    assert abs(statistics.fmean(drawn) - 0.5) < 0.015
