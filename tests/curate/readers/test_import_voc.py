"""Importing: a deterministic split that never shows a held-out photo in training, and all drops listed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from mimovl.curate.readers.import_voc import import_voc, look_alikes
from mimovl.errors import DataError, UsageError
from mimovl.store import Dataset
from tests.curate.readers.voc_folder import jpeg, write_voc, xml

BCCD = Path(os.environ.get("MIMOVL_BCCD", Path(__file__).parents[4] / "shared" / "data" / "bccd"))


def scenes(path: Path) -> set[str]:
    return {sample.meta["scene"] for sample in Dataset.open(path)}


def test_the_split_is_decided_by_the_seed_alone(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", 10)
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        import_voc(tmp_path / "in", tmp_path / out, heldout=4, seed=seed)
    assert scenes(tmp_path / "a" / "heldout") == scenes(tmp_path / "b" / "heldout")
    assert scenes(tmp_path / "a" / "heldout") != scenes(tmp_path / "c" / "heldout")
    assert len(scenes(tmp_path / "a" / "heldout")) == 4 and len(scenes(tmp_path / "a" / "train")) == 6
    assert not scenes(tmp_path / "a" / "heldout") & scenes(tmp_path / "a" / "train")


def test_a_tenth_is_held_out_where_nothing_is_said(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", 12)
    assert import_voc(tmp_path / "in", tmp_path / "o").photos == {"train": 11, "heldout": 1}


def test_look_alikes_stay_on_one_side(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "in", 8)
    for number in range(8):
        bright = ImageEnhance.Brightness(Image.open(io.BytesIO(jpeg(number)))).enhance(1.1).resize((336, 224))
        bright.save(folder / "images" / f"twin{number}.jpg", quality=60)
        (folder / "annotations" / f"twin{number}.xml").write_text(xml(size=None))
    summary = import_voc(folder, tmp_path / "o", heldout=6)
    held, train = scenes(tmp_path / "o" / "heldout"), scenes(tmp_path / "o" / "train")
    assert len(held) == 6 and len(train) == 10
    assert {name.replace("twin", "p") for name in held} == {name for name in held if name[0] == "p"}
    assert summary.dropped == {}


def test_the_same_file_twice_is_kept_once(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", 3, broken={"q": jpeg(0)})
    import_voc(tmp_path / "in", tmp_path / "o", heldout=1)
    drops = Dataset.open(tmp_path / "o" / "train").drops()
    assert [(drop.id, drop.reason, drop.detail) for drop in drops] == [("q", "duplicate_photo", "the same file as p0")]


def test_a_split_file_is_followed_and_lookalikes_of_heldout_photos_leave_training(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "in", 5, broken={"twin": jpeg(77, quality=40), "bad": b""})
    (tmp_path / "split.txt").write_text("JPEGImages/p2.jpg\n\np4 -1\nbad\n")
    (folder / "images" / "p2.jpg").write_bytes(jpeg(77))
    summary = import_voc(folder, tmp_path / "o", split=tmp_path / "split.txt")
    assert scenes(tmp_path / "o" / "heldout") == {"p2", "p4"}
    assert scenes(tmp_path / "o" / "train") == {"p0", "p1", "p3"}
    assert summary.dropped == {"empty_file": 1, "same_as_heldout": 1}


def test_a_split_file_that_names_strangers_is_refused(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", 3)
    (tmp_path / "split.txt").write_text("p1\nx\ny\n")
    with pytest.raises(DataError, match="names 2 of 3 photos that are not in the folder: x, y"):
        import_voc(tmp_path / "in", tmp_path / "o", split=tmp_path / "split.txt")
    (tmp_path / "split.txt").write_text("\n")
    with pytest.raises(UsageError, match="names no photo"):
        import_voc(tmp_path / "in", tmp_path / "o", split=tmp_path / "split.txt")
    assert not (tmp_path / "o").exists()


def test_every_file_is_used_or_listed(tmp_path: Path) -> None:
    folder = write_voc(
        tmp_path / "in",
        4,
        broken={"zero": b"", "cut": jpeg(9)[:1500]},
        annotation={
            "clip": xml([("a", (-4, 1, 20, 20))]),
            "doubt": xml([("a", (5, 5, 5, 5)), ("a", (1, 1, 9, 9))]),
            "out": xml([("a", (900, 5, 950, 9))]),
            "size": xml(size=(200, 150)),
        },
    )
    (folder / "annotations" / "lost.xml").write_text(xml())
    (folder / "images" / "lone.png").write_bytes(jpeg(50))
    summary = import_voc(folder, tmp_path / "o", heldout=2, names={"A": "thing"})
    train, heldout = Dataset.open(tmp_path / "o" / "train"), Dataset.open(tmp_path / "o" / "heldout")
    assert summary.photos == {"train": 4, "heldout": 2}
    assert summary.dropped == {
        "corrupt_image": 1, "empty_box": 1, "empty_file": 1, "missing_annotation": 1, "missing_image": 1,
        "no_objects": 1, "nothing_to_ask": 1, "outside_picture": 1,
    }  # fmt: skip
    assert len(train.drops()) + len(heldout.drops()) == sum(summary.dropped.values())
    assert summary.notes == {"clipped_boxes": 1, "sizes_from_header": 1}
    assert train.manifest["notes"]["clipped_boxes"] == 1
    assert "dropped: corrupt_image 1" in str(summary) and "mended: clipped_boxes 1" in str(summary)
    used = scenes(tmp_path / "o" / "train") | scenes(tmp_path / "o" / "heldout")
    dropped = {drop.id.partition("#")[0] for drop in [*train.drops(), *heldout.drops()]}
    assert used | dropped == {"p0", "p1", "p2", "p3", "zero", "cut", "clip", "doubt", "out", "size", "lost", "lone"}


def test_a_folder_without_any_usable_photo_says_why_and_writes_nothing(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", broken={"a": b"", "b": b"x"})
    with pytest.raises(DataError, match="has no usable photo among 2 annotations .*empty_file 1, not_an_image 1"):
        import_voc(tmp_path / "in", tmp_path / "o")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_progress_counts_up_to_the_number_of_annotations(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", 3)
    seen: list[tuple[int, int]] = []
    import_voc(tmp_path / "in", tmp_path / "o", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_hashes_within_eight_bits_are_one_group_also_by_chains() -> None:
    assert len(set(look_alikes([0, 0xFF, 0xFFFF, 1 << 63 | 0xFFFFFFFF]))) == 2
    assert len(set(look_alikes([0, 0x1FF]))) == 2
    assert look_alikes([]) == []
    assert len(set(look_alikes([2**64 - 1, 2**64 - 2]))) == 1


@pytest.mark.skipif(not BCCD.is_dir(), reason=f"the 304 microscope photos are not at {BCCD}; set MIMOVL_BCCD")
def test_real_microscope_photos_are_all_used(tmp_path: Path) -> None:
    names = {"RBC": "red blood cell", "WBC": "white blood cell", "Platelets": "platelet"}
    summary = import_voc(BCCD, tmp_path / "o", heldout=50, names=names)
    assert summary.photos == {"train": 254, "heldout": 50}
    assert summary.classes == {"red blood cell": 3456, "white blood cell": 310, "platelet": 302}
    assert summary.dropped == {"empty_box": 1}
    sample = Dataset.open(tmp_path / "o" / "train")[0]
    (media,) = sample.media.values()
    assert (media.width, media.height) == (640, 480)
