"""Which pictures stay in a document; every one that goes is counted by its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mimovl.curate.interleaved.blocks import blocks_of
from mimovl.curate.interleaved.pictures import DecorativePictures, PictureFilter, without_pictures
from mimovl.curate.step import Dropped
from mimovl.media_check import check_media
from mimovl.types import Sample
from tests.curate.interleaved.documents import Bench, flat, make, show, text

QUIET = pytest.mark.filterwarnings("ignore:picture_filter")


def run(step: PictureFilter, sample: Sample, folder: Path) -> Sample:
    (result,) = step.open(Bench(folder))([sample])
    assert isinstance(result, Sample)
    return result


@QUIET
def test_small_odd_and_empty_pictures_go_and_the_rest_stays(tmp_path: Path) -> None:
    sample = make(
        text("a"), show(1), show(2, (40, 30)), text("b"), show(3, (900, 70)), flat(), pictures_dropped={"x": 1}
    )
    left = run(PictureFilter(), sample, tmp_path)
    assert [block.kind for block in blocks_of(left)] == ["text", "picture", "text"]
    assert left.meta["pictures_dropped"] == {"low_information": 1, "odd_aspect": 1, "too_small": 1, "x": 1}
    assert left.meta["unsafe_checked"] is False
    check_media(left)


def test_the_absence_of_a_classifier_is_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no classifier of unsafe pictures"):
        PictureFilter().open(Bench(tmp_path))


def red_is_unsafe(pictures: Sequence[bytes]) -> list[float]:
    """The second picture asked about is unsafe."""
    return [float(number == 1) for number in range(len(pictures))]


def test_unsafe_pictures_go_by_the_users_own_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setattr(json, "unsafe", red_is_unsafe, raising=False)
    sample = make(text("a"), show(1), show(2), show(3))
    left = run(PictureFilter(unsafe="json:unsafe"), sample, tmp_path)
    assert list(left.media) == [key for key in sample.media if key != list(sample.media)[1]]
    assert left.meta["pictures_dropped"] == {"unsafe": 1} and left.meta["unsafe_checked"] is True


@QUIET
def test_a_document_without_pictures_is_dropped_where_the_recipe_says_so(tmp_path: Path) -> None:
    (result,) = PictureFilter(min_pictures=1).open(Bench(tmp_path))([make(text("a"), flat())])
    assert result == Dropped("no_pictures", "0 of 1 pictures are left")


def test_a_caption_goes_with_its_only_picture() -> None:
    sample = make(text("a"), show(1), text("Figure 1: x", "caption"), text("b"), show(2), text("c", "caption"), show(3))
    keys = list(sample.media)
    left = without_pictures(sample, {keys[0]: "x", keys[1]: "x"})
    assert [block.text for block in blocks_of(left)] == ["a", "b", "c", ""]


def test_what_stands_in_many_documents_of_a_site_is_decoration(tmp_path: Path) -> None:
    step, tools = DecorativePictures(max_documents=2), Bench(tmp_path)
    logo, own = show(1), show(50)
    shards = [[make(logo, text(str(n)), own if n == 0 else show(90 + n), name=f"d{n}")] for n in range(4)]
    elsewhere = [make(logo, text("x"), name="e", site="other")]
    decision = step.settle(iter([step.observe(shard, tools) for shard in [*shards, elsewhere]]), tools)
    kept = [step.decide(shard, n, decision, tools)[0] for n, shard in enumerate([*shards, elsewhere])]
    assert all(isinstance(one, Sample) for one in kept)
    assert [len(one.media) for one in kept if isinstance(one, Sample)] == [1, 1, 1, 1, 1]
    first, last = kept[0], kept[-1]
    assert isinstance(first, Sample) and first.meta["pictures_dropped"] == {"decoration": 1}
    assert isinstance(last, Sample) and logo.media is not None and logo.media.sha256 in last.media


def test_decoration_does_not_depend_on_how_documents_are_sharded(tmp_path: Path) -> None:
    step, tools = DecorativePictures(max_documents=1), Bench(tmp_path)
    samples = [make(show(n % 3), text(str(n)), name=f"d{n}") for n in range(6)]
    one = step.settle(iter([step.observe(samples, tools)]), tools)
    six = step.settle(iter([step.observe([sample], tools) for sample in samples]), tools)
    assert one == six and len(one) == 3


def test_a_picture_often_in_one_document_is_decoration(tmp_path: Path) -> None:
    step, tools = DecorativePictures(max_in_document=3), Bench(tmp_path)
    sample = make(*[block for n in range(4) for block in (show(1), text(str(n)))], show(2))
    decision = step.settle(iter([step.observe([sample], tools)]), tools)
    (left,) = step.decide([sample], 0, decision, tools)
    assert isinstance(left, Sample) and len(left.media) == 1 and left.meta["pictures_dropped"] == {"decoration": 4}
