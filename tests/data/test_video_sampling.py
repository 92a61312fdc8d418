import ast
import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mimovl.data import VisualSpan, mrope_positions
from mimovl.data.video_sampling import MIMO_VL_VIDEO, VideoSettings, clip_size, sample_frames, sample_times
from mimovl.errors import DataError, MediaError
from tests.data import small

PIXELS = 28 * 28
BUDGET = MIMO_VL_VIDEO.max_tokens

# ---------------------------------------------------------------- the published formulas, written from their text


def published_count(num_frames: int, rate: float, most: int = 256) -> int:
    """FPS 2, FPS_MIN_FRAMES 4, FRAME_FACTOR 2: clamp the frames of so many seconds, then round down to even."""
    wanted = num_frames / rate * 2.0
    wanted = min(min(max(wanted, 4), math.floor(min(most, num_frames) / 2) * 2), num_frames)
    return math.floor(wanted / 2) * 2


def published_indices(num_frames: int, count: int) -> list[int]:
    """``torch.linspace(0, total_frames - 1, nframes).round().long()``."""
    return torch.linspace(0, num_frames - 1, count).round().long().tolist()


def published_size(height: int, width: int, count: int) -> tuple[int, int]:
    """Per-frame bounds of 128 and 768 tokens, the upper one lowered so that all frames fit into the budget."""
    least = 128 * PIXELS
    most = max(min(768 * PIXELS, BUDGET * PIXELS / count * 2), int(least * 1.05))
    tall, wide = max(28, round(height / 28) * 28), max(28, round(width / 28) * 28)
    if tall * wide > most:
        beta = math.sqrt(height * width / most)
        return math.floor(height / beta / 28) * 28, math.floor(width / beta / 28) * 28
    if tall * wide < least:
        beta = math.sqrt(least / (height * width))
        return math.ceil(height * beta / 28) * 28, math.ceil(width * beta / 28) * 28
    return tall, wide


@pytest.fixture(scope="module")
def qwen():
    """``qwen-vl-utils`` itself, its functions taken from the source: importing it needs torchvision."""
    found = importlib.util.find_spec("qwen_vl_utils")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("qwen-vl-utils is the referee here; pip install qwen-vl-utils")
    path = Path(found.submodule_search_locations[0]) / "vision_process.py"
    wanted = ("smart_resize", "smart_nframes", "round_by_factor", "ceil_by_factor", "floor_by_factor")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = [
        node
        for node in tree.body
        if (isinstance(node, ast.FunctionDef) and node.name in wanted)
        or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant))
    ]
    scope = {"math": math, "logger": SimpleNamespace(warning=lambda *_: None)}
    exec("from typing import Any, Dict, Optional, Tuple, Union", scope)
    exec(compile(ast.Module(kept, type_ignores=[]), str(path), "exec"), scope)
    return SimpleNamespace(**scope)


rates = st.sampled_from([1.0, 2.0, 8.0, 12.5, 23.976, 24.0, 25.0, 29.97, 30.0, 60.0])
sides = st.integers(28, 2200)


def whole(value: float) -> bool:
    """Near enough to a whole number for a division to fall on either side of it."""
    return abs(value - round(value)) < 1e-5


# ---------------------------------------------------------------- which frames


@settings(max_examples=400)
@given(num_frames=st.integers(2, 40_000), rate=rates)
def test_frames_are_those_of_the_published_rule(num_frames, rate):
    ours = sample_frames(num_frames, rate, MIMO_VL_VIDEO)
    assume(not whole(num_frames / rate * 2) or whole(num_frames / rate))
    assert ours == published_indices(num_frames, published_count(num_frames, rate))


@settings(max_examples=400)
@given(num_frames=st.integers(2, 40_000), rate=rates)
def test_the_number_of_frames_is_that_of_qwen_vl_utils(qwen, num_frames, rate):
    assume(not whole(num_frames / rate * 2) or whole(num_frames / rate))
    theirs = qwen.smart_nframes({"fps": 2.0, "max_frames": min(256, num_frames)}, num_frames, rate)
    assert len(sample_frames(num_frames, rate, MIMO_VL_VIDEO)) == theirs


@pytest.mark.parametrize("spacing", ["ends", "steps"])
@settings(max_examples=100)
@given(seconds=st.integers(2, 128))
def test_a_clip_stored_at_two_frames_a_second_is_kept_whole(spacing, seconds):
    chosen = sample_times(2 * seconds, float(seconds), VideoSettings(spacing=spacing))
    assert chosen.times == tuple(number / 2 for number in range(2 * seconds))
    assert chosen.fps == 2.0


@pytest.mark.parametrize(
    ("seconds", "kept"), [(0.5, 4), (1, 4), (2, 4), (2.9, 4), (3, 6), (127, 254), (128, 256), (129, 256), (7200, 256)]
)
def test_four_to_256_frames_are_kept_and_an_even_number(seconds, kept):
    assert len(sample_times(round(30 * seconds), seconds, MIMO_VL_VIDEO).times) == kept


# ---------------------------------------------------------------- when


@settings(max_examples=300)
@given(num_frames=st.integers(2, 40_000), rate=rates, spacing=st.sampled_from(["ends", "steps"]))
def test_times_are_those_of_the_frames_really_taken(num_frames, rate, spacing):
    """The clock of the positions (frame n at n / fps) is never more than a frame of the file off."""
    clip = VideoSettings(spacing=spacing)
    chosen = sample_times(num_frames, num_frames / rate, clip)
    frames = sample_frames(num_frames, rate, clip)
    assume(len(frames) == len(chosen.times))  # fewer frames in the file than wanted: sampled by its length
    assume(num_frames >= int(num_frames / rate * 2 + 1e-6))
    assert chosen.times == pytest.approx([frame / rate for frame in frames])
    clock = [number / chosen.fps for number in range(len(frames))]
    assert max(abs(tick - time) for tick, time in zip(clock, chosen.times, strict=True)) <= 1 / rate + 1e-6


@settings(max_examples=200)
@given(seconds=st.integers(2, 128), rate=st.sampled_from([24, 25, 30, 60]))
def test_positions_at_two_frames_a_second_are_the_published_ones(seconds, rate):
    """qwen-vl-utils reports nframes / seconds, ours is the rate of the frames taken: the integers agree."""
    chosen = sample_times(seconds * rate, float(seconds), MIMO_VL_VIDEO)
    count = len(chosen.times)
    published = count / seconds
    assert chosen.fps != published

    def times(fps: float) -> list[int]:
        grid = (count // 2, 2, 2)
        return mrope_positions(count // 2, [VisualSpan(0, grid, 2 / fps)], small.config())[0].tolist()

    assert published == pytest.approx(2.0) and times(chosen.fps) == times(published) == list(range(0, count, 2))


# ---------------------------------------------------------------- how large


@settings(max_examples=500)
@given(height=sides, width=sides, pairs=st.integers(1, 128))
def test_sizes_are_those_of_the_published_rule_where_it_keeps_the_budget(height, width, pairs):
    expected = published_size(height, width, 2 * pairs)
    ours = clip_size(height, width, 2 * pairs, MIMO_VL_VIDEO)
    if pairs * expected[0] * expected[1] <= BUDGET * PIXELS:
        assert ours == expected
    else:
        assert ours[0] * ours[1] < expected[0] * expected[1]


@settings(max_examples=300)
@given(height=sides, width=sides, pairs=st.integers(1, 128))
def test_sizes_are_those_of_qwen_vl_utils_where_it_keeps_the_budget(qwen, height, width, pairs):
    count, least = 2 * pairs, qwen.VIDEO_MIN_TOKEN_NUM * PIXELS
    most = max(min(qwen.VIDEO_MAX_TOKEN_NUM * PIXELS, BUDGET * PIXELS / count * qwen.FRAME_FACTOR), int(least * 1.05))
    expected = qwen.smart_resize(height, width, 28, min_pixels=least, max_pixels=most)
    if pairs * expected[0] * expected[1] <= BUDGET * PIXELS:
        assert clip_size(height, width, count, MIMO_VL_VIDEO) == expected


@settings(max_examples=500)
@given(
    height=st.integers(1, 4000),
    width=st.integers(1, 4000),
    count=st.integers(1, 256),
    budget=st.sampled_from([128, 500, 16_384]),
)
def test_a_clip_never_takes_more_tokens_than_its_budget(height, width, count, budget):
    assume(max(height, width) <= 200 * min(height, width))
    clip = VideoSettings(min_pixels=128 * PIXELS, max_tokens=budget, spacing="ends")
    tall, wide = clip_size(height, width, count, clip)
    assert tall % 28 == wide % 28 == 0 and min(tall, wide) >= 28
    assert -(-count // 2) * (tall // 28) * (wide // 28) <= budget


def test_256_frames_take_no_more_than_16384_tokens_though_the_published_rule_gives_them_more():
    tall, wide = published_size(240, 320, 256)
    assert 128 * tall * wide // PIXELS == 17_920
    tall, wide = clip_size(240, 320, 256, MIMO_VL_VIDEO)
    assert 0.75 * BUDGET < 128 * tall * wide // PIXELS <= BUDGET


def test_more_frame_pairs_than_tokens_are_refused_with_both_numbers():
    with pytest.raises(DataError, match=r"256 frames are 128 pairs .* max_tokens is 100; lower max_frames or raise"):
        clip_size(100, 100, 256, VideoSettings(max_tokens=100))


def test_frames_that_are_no_pictures_are_refused():
    with pytest.raises(MediaError, match="no area"):
        clip_size(0, 100, 4, MIMO_VL_VIDEO)
    with pytest.raises(MediaError, match="200 times"):
        clip_size(10, 3000, 4, MIMO_VL_VIDEO)
