import json

import pytest
from pydantic import ValidationError

from mimovl.errors import DataError
from mimovl.reward.schema import Reward, RewardItem, item_of, media_of, messages_of
from mimovl.types import Completion, Gold, Media, Message, Outcome, Part, Sample, Verdict

PICTURE = Media("ab", "image", b"\x00\xffpng", 3, 4)
CLIP = Media("cd", "video", b"clip", 5, 6, num_frames=7, fps=2.5)
SAMPLE = Sample(
    id="s-1",
    messages=(
        Message("system", (Part("text", "Be brief."),)),
        Message("user", (Part("image", media="a"), Part("video", media="b"), Part("text", "What?"))),
    ),
    media={"a": PICTURE, "b": CLIP},
    task="rlhf",
    gold=Gold("box", [1, 2, 3, 4], {"metric": "iou"}),
)


def test_a_sample_survives_its_way_over_the_line() -> None:
    sent = json.dumps(item_of(SAMPLE, Completion("red", "length"), prompt=True))
    item = RewardItem.model_validate_json(sent)
    assert messages_of(item) == SAMPLE.messages
    assert media_of(item) == SAMPLE.media
    assert (item.id, item.task, item.completion, item.finish_reason) == ("s-1", "rlhf", "red", "length")
    assert Gold(item.kind or "", item.gold, item.options) == SAMPLE.gold


def test_pictures_stay_home_where_the_task_does_not_need_them() -> None:
    item = item_of(SAMPLE, "red")
    assert "media" not in item and "messages" not in item and "finish_reason" not in item


def test_a_verdict_survives_its_way_back() -> None:
    verdict = Verdict(0.1 + 0.2, Outcome.NOT_GRADED, "a ½", "rule")
    assert Reward.model_validate_json(Reward.of(verdict).model_dump_json()).verdict() == verdict


def test_lone_surrogates_become_replacement_characters() -> None:
    item = item_of(SAMPLE, "a\ud800b\ud83d\ude00")
    assert item["completion"] == "a\ufffdb😀"
    RewardItem.model_validate_json(json.dumps(item))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="optoins"):
        RewardItem.model_validate({"task": "x", "completion": "y", "optoins": {}})


def test_a_plain_prompt_is_one_text_part() -> None:
    item = RewardItem.model_validate(
        {"task": "x", "completion": "y", "messages": [{"role": "user", "content": "Why?"}]}
    )
    assert messages_of(item) == (Message("user", (Part("text", "Why?"),)),)


def test_media_that_is_not_base64_is_named() -> None:
    item = RewardItem.model_validate({"task": "x", "completion": "y", "media": {"a": {"data": "*"}}})
    with pytest.raises(DataError, match=r"field media.a.data: not base64"):
        media_of(item)
