import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.ocr.backgrounds import backdrop, contrast_with, find_photos, luminance, paper
from mimovl.errors import DataError


def test_paper_is_light_and_backdrops_differ() -> None:
    for seed in range(6):
        assert np.asarray(paper(random.Random(seed), (140, 84))).mean() > 200
    seen = {backdrop(random.Random(seed), (84, 56)).tobytes() for seed in range(12)}
    assert len(seen) == 12


def test_the_same_chance_gives_the_same_ground() -> None:
    for make in (paper, backdrop):
        first, second = (make(random.Random(4), (84, 56)) for _ in range(2))
        assert first.size == (84, 56) and first.tobytes() == second.tobytes()


def test_writing_stands_out_from_any_ground() -> None:
    rng = random.Random(0)
    for _ in range(300):
        ground = tuple(rng.randint(0, 255) for _ in range(3))
        assert abs(luminance(contrast_with(rng, ground)) - luminance(ground)) >= 100


def test_photos_are_cut_in_proportion_and_broken_ones_passed_over(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100), (10, 200, 30)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff no more")
    photos = find_photos(str(tmp_path))
    assert [path.name for path in photos] == ["bad.jpg", "good.png"]
    greens = [backdrop(random.Random(seed), (56, 56), photos).getpixel((20, 20)) == (10, 200, 30) for seed in range(10)]
    assert sum(greens) >= 9
    assert backdrop(random.Random(0), (56, 56), photos[:1]).size == (56, 56)


def test_a_folder_without_photos_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture in it"):
        find_photos(str(tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        find_photos(str(tmp_path / "none"))
