from dataclasses import replace

import pytest

from mimovl.errors import DataError
from mimovl.media_check import check_media
from mimovl.store import DatasetWriter
from mimovl.types import Message, Part
from tests.data import small

PICTURES = small.picture(60, 90), small.picture(90, 60, 1)
SAMPLE = small.conversation(*PICTURES)


def typed(token: str, times: int):
    message = Message("user", (Part("text", text=f"look {token * times} here"),))
    return replace(SAMPLE, messages=(message, *SAMPLE.messages))


BAD = [
    (typed("<|image_pad|>", 3), r"sample s: its text contains <\|image_pad\|>, .*: 3 of them for 2 images; take them"),
    (typed("<|video_pad|>", 1), r"sample s: its text contains <\|video_pad\|>, .*: 1 of them for 0 videos; take them"),
    (
        replace(SAMPLE, messages=SAMPLE.messages[1:]),
        r"sample s: its messages show 0 of the 2 images it holds; name each",
    ),
    (
        replace(small.conversation(PICTURES[0]), media=SAMPLE.media),
        r"sample s: its messages show 1 of the 2 images it holds",
    ),
]


def test_a_sample_whose_pictures_are_its_placeholders_passes() -> None:
    check_media(SAMPLE)
    check_media(small.conversation())
    check_media(small.conversation(small.clip(4, 2.0), *PICTURES))


@pytest.mark.parametrize(("sample", "message"), BAD)
def test_another_number_of_placeholders_is_refused_with_both_numbers(sample, message) -> None:
    with pytest.raises(DataError, match=message):
        check_media(sample)


@pytest.mark.parametrize(("sample", "message"), BAD)
def test_it_is_refused_when_data_is_written(sample, message, tmp_path) -> None:
    with DatasetWriter(tmp_path / "data") as writer:
        with pytest.raises(DataError, match=message):
            writer.add(sample)
        writer.add(SAMPLE)
    assert writer.close()["counts"]["kept"] == 1


@pytest.mark.parametrize(("sample", "message"), BAD)
def test_it_is_refused_when_data_is_read(sample, message) -> None:
    with pytest.raises(DataError, match=message):
        small.processor().encode(sample)


def test_one_picture_shown_twice_is_one_picture() -> None:
    part = Part("image", media=PICTURES[0].sha256)
    again = Message("user", (part, Part("text", text="and"), part))
    check_media(replace(small.conversation(PICTURES[0]), messages=(again, SAMPLE.messages[1])))
