"""Targets of hand-made regions, patch by patch."""

import pytest
import torch

from mimovl.data import ImageSettings, patchify
from mimovl.model import CODE_SIZE, number_code
from mimovl.train.vision_base import (
    CHARACTERS,
    CLOSE,
    MAX_COORDINATE,
    AttributeHead,
    PatchTargets,
    Region,
    patch_targets,
)
from mimovl.types import IGNORE_INDEX
from tests.data import small

VOCABULARY = {"kind": ("none", "shape", "button"), "colour": ("red", "blue"), "label": ("Save", "Stop")}
RED = Region((16, 2, 40, 26), {"kind": "shape", "colour": "red"})
SAVE = Region((0, 30, 54, 54), {"kind": "button", "label": "Save"})
ROWS = COLUMNS = 4
"""A picture of 56 × 56 pixels."""
NAMES = {*VOCABULARY, "box0", "box1", "box2", "box3", "centre", "centre_colour", "char0", "char1", "char2"}


def raster(targets: PatchTargets, name: str, rows: int = ROWS, columns: int = COLUMNS) -> list[list[int]]:
    """The classes of one frame, row by row as one looks at it."""
    blocks = targets.classes[name].view(rows // 2, columns // 2, 2, 2)
    return blocks.permute(0, 2, 1, 3).reshape(rows, columns).tolist()


def test_merge_order_is_that_of_the_patches() -> None:
    """A character in each patch, and the picture whose patches hold its number, are put in the same order."""
    rows, columns = 4, 6
    picture = small.noise(columns * 14, rows * 14)
    letters = []
    for patch in range(rows * columns):
        left, top = patch % columns * 14, patch // columns * 14
        picture.paste((patch * 10,) * 3, (left, top, left + 14, top + 14))
        letters.append(Region((left + 2, top + 2, left + 8, top + 12), {"kind": "char", "text": CHARACTERS[patch]}))
    targets = patch_targets([letters], rows, columns, VOCABULARY)
    seen = patchify([picture], (rows * 14, columns * 14), ImageSettings())[:, 0]
    order = seen.argsort().argsort()  # rank of the brightness: the number of the patch
    assert targets.classes["char0"].tolist() == (order + 1).tolist()


def test_covered_patches_know_what_covers_them() -> None:
    targets = patch_targets([[RED, SAVE]], ROWS, COLUMNS, VOCABULARY)
    assert set(targets.classes) == NAMES
    x = IGNORE_INDEX
    assert raster(targets, "kind") == [[0, 1, 1, 0], [0, 1, 1, 0], [2, 2, 2, 2], [2, 2, 2, 2]]
    assert raster(targets, "colour") == [[x, 0, 0, x], [x, 0, 0, x], [x] * 4, [x] * 4]
    assert raster(targets, "label") == [[x] * 4, [x] * 4, [0] * 4, [0] * 4]


def test_boxes_are_pixels_of_the_element_that_covers_most() -> None:
    targets = patch_targets([[RED, SAVE]], ROWS, COLUMNS, VOCABULARY)
    x = IGNORE_INDEX
    for side, (red, save) in enumerate(zip(RED.box, SAVE.box, strict=True)):
        r, s = round(red), round(save)
        assert raster(targets, f"box{side}") == [[x, r, r, x], [x, r, r, x], [s] * 4, [s] * 4]


def test_coordinates_beyond_the_largest_are_held_at_it() -> None:
    wide = Region((0, 0, 4000, 14), {"kind": "shape"})
    targets = patch_targets([[wide]], 2, 4, VOCABULARY)
    assert raster(targets, "box2", 2, 4)[0] == [MAX_COORDINATE] * 4


def test_of_two_elements_on_a_patch_the_larger_share_wins() -> None:
    small_one = Region((0, 0, 5, 14), {"kind": "shape", "colour": "blue"})
    big_one = Region((5, 0, 14, 14), {"kind": "shape", "colour": "red"})
    targets = patch_targets([[small_one, big_one]], 2, 2, VOCABULARY)
    assert raster(targets, "colour", 2, 2)[0][0] == 0


@pytest.mark.parametrize(("box", "kind"), [((0, 0, 4, 4), 1), ((0, 0, 5, 3), 0)])
def test_a_patch_counts_from_sixteen_covered_pixels_on(box, kind) -> None:
    targets = patch_targets([[Region(box, {"kind": "shape"})]], 2, 2, VOCABULARY)
    assert raster(targets, "kind", 2, 2) == [[kind, 0], [0, 0]]


def test_an_element_is_counted_once_where_its_centre_lies() -> None:
    targets = patch_targets([[RED, SAVE]], ROWS, COLUMNS, VOCABULARY)
    # (28, 14) and (27, 42)
    assert raster(targets, "centre") == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_the_patch_of_a_centre_tells_the_colour_there_and_no_other_patch_does() -> None:
    targets = patch_targets(
        [[RED, Region((42, 28, 54, 40), {"kind": "shape", "colour": "blue"}), SAVE]], 4, 4, VOCABULARY
    )
    assert raster(targets, "centre_colour") == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 2], [0, 0, 0, 0]]


def test_characters_of_a_patch_are_read_from_left_to_right() -> None:
    regions = [
        Region((left, 2, left + 4, 12), {"kind": "char", "text": text})
        for left, text in ((9, "c"), (1, "A"), (5, "7"), (15, "-"), (18, "?"))
    ]
    targets = patch_targets([regions], 2, 2, VOCABULARY)
    places = [[CHARACTERS.index(text) + 1 for text in "A7c"], [CHARACTERS.index("-") + 1, 0, 0]]
    for number in range(3):
        row = raster(targets, f"char{number}", 2, 2)
        assert row == [[places[0][number], places[1][number]], [0, 0]]


def test_a_fourth_character_and_characters_outside_are_left_out() -> None:
    crowd = [Region((left, 2, left + 2, 12), {"kind": "char", "text": "a"}) for left in (0, 3, 6, 9)]
    outside = Region((100, 100, 104, 108), {"kind": "char", "text": "b"})
    targets = patch_targets([[*crowd, outside]], 2, 2, VOCABULARY)
    written = torch.cat([targets.classes[f"char{number}"] for number in range(3)])
    assert written.sum() == 3 and written.count_nonzero() == 3


def test_characters_cover_no_patch() -> None:
    targets = patch_targets([[Region((0, 0, 14, 14), {"kind": "char", "text": "a"})]], 2, 2, VOCABULARY)
    assert raster(targets, "kind", 2, 2) == [[0, 0], [0, 0]]
    assert (targets.classes["box0"] == IGNORE_INDEX).all()


def test_frames_of_a_clip_follow_each_other_and_an_empty_one_is_background() -> None:
    targets = patch_targets([[RED], [], [SAVE]], ROWS, COLUMNS, VOCABULARY)
    one = [patch_targets([regions], ROWS, COLUMNS, VOCABULARY) for regions in ([RED], [], [SAVE])]
    assert (one[1].classes["kind"] == 0).all()
    together = PatchTargets.concatenate(one)
    assert set(together.classes) == set(targets.classes) == NAMES
    for name, classes in targets.classes.items():
        assert classes.shape == (3 * ROWS * COLUMNS,)
        assert torch.equal(classes, together.classes[name]), name


def test_the_head_learns_what_features_hold_and_says_how_well() -> None:
    torch.manual_seed(0)
    targets = patch_targets([[RED, SAVE]], ROWS, COLUMNS, VOCABULARY)
    features = torch.randn(ROWS * COLUMNS, 24)
    head = AttributeHead(24, VOCABULARY)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.05)
    first, _ = head(features, targets)
    for _ in range(60):
        loss, accuracy = head(features, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.2 * first
    assert set(accuracy) == NAMES - {"char0", "char1", "char2"}  # no character was there to be read
    assert min(accuracy.values()) > 0.9


def test_a_coordinate_is_predicted_as_a_code_and_nearly_right_is_right() -> None:
    """The head's map from features to codes is linear, so whatever reads codes can read the features."""
    head = AttributeHead(24, VOCABULARY)
    targets = patch_targets([[RED, SAVE]], ROWS, COLUMNS, VOCABULARY)
    assert head.heads["box0"].weight.shape == (CODE_SIZE, 24)
    wanted = targets.classes["box0"]
    for off, right in ((0, 1.0), (CLOSE, 1.0), (CLOSE + 1, 0.0)):
        codes = number_code((wanted + off).clamp(min=0))
        with torch.no_grad():
            head.heads["box0"].weight.copy_(torch.eye(CODE_SIZE, 24))
            head.heads["box0"].bias.zero_()
            head.norm.weight.fill_(1.0)
        features = torch.cat([codes, torch.zeros(len(codes), 24 - CODE_SIZE)], dim=1)
        assert head(features, targets)[1]["box0"] == right


def test_heads_without_a_say_cost_nothing() -> None:
    targets = patch_targets([[]], 2, 2, VOCABULARY)
    loss, accuracy = AttributeHead(8, VOCABULARY)(torch.randn(4, 8), targets)
    assert torch.isfinite(loss)
    assert accuracy == {}
