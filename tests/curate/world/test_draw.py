import random

import numpy as np
import pytest

from mimovl.curate.world.draw import background, shape_mask, shape_rgb
from mimovl.curate.world.language import COLOURS, SHAPES


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [12, 14, 17, 20, 28, 33, 40])
def test_masks_are_cut_to_their_ink(shape: str, side: int) -> None:
    mask = np.asarray(shape_mask(shape, side))
    assert abs(mask.shape[0] - side) <= 3 and abs(mask.shape[1] - side) <= 3
    for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert edge.max() >= 64  # ink on every border: no slack


def test_shapes_differ_from_each_other() -> None:
    areas = {shape: np.asarray(shape_mask(shape, 20)).mean() / 255 for shape in SHAPES}
    assert areas["square"] > areas["circle"] > areas["cross"] > areas["star"]
    assert 0.45 < areas["triangle"] < 0.55


@pytest.mark.parametrize("dark", [0.0, 1.0])
def test_every_colour_stands_out_from_every_background(dark: float) -> None:
    rng = random.Random(0)
    for colour in COLOURS:
        for _ in range(40):
            page = np.asarray(background(rng, 28, 28, dark_share=dark, texture_share=0.5), dtype=float)
            distance = np.abs(page - np.asarray(shape_rgb(rng, colour))).sum(axis=-1).min()
            assert distance > 120


def test_textures_are_faint() -> None:
    for seed in range(20):
        page = np.asarray(background(random.Random(seed), 84, 56, dark_share=0.5, texture_share=1.0), dtype=float)
        assert page.shape == (56, 84, 3)
        assert np.ptp(page, axis=(0, 1)).max() <= 36


def test_colours_are_told_apart() -> None:
    rng = random.Random(1)
    for one in COLOURS:
        for other in COLOURS:
            pairs = [(np.asarray(shape_rgb(rng, one)), np.asarray(shape_rgb(rng, other))) for _ in range(20)]
            closest = min(np.abs(a - b).sum() for a, b in pairs)
            assert one == other or closest > 50
