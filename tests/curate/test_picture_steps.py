"""Steps about single pictures."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mimovl.curate.phash import HASH_NAMES, hash_images
from mimovl.curate.picture_steps import CheckPictures, HashPictures
from mimovl.curate.pipeline.tools import PlainTools
from mimovl.curate.step import Dropped
from mimovl.types import Sample
from tests.curate.pictures import encoded, sample_of, small_photo

TOOLS = PlainTools(Path("nowhere"))


def torn(sample: Sample) -> Sample:
    """The same with half its picture's bytes, as a reader of headers would take it."""
    (media,) = sample.media.values()
    data = media.data[: len(media.data) // 2]
    cut = replace(media, data=data, sha256=hashlib.sha256(data).hexdigest())
    parts = tuple(replace(part, media=cut.sha256) if part.media else part for part in sample.messages[0].content)
    return replace(sample, id="torn", media={cut.sha256: cut}, messages=(replace(sample.messages[0], content=parts),))


def test_pictures_that_do_not_decode_or_fit_are_dropped_with_the_reason() -> None:
    good = sample_of("good", "x", encoded(small_photo(1)))
    batch = [
        good,
        torn(good),
        sample_of("small", "x", encoded(small_photo(2, 20, 40))),
        sample_of("long", "x", encoded(small_photo(3, 400, 40))),
        sample_of("words", "x"),
    ]
    results = CheckPictures(most_aspect=5).open(TOOLS)(batch)
    assert results[0] is good and results[4] is batch[4]
    reasons = [result.reason for result in results if isinstance(result, Dropped)]
    assert reasons == ["truncated", "too_small", "too_long"]
    assert CheckPictures(needed=True).open(TOOLS)(batch[4:]) == [Dropped("no_picture")]


def test_hashes_in_meta_are_those_of_the_library() -> None:
    pictures = [encoded(small_photo(n)) for n in range(4)]
    batch = [
        sample_of("a", "x", *pictures[:2]),
        sample_of("b", "x", pictures[2]),
        sample_of("c", "x"),
        torn(sample_of("d", "x", pictures[3])),
    ]
    for bits in (64, 256):
        found = HashPictures(bits=bits).open(TOOLS)(batch)  # type: ignore[arg-type]
        words = hash_images(pictures[:3], bits).reshape(3, -1)
        expected = ["".join(f"{int(word):016x}" for word in row) for row in np.asarray(words)]
        assert isinstance(found[0], Sample) and isinstance(found[1], Sample)
        assert [*found[0].meta["phash"], *found[1].meta["phash"]] == expected
        assert found[0].meta["phash_name"] == HASH_NAMES[bits] and found[2] is batch[2]
        assert isinstance(found[3], Dropped)
