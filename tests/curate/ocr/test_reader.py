import importlib.util
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from mimovl.curate.ocr import reader as module
from mimovl.curate.ocr.augment import Augmentation
from mimovl.curate.ocr.faces import Face, Faces
from mimovl.curate.ocr.reader import KINDS, OcrPages
from mimovl.curate.step import Dropped
from mimovl.data.image import open_image, smart_resize
from mimovl.errors import DataError, MissingExtraError
from mimovl.types import Sample

QUICK = {"receipt": 1.0, "table": 1.0, "scene": 1.0}


@pytest.fixture
def latin_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with Pillow's face alone."""
    monkeypatch.setattr(module, "find_faces", lambda folder="": Faces((Face("", name="Pillow"),), ()))
    yield


def pages(**fields: object) -> list[tuple[str, Sample | Dropped]]:
    reader = OcrPages(**{"kinds": QUICK, "pages": 12, **fields})  # type: ignore[arg-type]
    return [pair for unit in reader.units() for pair in reader.read(unit)]


@pytest.mark.usefixtures("latin_only")
def test_pages_are_the_same_for_any_division_into_units() -> None:
    whole, parts = pages(unit_pages=32), pages(unit_pages=5)
    assert whole == parts and len(whole) == 12
    assert [name for name, _ in whole] == [one.id for _, one in whole if isinstance(one, Sample)]
    assert len({name for name, _ in whole}) == 12
    assert pages(seed=1) != whole


@pytest.mark.usefixtures("latin_only")
def test_pictures_open_and_are_left_alone_by_smart_resize() -> None:
    formats: Counter[bytes] = Counter()
    for _, sample in pages(ask="questions", turns=4):
        assert isinstance(sample, Sample) and sample.gold is not None
        (media,) = sample.media.values()
        image = open_image(media.data)
        assert image.size == (media.width, media.height)
        assert smart_resize(image.height, image.width) == (image.height, image.width)
        for entry in sample.meta["objects"]:
            x1, y1, x2, y2 = entry["box"]
            assert 0 <= x1 < x2 <= image.width and 0 <= y1 < y2 <= image.height
        formats[media.data[:3]] += 1
    assert len(formats) == 2  # PNG and JPEG


@pytest.mark.usefixtures("latin_only")
def test_kinds_come_by_their_weights_and_sources_name_them() -> None:
    found = Counter(
        sample.source
        for _, sample in pages(pages=30, kinds={"table": 1.0, "receipt": 0.0})
        if isinstance(sample, Sample)
    )
    assert found == {"ocr/table": 30}
    with pytest.raises(ValidationError, match="scene"):
        OcrPages(kinds={"scenes": 1.0})
    with pytest.raises(ValidationError, match="above 0"):
        OcrPages(kinds={"scene": 0.0})
    assert set(OcrPages().kinds) == set(KINDS) - {"formula"}


@pytest.mark.usefixtures("latin_only")
def test_without_a_chinese_font_the_reader_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = pages(pages=4)
    assert "no Chinese font" in caplog.text and {one.language for _, one in found if isinstance(one, Sample)} == {"en"}
    with pytest.raises(DataError, match="MIMOVL_CJK_FONT"):
        OcrPages(chinese_share=0.5).units()


@pytest.mark.skipif(not module.find_faces().chinese, reason="no Chinese font on this machine")
def test_with_a_chinese_font_both_languages_come() -> None:
    found = Counter(one.language for _, one in pages(pages=20, chinese_share=0.5) if isinstance(one, Sample))
    assert found["zh"] >= 4 and found["en"] >= 4


@pytest.mark.usefixtures("latin_only")
def test_photos_and_texts_of_the_users_are_used(tmp_path: Path) -> None:
    Image.new("RGB", (400, 400), (1, 222, 3)).save(tmp_path / "p.png")
    (tmp_path / "t.txt").write_text("Herons nest beside the estuary bridge.\n", encoding="utf-8")
    (_, sample), *_ = pages(
        pages=1,
        kinds={"document": 1.0},
        photos=str(tmp_path),
        texts=str(tmp_path),
        augmentation=Augmentation(turned=1.0, covered=0.0, shaded=0.0, blurred=0.0, noisy=0.0, scaled=0.0, jpeg=0.0),
    )
    assert isinstance(sample, Sample)
    image = open_image(next(iter(sample.media.values())).data)
    assert image.getpixel((1, 1)) == (1, 222, 3)
    assert "estuary" in sample.messages[1].text


@pytest.mark.usefixtures("latin_only")
def test_what_the_recipe_names_wrongly_is_said_before_a_page_is_drawn(tmp_path: Path) -> None:
    for field in ("photos", "texts"):
        with pytest.raises(DataError, match="no such folder|cannot be read"):
            OcrPages(**{field: str(tmp_path / "none")}).units()  # type: ignore[arg-type]


@pytest.mark.usefixtures("latin_only")
def test_a_page_of_which_nothing_can_be_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def cover(canvas, rng, settings, photos=()):  # type: ignore[no-untyped-def]
        for one in canvas.elements:
            one.hidden = 1.0
        canvas.blocks = canvas.blocks[:1]
        for one in canvas.elements:
            one.block = 0
        return canvas

    monkeypatch.setattr(module, "augment", cover)
    (_, dropped), *_ = pages(pages=1, kinds={"receipt": 1.0})
    assert isinstance(dropped, Dropped) and dropped.reason == "unreadable_page"


@pytest.mark.usefixtures("latin_only")
@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs mimovl[ocr]")
def test_formula_pages_ask_for_latex() -> None:
    tasks = Counter(
        one.task for _, one in pages(pages=4, kinds={"formula": 1.0}, ask="questions") if isinstance(one, Sample)
    )
    assert tasks["ocr_formula"] >= 2 and tasks["ocr"] >= 1


@pytest.mark.usefixtures("latin_only")
def test_formulas_without_matplotlib_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="ocr"):
        OcrPages(kinds={"formula": 1.0}).units()
