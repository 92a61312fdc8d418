import hashlib
import io
import random

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.world import (
    SOURCES,
    WorldItem,
    encode_clip,
    encode_image,
    key_hash,
    to_questions,
    to_training_sample,
)
from mimovl.data import open_image, open_video
from mimovl.errors import DataError
from tests.curate.world.cached_items import items


def sample_of(item, thinking_share=0.5, max_turns=6, **options):
    return to_training_sample(item, rng=random.Random(0), thinking_share=thinking_share, max_turns=max_turns, **options)


@pytest.mark.parametrize("source", SOURCES)
def test_conversations_alternate_and_show_the_picture_first(source: str) -> None:
    for item in items(source, 10):
        sample = sample_of(item)
        assert sample.source == source and sample.task and sample.meta["scene"] == key_hash(item.key)
        used = [part.media for message in sample.messages for part in message.content if part.media]
        assert set(used) == set(sample.media)
        if item.document:
            assert [message.role for message in sample.messages] == ["assistant"]
            continue
        roles = [message.role for message in sample.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and len(roles) <= 12
        if sample.media:
            assert sample.messages[0].content[0].type in ("image", "video") and len(used) == 1


@pytest.mark.parametrize("source", ["world/counting", "world/arithmetic", "world/gui"])
def test_thinking_turns_have_their_thought_and_the_others_ask_for_none(source: str) -> None:
    for item in items(source, 10):
        thoughts = {turn.answer: turn.thought for turn in item.turns}
        for share in (0.0, 1.0):
            messages = sample_of(item, share).messages
            for question, answer in zip(messages[::2], messages[1::2], strict=True):
                assert question.text.endswith(" /no_think") == (share == 0.0)
                thought, _, said = answer.text.removeprefix("<think>\n").partition("\n</think>\n\n")
                assert said in thoughts
                assert bool(thought) == (share == 1.0)


def test_thinking_share_is_a_share() -> None:
    texts = [
        message.text
        for item in items("world/counting", 150)
        for message in sample_of_random(item).messages
        if message.role == "user"
    ]
    share = sum(not text.endswith("/no_think") for text in texts) / len(texts)
    assert 0.2 < share < 0.4


def sample_of_random(item):
    return to_training_sample(item, rng=random.Random(item.id), thinking_share=0.3, max_turns=6)


def test_turns_are_shuffled_and_limited() -> None:
    item = items("world/attributes", 5)[2]
    orders = {
        tuple(m.text for m in to_training_sample(item, rng=random.Random(s), thinking_share=1.0, max_turns=3).messages)
        for s in range(10)
    }
    assert len(orders) > 5
    assert {len(order) for order in orders} == {6}


def test_pictures_survive_encoding() -> None:
    for source in ("world/grounding", "world/gui", "world/ocr"):
        for item in items(source, 5):
            media = encode_image(item.image)
            assert media.sha256 == hashlib.sha256(media.data).hexdigest()
            assert (media.kind, media.width, media.height) == ("image", *item.image.size)
            assert np.array_equal(np.asarray(open_image(media.data)), np.asarray(item.image))


def test_clips_survive_encoding_frame_by_frame_with_their_timing() -> None:
    for item in items("world/clip", 12):
        media = encode_clip(item.frames, item.fps)
        assert (media.kind, media.num_frames, media.fps) == ("video", len(item.frames), 2.0)
        with Image.open(io.BytesIO(media.data)) as animation:
            assert animation.n_frames == len(item.frames)
            for number, frame in enumerate(item.frames):
                animation.seek(number)
                assert animation.info["duration"] == 500.0
                assert np.array_equal(np.asarray(animation.convert("RGB")), np.asarray(frame))
        clip = open_video(media.data)
        assert clip.seconds == len(item.frames) / 2 and len(clip.frames) == len(item.frames)


def test_clips_that_would_lose_frames_are_refused() -> None:
    frame = Image.new("RGB", (56, 56))
    with pytest.raises(DataError, match="frames 0 and 1 of a clip are equal"):
        encode_clip([frame, frame.copy()], 2.0)
    with pytest.raises(DataError, match="without frames"):
        encode_clip([], 2.0)


def test_questions_end_with_the_user_and_hold_gold() -> None:
    for source in ("world/grounding", "world/clip", "world/arithmetic", "world/caption"):
        for item in items(source, 10, "heldout"):
            questions = to_questions(item)
            assert len(questions) == len(item.turns)
            assert len({question.id for question in questions}) == len(questions)
            for question, turn in zip(questions, item.turns, strict=True):
                assert [message.role for message in question.messages] == ["user"]
                assert question.messages[0].text == turn.question
                assert (question.gold, question.task) == (turn.gold, turn.task)
                assert question.meta["scene"] == key_hash(item.key)


def test_documents_ask_nothing() -> None:
    assert to_questions(items("world/interleaved", 5)[0]) == []


def test_text_only_versions_put_the_description_in_place_of_the_picture() -> None:
    for source in ("world/counting", "world/clip", "world/gui", "world/interleaved"):
        for item in items(source, 5):
            sample = sample_of(item, as_text=True)
            assert not sample.media
            assert item.description.split("\n")[0] in sample.messages[0].text


def test_an_item_with_nothing_to_say_is_refused() -> None:
    with pytest.raises(DataError, match="neither turns nor a document"):
        sample_of(WorldItem(source="world/caption", key="k", id="x"))
