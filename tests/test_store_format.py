"""A Sample as a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.store_format import row_to_sample, sample_to_row, tar_header
from mimovl.types import Gold, Media, Message, Part, Sample
from tests.store_samples import picture, sample

_text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


@given(
    texts=st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), st.lists(_text, max_size=3)), min_size=1
    ),
    answer=_json,
    meta=st.dictionaries(_text, _json, max_size=3),
    name=_text.filter(bool),
)
def test_any_sample_survives_the_round_trip(texts: Any, answer: Any, meta: Any, name: str) -> None:
    messages = tuple(Message(role, tuple(Part("text", text=t) for t in parts)) for role, parts in texts)
    original = Sample(name, messages, {}, name, name, name, Gold("text", answer, meta), meta)
    assert row_to_sample(sample_to_row(original), {}) == original


def test_pictures_keep_their_place_among_the_text() -> None:
    first, second = picture(1), picture(2)
    original = sample(3, second, first)
    row = sample_to_row(original)
    assert row["media"] == [second.sha256, first.sha256]
    assert row_to_sample(row, dict(original.media)) == original


def _change(**fields: Any) -> Sample:
    base = {"id": "a", "messages": (Message("user", (Part("text", text="x"),)),)}
    return Sample(**{**base, **fields})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _change(id=""), "without an id"),
        (lambda: _change(messages=()), "has no messages"),
        (lambda: _change(messages=(Message("user", (Part("image", media="abc"),)),)), "is not among its 0 media"),
        (lambda: _change(meta={"x": np.float32(1)}), "meta cannot be written as JSON"),
        (lambda: _change(gold=Gold("box", [float("nan")])), "gold cannot be written as JSON"),
        (lambda: _change(task="\ud800"), "no Unicode text"),
        (lambda: _change(messages=(Message("user", (Part("text", text="\udfff"),)),)), "no Unicode text"),
    ],
)
def test_a_sample_that_cannot_be_kept_is_named(make: Callable[[], Sample], message: str) -> None:
    with pytest.raises(DataError, match=message):
        sample_to_row(make())


def test_a_clip_may_not_stand_where_a_picture_is_announced() -> None:
    media = picture(1)
    clip = Media(media.sha256, "video", media.data, 28, 56, 4, 2.0)
    wrong = Sample("a", (Message("user", (Part("image", media=clip.sha256),)),), {clip.sha256: clip})
    with pytest.raises(DataError, match="is a video"):
        sample_to_row(wrong)


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (b"\x89PNG\r\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpg"),
        (b"RIFF0000WEBP", "webp"),
        (b"0000ftypisom", "mp4"),
        (b"?", "bin"),
    ],
)
def test_a_member_is_named_by_hash_and_kind_of_file(data: bytes, extension: str) -> None:
    header = tar_header(Media("ab" * 32, "image", data, 1, 1))
    assert len(header) == 512
    assert header.startswith(f"{'ab' * 32}.{extension}\0".encode())
