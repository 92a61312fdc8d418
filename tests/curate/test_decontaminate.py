import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.dedup_quality import page
from mimovl.curate.benchmark_items import BenchmarkItem
from mimovl.curate.decontaminate import Audit, decontaminate
from mimovl.curate.grey import turned
from mimovl.errors import UsageError
from mimovl.store import Dataset, DatasetWriter
from mimovl.types import Sample
from tests.curate.pictures import encoded, sample_of, small_photo

QUESTION = "which of the three bridges drawn in the figure carries the heaviest load when the wind blows from the west"


def written(path: Path, samples: list[Sample]) -> Dataset:
    with DatasetWriter(path) as writer:
        for sample in samples:
            writer.add(sample)
        writer.drop("earlier", "too_small", "3 pixels")
    return Dataset.open(path)


def benchmark() -> list[BenchmarkItem]:
    items = [BenchmarkItem("photos", f"q{n}", (encoded(small_photo(n), "PNG"),)) for n in range(6)]
    return [*items, BenchmarkItem("words", "bridge", texts=(QUESTION.title() + "?",))]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Audit]:
    """A training set with each benchmark picture in each orientation, one question, and forty clean samples."""
    folder = tmp_path_factory.mktemp("leaks")
    samples = [
        sample_of(
            f"leak-{n}-{turn}",
            "What is it?",
            encoded(Image.fromarray(np.ascontiguousarray(turned(np.asarray(small_photo(n)), turn))), quality=80),
        )
        for n in range(6)
        for turn in range(8)
    ]
    samples += [sample_of(f"clean-{n}", f"What is thing {n}?", encoded(small_photo(100 + n))) for n in range(40)]
    samples.append(sample_of("words", f"Read this first. Now {QUESTION}, if any does?"))
    dataset = written(folder / "train", samples)
    return folder / "out", decontaminate(dataset, benchmark, folder / "out")


def test_planted_pictures_are_found_in_every_orientation_and_nothing_else_is(audited: tuple[Path, Audit]) -> None:
    out, audit = audited
    kept = Dataset.open(out / "data").ids
    assert kept == [f"clean-{n}" for n in range(40)]
    assert {leak.sample for leak in audit.leaks if leak.kind == "image"} == {
        f"leak-{n}-{turn}" for n in range(6) for turn in range(8)
    }
    assert all(leak.sample.startswith(f"leak-{leak.item[1:]}-") for leak in audit.leaks if leak.kind == "image")
    assert (audit.samples, audit.kept, audit.items) == (89, 40, {"photos": 6, "words": 1})


def test_a_question_is_found_in_other_case_and_punctuation(audited: tuple[Path, Audit]) -> None:
    found = [leak for leak in audited[1].leaks if leak.kind == "text"]
    assert [(leak.sample, leak.benchmark, leak.item) for leak in found] == [("words", "words", "bridge")]


def test_drops_name_the_item_and_earlier_drops_are_kept(audited: tuple[Path, Audit]) -> None:
    drops = {drop.id: drop for drop in Dataset.open(audited[0] / "data").drops()}
    assert drops["earlier"].reason == "too_small"
    assert drops["words"].reason == "leaked_text" and drops["words"].detail.startswith("words bridge: 100%")
    assert drops["leak-3-4"].reason == "leaked_image" and "mirrored" in drops["leak-3-4"].detail
    assert len(drops) == 50


def test_the_page_shows_pairs_and_fetches_nothing(audited: tuple[Path, Audit]) -> None:
    page_text = (audited[0] / "audit.html").read_text(encoding="utf-8")
    assert page_text.count("data:image/jpeg;base64,") == 2 * 48
    assert "http" not in page_text and "heaviest load" in page_text
    assert len(json.loads((audited[0] / "audit.json").read_text())["leaks"]) == 49


def test_unreadable_pictures_stay_and_are_counted(tmp_path: Path) -> None:
    good = encoded(small_photo(1))
    broken = sample_of("broken", "?", good)
    cut = good[:-400]
    media = next(iter(broken.media.values()))
    import hashlib
    from dataclasses import replace

    key = hashlib.sha256(cut).hexdigest()
    message = replace(broken.messages[0], content=(replace(broken.messages[0].content[0], media=key),))
    damaged = replace(broken, media={key: replace(media, data=cut, sha256=key)}, messages=(message,))
    items = [BenchmarkItem("b", "1", (b"no picture", encoded(small_photo(2))))]
    audit = decontaminate(written(tmp_path / "train", [damaged]), lambda: items, tmp_path / "out")
    assert (audit.kept, audit.leaks) == (1, [])
    assert audit.unread == {"pictures of benchmarks: not_an_image": 1, "media of the dataset: truncated": 1}


def test_another_page_of_text_is_no_leak_but_the_same_one_is(tmp_path: Path) -> None:
    marked = page(1)
    ImageDraw.Draw(marked).rectangle((60, 60, 300, 110), "white")
    samples = [sample_of("same", "?", encoded(page(1), quality=70)), sample_of("edited", "?", encoded(marked))]
    samples += [sample_of(f"other-{n}", "?", encoded(page(n))) for n in range(2, 8)]
    items = [BenchmarkItem("pages", "1", (encoded(page(1), "PNG"),))]
    audit = decontaminate(written(tmp_path / "train", samples), lambda: items, tmp_path / "out")
    assert [leak.sample for leak in audit.leaks] == ["same"]


def test_nothing_to_check_against_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    dataset = written(tmp_path / "train", [sample_of("a", "b")])
    with pytest.raises(UsageError, match="nothing to check against"):
        decontaminate(dataset, list, tmp_path / "out")
    assert not (tmp_path / "out").exists()
