import json

import pytest

from mimovl.data.parquet_row import row_to_sample
from mimovl.errors import DataError, MediaError
from mimovl.types import Message, Part
from tests.data import small
from tests.data.test_video import animation

ONE, TWO = small.picture(30, 40), small.picture(50, 60, 1)
CLIP = animation("PNG", range(8), 500)


def sample(folder=None, **row):
    return row_to_sample(row, where="part.parquet#3", folder=folder)


def turns(*contents):
    roles = ["user", "assistant"] * len(contents)
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]


def image(media):
    return Part("image", media=media.sha256)


def test_placeholders_in_text_become_the_pictures_in_order():
    got = sample(messages=turns("<image>Now this: <image> how many?", "3"), images=[ONE.data, TWO.data])
    assert got.messages == (
        Message("user", (image(ONE), Part("text", text="Now this: "), image(TWO), Part("text", text=" how many?"))),
        Message("assistant", (Part("text", text="3"),)),
    )
    assert (got.media[ONE.sha256], got.media[TWO.sha256]) == (ONE, TWO)
    assert (got.id, got.source, got.language, dict(got.meta)) == ("part.parquet#3", "", "en", {})


@pytest.mark.parametrize("form", ["struct", "bytes", "path", "column image"])
def test_pictures_may_be_bytes_tables_or_files_of_the_folder(form, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(ONE.data)
    value = {
        "struct": {"bytes": ONE.data, "path": "elsewhere.png"},
        "bytes": ONE.data,
        "path": {"bytes": None, "path": "pictures/a.png"},
        "column image": ONE.data,
    }[form]
    column = {"image": value} if form == "column image" else {"images": [value]}
    got = sample(tmp_path, messages=turns("<image>?", "1"), **column)
    assert got.media == {ONE.sha256: ONE}


def test_messages_may_be_json_and_content_a_list_of_parts():
    content = [{"type": "image"}, {"type": "text", "text": "多少 <image>?"}, {"type": "video_url"}, "!"]
    got = sample(
        id="q", messages=json.dumps(turns(content, "1")), images=[ONE.data], videos=[CLIP], task="t", source="web",
        language="zh", meta='{"page": 3}',
    )  # fmt: skip
    (clip,) = [media for media in got.media.values() if media.kind == "video"]
    assert got.messages[0].content == (
        image(ONE),
        Part("text", text="多少 <image>?"),
        Part("video", media=clip.sha256),
        Part("text", text="!"),
    )
    assert (clip.width, clip.height, clip.num_frames, clip.fps) == (64, 48, 8, 2.0)
    assert (got.id, got.task, got.source, got.language, got.meta) == ("q", "t", "web", "zh", {"page": 3})


def test_the_samples_of_a_row_are_those_a_processor_takes():
    got = sample(messages=turns("<image><video>How many?", "3"), images=[ONE.data], videos=[{"bytes": CLIP}])
    assert small.processor().encode(got).grid_thw == [(1, 6, 4), (4, 4, 4)]


@pytest.mark.parametrize(
    ("text", "images", "message"),
    [
        ("<image><image>?", 1, "sample part.parquet#3: its text holds 2 image placeholders, its column images 1; each"),
        ("?", 2, "its text holds 0 image placeholders, its column images 2"),
        ("<image>?", 0, "its text holds 1 image placeholders, its column images 0"),
        ("<video>?", 0, "its text holds 1 video placeholders, its column videos 0"),
    ],
)
def test_another_number_of_placeholders_than_pictures_is_refused_with_both_numbers(text, images, message):
    with pytest.raises(DataError, match=message):
        sample(messages=turns(text, "1"), images=[ONE.data, TWO.data][:images])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": None}, "messages must be a list of turns, it is NoneType"),
        ({"messages": []}, "messages must be a list of turns"),
        ({"messages": "{oops"}, "its messages are not JSON"),
        ({"messages": [{"role": "human", "content": "a"}]}, r"needs a role \(system, user, assistant\) and a content"),
        ({"messages": "[" * 100_000}, "its messages are not JSON"),
        ({"messages": turns(None)}, "the content of a message is NoneType; give text, or a list .*tool_calls"),
        ({"messages": turns({"text": "hi"})}, "the content of a message is dict; give text"),
        ({"messages": turns([{"type": "text", "text": ["a"]}])}, "a part of a message is .*; give text"),
        ({"messages": turns([{"type": "text", "value": "a"}])}, "a part of a message is .*; give text"),
        ({"messages": turns([{"type": "audio", "url": "a"}])}, "a part of a message is .*audio.*; give text"),
        ({"messages": turns([7])}, "a part of a message is 7; give text"),
        ({"messages": turns("<image>"), "images": 5}, "its column images is int; give a list of images"),
        ({"messages": turns("<image>"), "images": "a.png"}, "its column images is str; give a list of images"),
        ({"messages": turns("<image>"), "images": [3]}, "image 0: is int; give bytes"),
        ({"messages": turns("<image>"), "images": [{"path": "../a"}]}, r"image 0: ../a lies outside .*; only files of"),
        ({"messages": turns("<image>"), "images": [{"path": "none.png"}]}, "none.png cannot be read .*; put it there"),
        ({"messages": turns("a"), "meta": "[1]"}, "its meta must be a table, it is list"),
        ({"messages": turns("a"), "meta": "{"}, "its meta is not JSON"),
    ],
)
def test_a_row_that_cannot_be_read_says_which_and_why(row, message, tmp_path):
    with pytest.raises(DataError, match=f"sample part.parquet#3.*{message}"):
        sample(tmp_path, **row)


def test_a_row_numbered_from_nothing_keeps_its_number_and_meta_may_be_a_table():
    got = sample(id=0, messages=turns("a", "b"), meta={"page": 3})
    assert (got.id, got.meta) == ("0", {"page": 3})
    assert sample(id="", messages=turns("a", "b")).id == "part.parquet#3"


def test_a_picture_that_is_none_says_which_and_why():
    with pytest.raises(MediaError, match="sample part.parquet#3, image 1: not a picture"):
        sample(messages=turns("<image><image>"), images=[ONE.data, b"nothing"])
