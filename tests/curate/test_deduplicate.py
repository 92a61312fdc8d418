"""Near-duplicates as a step: one sample a picture whatever the order, its explanation, its exceptions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from mimovl.curate.deduplicate import Deduplicate
from mimovl.curate.pipeline.tools import PlainTools
from mimovl.curate.step import Dropped
from mimovl.types import Media, Message, Part, Sample
from tests.curate.pictures import small_photo as photo


def media(image: Image.Image, quality: int = 90) -> Media:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    data = buffer.getvalue()
    return Media(hashlib.sha256(data).hexdigest(), "image", data, *image.size)


def shows(name: str, *pictures: Media) -> Sample:
    parts = [Part("image", media=one.sha256) for one in pictures]
    held = {one.sha256: one for one in pictures}
    return Sample(name, (Message("assistant", (*parts, Part("text", "words"))),), held)


def decide(step: Deduplicate, chunks: Sequence[Sequence[Sample]], folder: Path) -> dict[str, Any]:
    tools = PlainTools(folder)
    decision = step.settle(iter([step.observe(chunk, tools) for chunk in chunks]), tools)
    found: dict[str, Any] = {}
    for number, chunk in enumerate(chunks):
        for sample, result in zip(chunk, step.decide(chunk, number, decision, tools), strict=True):
            found[sample.id] = None if result is sample else result
    return found


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    one, two = photo(1), photo(2)
    small = one.resize((one.width // 2, one.height // 2))
    return {
        "large": shows("large", media(one)),
        "small": shows("small", media(small)),
        "same": shows("same", media(one)),
        "other": shows("other", media(two)),
        "mirrored": shows("mirrored", media(ImageOps.mirror(one), 80)),
        "both": shows("both", media(small), media(two, 60)),
        "half": shows("half", media(small), media(photo(3))),
        "words": shows("words"),
    }


def names(found: dict[str, Any]) -> dict[str, str]:
    return {name: result.reason for name, result in found.items() if result is not None}


def test_one_sample_of_each_picture_stays_for_any_order_and_cut(samples: dict[str, Sample], tmp_path: Path) -> None:
    every = list(samples.values())
    expected = {"same": "same_file", "small": "near_duplicate", "both": "near_duplicate"}
    for order in (every, every[::-1], every[3:] + every[:3]):
        for size in (1, 3, 8):
            chunks = [order[start : start + size] for start in range(0, len(order), size)]
            assert names(decide(Deduplicate(), chunks, tmp_path)) == expected


def test_the_drop_says_which_copy_is_kept_and_why(samples: dict[str, Sample], tmp_path: Path) -> None:
    found = decide(Deduplicate(), [list(samples.values())], tmp_path)
    assert "a copy of large" in found["small"].detail and "which is larger" in found["small"].detail
    assert found["same"] == Dropped("same_file", "the very file of large")


def test_mirrored_copies_count_where_asked_and_same_files_stay_where_asked(
    samples: dict[str, Sample], tmp_path: Path
) -> None:
    every = [samples[name] for name in ("large", "same", "mirrored")]
    assert names(decide(Deduplicate(orientations="mirrored"), [every], tmp_path)) == {
        "same": "same_file", "mirrored": "near_duplicate"
    }  # fmt: skip
    assert names(decide(Deduplicate(same_file="all"), [every], tmp_path)) == {}


def test_a_sample_whose_picture_does_not_decode_goes_with_that_reason(
    samples: dict[str, Sample], tmp_path: Path
) -> None:
    whole = next(iter(samples["other"].media.values()))
    torn = replace(whole, data=whole.data[:200], sha256=hashlib.sha256(whole.data[:200]).hexdigest())
    found = decide(Deduplicate(), [[samples["large"], shows("torn", torn)]], tmp_path)
    assert set(names(found)) == {"torn"} and names(found)["torn"] in ("truncated", "corrupt_image", "not_an_image")


def test_samples_of_one_id_are_told_apart(samples: dict[str, Sample], tmp_path: Path) -> None:
    same = [samples["large"], replace(samples["same"], id="large")]
    step, tools = Deduplicate(), PlainTools(tmp_path)
    decision = step.settle(iter([step.observe([one], tools) for one in same]), tools)
    assert step.decide([same[0]], 0, decision, tools) == [same[0]]
    assert isinstance(step.decide([same[1]], 1, decision, tools)[0], Dropped)
    assert step.settle(iter([step.observe([samples["words"]], tools)]), tools) == {}
