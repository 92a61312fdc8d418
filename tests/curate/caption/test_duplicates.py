import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from mimovl.curate.caption.duplicates import PictureDuplicates, TextDuplicates
from mimovl.curate.step import Dropped, Result, WholeStep
from mimovl.types import Media, Sample
from tests.curate.caption.sample import ToolsOfTests, caption, run_whole


def survivors(results: list[list[Result]]) -> list[str]:
    return [result.id for shard in results for result in shard if isinstance(result, Sample)]


def run(step: WholeStep, *shards: list[Sample], seed: int = 0) -> list[list[Result]]:
    return run_whole(step, shards, ToolsOfTests(seed=seed))


def test_so_many_captions_of_one_text_stay_and_the_same_for_any_shards() -> None:
    step = TextDuplicates(copies=3)
    samples = [caption("Click to see the whole gallery", f"b{number}") for number in range(20)]
    samples += [caption(f"A {animal} in the grass", animal) for animal in ("cat", "dog", "cow")]
    kept = survivors(run(step, samples))
    assert len([name for name in kept if name.startswith("b")]) == 3 and {"cat", "dog", "cow"} <= set(kept)
    assert survivors(run(step, samples[:7], samples[7:8], samples[8:])) == kept
    assert sorted(survivors(run(step, samples[::-1]))) == sorted(kept)
    assert survivors(run(step, samples, seed=1)) != kept


def test_a_nearly_equal_text_counts_as_a_copy_unless_only_equal_ones_shall() -> None:
    text = "buy the new summer collection of shoes and bags in our store for half the price until sunday"
    samples = [caption(text, "one"), caption(f"{text} evening", "two"), caption("a cat", "three")]
    results = run(TextDuplicates(copies=1), samples)[0]
    (dropped,) = [result for result in results if isinstance(result, Dropped)]
    assert dropped.reason == "text_duplicate" and "one of 2 captions of nearly one text, 1 stay" in dropped.detail
    assert len(survivors(run(TextDuplicates(copies=1, likeness=1.0), samples))) == 3


def photo(seed: int, side: int = 320) -> Image.Image:
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return noise.resize((side, side), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


def shown(image: Image.Image, name: str, text: str, quality: int = 90) -> Sample:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    media = Media(name, "image", file.getvalue(), *image.size)
    return replace(caption(text, name, picture=b"1"), media={"image": media})


@pytest.fixture
def pictures() -> list[Sample]:
    return [
        shown(photo(1), "large", "A hill at dawn in the fog"),
        shown(photo(1).resize((200, 200)), "small", "Sunrise"),
        shown(photo(1), "again", "a hill at dawn in the fog!", quality=40),
        shown(ImageOps.mirror(photo(1)).resize((280, 280)), "mirror", "Sunrise"),
        shown(photo(2), "other", "Sunrise"),
    ]


def test_of_one_picture_the_largest_copy_stays(pictures: list[Sample]) -> None:
    results = run(PictureDuplicates(), pictures)
    assert survivors(results) == ["large", "mirror", "other"]
    dropped = [result for result in results[0] if isinstance(result, Dropped)]
    assert {one.reason for one in dropped} == {"picture_duplicate"}
    assert all("large" in one.detail for one in dropped)
    assert survivors(run(PictureDuplicates(), pictures[:1], pictures[1:3], pictures[3:])) == [
        "large",
        "mirror",
        "other",
    ]
    assert sorted(survivors(run(PictureDuplicates(), pictures[::-1]))) == ["large", "mirror", "other"]


def test_another_text_of_the_same_picture_stays_where_texts_must_agree(pictures: list[Sample]) -> None:
    kept = survivors(run(PictureDuplicates(texts="same"), pictures))
    assert kept == ["large", "small", "mirror", "other"]


def test_a_mirrored_copy_goes_where_it_counts(pictures: list[Sample]) -> None:
    assert survivors(run(PictureDuplicates(mirrored=True), pictures)) == ["large", "other"]


def test_captions_without_a_readable_picture_are_left_to_other_steps() -> None:
    broken = replace(caption("a", "broken", picture=b"1"), media={"image": Media("x", "image", b"no jpeg", 9, 9)})
    samples = [caption("text alone", "text"), broken, shown(photo(1), "one", "a")]
    assert survivors(run(PictureDuplicates(), samples, [])) == ["text", "broken", "one"]
    assert survivors(run(PictureDuplicates(), [caption("text alone", "text")])) == ["text"]


def test_no_shards_give_no_decision() -> None:
    for step in (TextDuplicates(), PictureDuplicates()):
        assert step.settle(iter(()), ToolsOfTests()) == {}
    assert Counter(survivors(run(TextDuplicates(), [], []))) == Counter()
