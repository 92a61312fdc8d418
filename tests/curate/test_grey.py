import numpy as np
import pytest
from PIL import Image

from benchmarks.dedup_quality import photo
from mimovl.curate import grey
from mimovl.curate.decode import decode
from mimovl.curate.grey import read_grey, reduction, turned
from mimovl.errors import MediaError
from tests.curate.pictures import encoded

PHOTO = photo(5).crop((0, 0, 512, 512))


def test_cells_of_a_jpeg_are_the_means_of_its_blocks() -> None:
    for size in ((512, 512), (300, 200), (100, 70)):
        data = encoded(PHOTO.resize(size))
        full = decode(data).image.convert("L")
        factor = reduction(*size)
        expected = np.asarray(full.reduce(factor) if factor > 1 else full, np.int16)
        inner = (slice(0, size[1] // factor), slice(0, size[0] // factor))
        off = np.abs(read_grey(data)[inner] - expected[inner])
        # exact at 1/8 but for rounding; 4 × 4 and 2 × 2 come from a small inverse transform, not from averaging
        assert off.max() <= (1 if factor == 8 else 4) and off.mean() < 0.5
    assert [reduction(*size) for size in ((512, 900), (511, 900), (128, 128), (127, 999))] == [8, 4, 2, 1]


def test_pil_and_simplejpeg_read_the_same_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    for settings in ({}, {"progressive": True}, {"subsampling": 0}, {"quality": 20}):
        data = encoded(PHOTO.crop((0, 0, 501, 387)), **settings)
        ours = read_grey(data)
        with monkeypatch.context() as patch:
            patch.setattr(grey, "_simplejpeg", lambda: None)
            assert np.array_equal(read_grey(data), ours)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone_as_pil_undoes_it(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(PHOTO.crop((0, 0, 512, 448)), exif=exif, quality=95)
    upright = np.asarray(decode(data).image.convert("L").reduce(reduction(512, 448)), np.int16)
    assert np.abs(read_grey(data) - upright).max() <= 2


def test_turned_has_eight_different_orientations() -> None:
    cells = np.arange(6, dtype=np.uint8).reshape(2, 3)
    seen = {(turned(cells, number).shape, turned(cells, number).tobytes()) for number in range(8)}
    assert len(seen) == 8


def test_the_dc_scan_changes_cells_little() -> None:
    data = encoded(PHOTO, progressive=True)
    whole = read_grey(data, dc_only=False).astype(np.int16)
    assert 0 < np.abs(read_grey(data) - whole).max() <= 8


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_ends_early_is_refused(progressive: bool) -> None:
    data = encoded(PHOTO, progressive=progressive)
    with pytest.raises(MediaError) as caught:
        read_grey(data[: len(data) // 2])
    assert caught.value.reason == "truncated"
