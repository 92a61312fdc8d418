import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mimovl.curate.ocr import faces
from mimovl.curate.ocr.faces import Face, Faces, find_faces, font
from mimovl.errors import DataError
from tests.curate.ocr.drawing import needs_chinese


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """The search starts anew in each test and after it."""
    find_faces.cache_clear()
    yield
    find_faces.cache_clear()


def test_pillows_own_face_is_always_there() -> None:
    found = find_faces()
    assert found.latin[0] == Face("", name="Pillow")
    assert all(font(face, 20).getmask("Ag").getbbox() for face in found.latin)


def test_without_fontconfig_there_is_still_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert find_faces().latin == (Face("", name="Pillow"),)


def test_a_folder_of_fonts_is_used_alone(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "brushy.ttf").write_bytes(font(Face(""), 12).font_bytes)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    found = find_faces(str(tmp_path))
    assert [face.name for face in found.latin] == ["brushy"] and found.latin[0].hand


def test_a_folder_without_fonts_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no font file \(.ttf"):
        find_faces(str(tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        find_faces(str(tmp_path / "none"))


def test_faces_that_look_written_are_preferred_for_hands() -> None:
    plain, hand = Face("a", name="Serif"), Face("b", name="Some Script")
    both = Faces((plain, hand), (plain,))
    assert both.of(chinese=False, hand=True) == (hand,)
    assert both.of(chinese=False) == (plain, hand)
    assert both.of(chinese=True, hand=True) == (plain,)


def test_a_face_without_chinese_letters_is_no_chinese_face() -> None:
    assert not faces._draws(Face(""), "中")


@needs_chinese
def test_chinese_faces_draw_chinese_letters() -> None:
    for face in find_faces().chinese:
        assert bytes(font(face, 20).getmask("中")) != bytes(font(face, 20).getmask("文"))
