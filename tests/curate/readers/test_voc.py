"""Reading a VOC folder: every file and object is used or dropped with its reason."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.curate.readers.voc import VocPhoto, find_files, read_photo
from mimovl.errors import DataError
from mimovl.store import Drop
from tests.curate.readers.voc_folder import SIZE, Object, jpeg, png_header, write_voc, xml


def read(
    tmp_path: Path, *, image: bytes | None = None, annotation: str | None = None
) -> tuple[VocPhoto | None, list[Drop]]:
    """One pair from a fresh folder."""
    write_voc(tmp_path, broken={"p": jpeg(1) if image is None else image}, annotation={"p": annotation or xml()})
    ((annotation_path, image_path),) = find_files(tmp_path).pairs
    return read_photo(annotation_path, image_path)


@pytest.mark.parametrize(
    ("images", "annotations"),
    [("images", "annotations"), ("JPEGImages", "Annotations"), ("", ""), ("Images", ""), ("", "annotations")],
)
def test_all_common_layouts_are_found(tmp_path: Path, images: str, annotations: str) -> None:
    write_voc(tmp_path, 3, images=images, annotations=annotations)
    found = find_files(tmp_path)
    assert [(a.name, i.name if i else "") for a, i in found.pairs] == [(f"p{n}.xml", f"p{n}.jpg") for n in range(3)]
    assert found.lone_images == ()


def test_files_without_a_partner_are_told_apart_and_litter_is_ignored(tmp_path: Path) -> None:
    write_voc(tmp_path, 2)
    (tmp_path / "images" / "p0.jpg").rename(tmp_path / "images" / "other.JPG")
    (tmp_path / "annotations" / "._p1.xml").write_bytes(b"\0\5")
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"x")
    found = find_files(tmp_path)
    assert [(a.stem, i is None) for a, i in found.pairs] == [("p0", True), ("p1", False)]
    assert [path.name for path in found.lone_images] == ["other.JPG"]
    photo, drops = read_photo(*found.pairs[0])
    assert photo is None and [drop.reason for drop in drops] == ["missing_image"]


def test_a_missing_or_empty_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        find_files(tmp_path / "none")
    with pytest.raises(DataError, match="holds no .xml file; expected images/ \\+ annotations/"):
        find_files(tmp_path)


def test_a_good_photo_gives_its_objects(tmp_path: Path) -> None:
    photo, drops = read(tmp_path)
    assert photo is not None and drops == []
    assert (photo.width, photo.height) == SIZE
    assert [(thing.name, thing.box) for thing in photo.objects][0] == ("RBC", (10.0, 20.0, 50.0, 60.0))
    assert not photo.doubtful and photo.num_clipped == 0 and not photo.size_from_header


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "empty_file"),
        (b"not a picture", "not_an_image"),
        (jpeg(1)[:1500], "corrupt_image"),
        (jpeg(1)[:20], "not_an_image"),
        (png_header(50_000, 50_000), "too_many_pixels"),
        (png_header(0, 10), "not_an_image"),
        (png_header(1000, 2), "aspect_ratio"),
    ],
)
def test_a_bad_photo_is_dropped_with_its_reason(tmp_path: Path, image: bytes, reason: str) -> None:
    photo, (drop,) = read(tmp_path, image=image, annotation=xml(size=None))
    assert photo is None
    assert (drop.id, drop.reason) == ("p", reason)
    assert drop.detail


def test_a_decompression_bomb_is_never_decoded(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read(tmp_path, image=png_header(50_000, 50_000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; decoding takes 7 GB


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<annotation><object>",
        "plain text",
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>',
        '<?xml version="1.0" encoding="no-such-encoding"?><annotation/>',
        "\0\0\0",
    ],
)
def test_an_unreadable_annotation_is_dropped(tmp_path: Path, text: str) -> None:
    write_voc(tmp_path, 1)
    path = tmp_path / "annotations" / "p0.xml"
    path.write_text(text)
    photo, (drop,) = read_photo(path, tmp_path / "images" / "p0.jpg")
    assert photo is None and drop.reason == "unreadable_annotation" and "p0.xml" in drop.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_dropped(tmp_path: Path) -> None:
    write_voc(tmp_path, 1)
    path = tmp_path / "annotations" / "p0.xml"
    path.chmod(0)
    assert read_photo(path, tmp_path / "images" / "p0.jpg")[1][0].reason == "unreadable_annotation"


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (("", (1, 1, 9, 9)), "no_class_name"),
        (("RBC", (50, 20, 10, 60)), "flipped_box"),
        (("RBC", (10, 60, 50, 20)), "flipped_box"),
        (("RBC", (10, 20, 10, 60)), "empty_box"),
        (("RBC", (10, 20, 10, 20)), "empty_box"),
        (("RBC", (168, 20, 190, 60)), "outside_picture"),
        (("RBC", (-20, -20, -1, -1)), "outside_picture"),
        (("RBC", ("x", 1, 2, 3)), "unreadable_box"),
        (("RBC", ("nan", 1, 2, 3)), "unreadable_box"),
        (("RBC", (1, 1, "1e999", 3)), "unreadable_box"),
        (("RBC", ("", 1, 2, 3)), "unreadable_box"),
    ],
)
def test_a_bad_object_is_dropped_and_makes_its_class_doubtful(tmp_path: Path, thing: Object, reason: str) -> None:
    photo, (drop,) = read(tmp_path, annotation=xml([thing, ("WBC", (1, 1, 30, 30))]))
    assert photo is not None and [found.name for found in photo.objects] == ["WBC"]
    assert photo.doubtful == {thing[0]}
    assert (drop.id, drop.reason) == ("p#1", reason)


def test_a_photo_without_any_usable_object_is_dropped_with_its_objects(tmp_path: Path) -> None:
    photo, drops = read(tmp_path, annotation=xml([("RBC", (5, 5, 5, 5))]))
    assert photo is None and [drop.reason for drop in drops] == ["empty_box", "no_objects"]
    photo, drops = read(tmp_path, annotation=xml([]))
    assert photo is None and [drop.reason for drop in drops] == ["no_objects"]


def test_a_box_over_the_border_is_clipped_and_counted(tmp_path: Path) -> None:
    photo, drops = read(
        tmp_path, annotation=xml([("a", (-5, 0, 20, 30)), ("b", (100, 50, 168.5, 112)), ("c", (0, 0, 168, 112))])
    )
    assert photo is not None and drops == []
    assert [thing.box for thing in photo.objects] == [(0, 0, 20, 30), (100, 50, 168, 112), (0, 0, 168, 112)]
    assert photo.num_clipped == 2


def test_the_photos_own_size_wins_where_the_boxes_fit_it(tmp_path: Path) -> None:
    photo, drops = read(tmp_path, annotation=xml(size=(500, 400)))
    assert photo is not None and photo.size_from_header and (photo.width, photo.height) == SIZE and drops == []
    photo, _ = read(tmp_path, annotation=xml(size=None))
    assert photo is not None and not photo.size_from_header
    photo, _ = read(tmp_path, annotation=xml(size=(0, 0)))
    assert photo is not None and not photo.size_from_header


def test_a_photo_of_another_size_than_its_boxes_need_is_dropped(tmp_path: Path) -> None:
    photo, (drop,) = read(tmp_path, annotation=xml([("a", (10, 10, 400, 300))], size=(500, 400)))
    assert photo is None and drop.reason == "size_disagrees"
    assert "500×400" in drop.detail and "168×112" in drop.detail and "400" in drop.detail


def test_a_photo_turned_by_its_exif_tag_is_measured_upright(tmp_path: Path) -> None:
    turned = jpeg(1, exif=6)
    photo, _ = read(tmp_path, image=turned, annotation=xml([("a", (10, 10, 60, 100))], size=(112, 168)))
    assert photo is not None and (photo.width, photo.height) == (112, 168)
    photo, (drop,) = read(tmp_path, image=turned, annotation=xml([("a", (10, 10, 60, 100))], size=(168, 112)))
    assert photo is None and drop.reason == "rotated_photo"


@settings(max_examples=60)
@given(data=st.binary(max_size=200))
def test_any_bytes_as_annotation_or_photo_are_read_or_dropped(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "p.xml").write_bytes(data)
    (folder / "p.jpg").write_bytes(data)
    (folder / "good.xml").write_text(xml())
    assert read_photo(folder / "p.xml", folder / "p.jpg")[0] is None
    assert read_photo(folder / "good.xml", folder / "p.jpg")[0] is None
