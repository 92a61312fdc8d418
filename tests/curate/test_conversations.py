import json

from PIL import Image

from mimovl.curate.conversations import Question, box_list, to_samples
from mimovl.curate.world.samples import encode_image
from mimovl.types import Gold

MEDIA = encode_image(Image.new("RGB", (56, 56)))
QUESTIONS = [Question("counting", f"How many {n}?", str(n), Gold("count", n)) for n in range(5)]


def made(ask: str) -> list:
    return to_samples(
        "a/1", MEDIA, QUESTIONS, ask=ask, source="a", language="zh", max_turns=2, meta={"size": [56, 56]}  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_conversation_shows_its_picture_once_and_answers_without_thinking() -> None:
    samples = made("training")
    assert [len(one.messages) for one in samples] == [4, 4, 2] and [one.id for one in samples] == [
        "a/1/0",
        "a/1/1",
        "a/1/2",
    ]
    for one in samples:
        shown = [part for message in one.messages for part in message.content if part.type == "image"]
        assert len(shown) == 1 and one.messages[0].content[0] == shown[0] and shown[0].media in one.media
        assert one.messages[0].text.endswith(" /no_think") and one.messages[1].text.startswith("<think>\n\n</think>")
        assert one.gold is None and one.language == "zh" and one.meta == {"size": [56, 56]}


def test_single_questions_keep_their_gold_and_show_no_answer() -> None:
    samples = made("questions")
    assert [one.gold for one in samples] == [one.gold for one in QUESTIONS]
    assert all(len(one.messages) == 1 and one.messages[0].role == "user" for one in samples)
    assert len({one.id for one in samples}) == 5


def test_boxes_are_listed_as_the_world_lists_them() -> None:
    assert box_list([((1, 2, 30, 40), "杯子")]) == '[{"bbox_2d":[1,2,30,40],"label":"杯子"}]'
    assert json.loads(box_list([])) == []
