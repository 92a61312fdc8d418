import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.model.vision_encoder import WindowPlan
from tests.data import small

CONFIG = small.config().vision
grids = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 7).map(lambda n: 2 * n), st.integers(1, 7).map(lambda n: 2 * n)),
    min_size=1,
    max_size=3,
)


def patches_for(grid, seed=0):
    count = sum(frames * rows * columns for frames, rows, columns in grid)
    return torch.randn(count, CONFIG.patch_dim, generator=torch.Generator().manual_seed(seed)), torch.tensor(grid)


def encode(model, patches, grid):
    with torch.no_grad():
        return model.vision(patches, grid)


@settings(max_examples=60)
@given(grid=grids)
def test_windows_hold_every_patch_once_and_no_more_than_8_by_8(grid):
    plan = WindowPlan(torch.tensor(grid), CONFIG)
    cells = sum(frames * rows * columns // 4 for frames, rows, columns in grid)
    assert sorted(plan.order.tolist()) == list(range(cells))
    assert torch.equal(plan.order[plan.restore], torch.arange(cells))
    assert sum(plan.windows.lengths) == sum(plan.frames.lengths) == 4 * cells
    assert max(plan.windows.lengths) <= 64
    assert len(plan.frames.lengths) == sum(frames for frames, _, _ in grid)


@settings(max_examples=30)
@given(grid=grids)
def test_a_window_is_a_square_of_one_frame(grid):
    """Patches of one window lie within 8 rows and columns that start at a multiple of 8 (112 pixels)."""
    plan = WindowPlan(torch.tensor(grid), CONFIG)
    moved = plan.positions.view(-1, 4, 2)[plan.order].view(-1, 2)
    start = 0
    for length in plan.windows.lengths:
        window = moved[start : start + length] // 8
        assert (window == window[0]).all()
        start += length


def test_positions_follow_merge_order():
    """Two by two neighbours come together, cell after cell, row after row."""
    plan = WindowPlan(torch.tensor([[1, 4, 4]]), CONFIG)
    first, second = plan.positions[:4].tolist(), plan.positions[4:8].tolist()
    assert first == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert second == [[0, 2], [0, 3], [1, 2], [1, 3]]


def test_no_attention_across_windows_without_full_blocks():
    """A picture of 2 by 2 windows: a change in one leaves every feature of the others equal to the bit."""
    model = small.model(full_attention_blocks=())
    patches, grid = patches_for([(1, 16, 16)])
    inside = (WindowPlan(grid, CONFIG).positions < 8).all(dim=1)
    changed = torch.where(inside[:, None], 1 - patches, patches)
    before, after = encode(model, patches, grid), encode(model, changed, grid)
    assert int(inside.sum()) == 64
    assert torch.equal(before[~inside], after[~inside])
    assert not torch.equal(before[inside], after[inside])


def test_full_blocks_carry_a_change_through_the_whole_frame():
    model = small.model()
    patches, grid = patches_for([(1, 16, 16)])
    changed = patches.clone()
    changed[0] = 0
    assert (encode(model, patches, grid) != encode(model, changed, grid)).any(dim=1).all()


def test_no_attention_across_frames():
    model = small.model()
    patches, grid = patches_for([(3, 10, 6)])
    frame = torch.arange(180) // 60
    changed = torch.where((frame == 1)[:, None], 1 - patches, patches)
    before, after = encode(model, patches, grid), encode(model, changed, grid)
    assert torch.equal(before[frame != 1], after[frame != 1])
    assert not torch.equal(before[frame == 1], after[frame == 1])


def test_no_attention_across_pictures():
    model = small.model()
    patches, grid = patches_for([(1, 4, 6), (1, 10, 12), (2, 4, 4)])
    changed = patches.clone()
    changed[24:144] *= -1
    before, after = encode(model, patches, grid), encode(model, changed, grid)
    assert torch.equal(before[:24], after[:24])
    assert torch.equal(before[144:], after[144:])


@settings(max_examples=15)
@given(grid=grids)
def test_features_come_back_in_the_order_of_the_patches(grid):
    """A picture among others is encoded as it is alone (float32 sums in another order: measured 2e-6)."""
    model = small.model()
    patches, table = patches_for(grid)
    together = encode(model, patches, table)
    start = 0
    for shape in grid:
        count = shape[0] * shape[1] * shape[2]
        alone = encode(model, patches[start : start + count], torch.tensor([shape]))
        assert torch.allclose(together[start : start + count], alone, atol=2e-5)
        start += count


@pytest.mark.parametrize("shape", [(12, 1176), (16, 1175)])
def test_patches_that_do_not_fit_their_grid_are_refused_with_both_numbers(shape):
    with pytest.raises(DataError) as caught:
        small.model().vision(torch.zeros(shape), torch.tensor([[1, 4, 4]]))
    assert str(list(shape)) in str(caught.value)
    assert "[16, 1176]" in str(caught.value)


def test_the_batch_of_no_pictures_is_empty():
    out = encode(small.model(), torch.zeros(0, CONFIG.patch_dim), torch.zeros(0, 3, dtype=torch.long))
    assert out.shape == (0, CONFIG.hidden_size)
