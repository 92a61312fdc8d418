"""Pixels to patches as the Hugging Face image and video processors make them."""

import __future__

import ast
import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimovl.data.image import IMAGE_MEAN, IMAGE_STD, ImageSettings, open_image, patchify, resized_size, smart_resize
from mimovl.data.video_sampling import VideoSettings, sample_frames
from mimovl.errors import MediaError
from tests.data import small


@pytest.fixture(scope="module")
def pil_processor(transformers):
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil


@pytest.fixture(scope="module")
def video_processor(transformers):
    """Methods of ``Qwen2VLVideoProcessor``, taken from its source: importing the module needs torchvision."""
    source = importlib.util.find_spec("transformers.models.qwen2_vl.video_processing_qwen2_vl").origin
    tree = ast.parse(Path(source).read_text(encoding="utf-8"))
    (owner,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Qwen2VLVideoProcessor"]
    methods = [node for node in owner.body if isinstance(node, ast.FunctionDef)]
    wanted = ast.Module([node for node in methods if node.name in ("patchify", "sample_frames")], type_ignores=[])
    found = {"torch": torch, "math": math}
    exec(compile(wanted, source, "exec", flags=__future__.annotations.compiler_flag), found)
    return SimpleNamespace(**found, num_frames=None)


SIZES = [(28, 28), (56, 84), (30, 41), (131, 97), (1, 1), (1, 150), (640, 480), (1999, 10), (300, 290)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("max_pixels", [100 * 28 * 28, 6 * 28 * 28])
def test_patches_of_pictures(pil_processor, width, height, max_pixels):
    """Same grid and layout; resized pixels are equal, so values differ by float32 rounding only (measured 4.8e-7)."""
    settings = ImageSettings(max_pixels=max_pixels)
    image = small.noise(width, height)
    theirs = pil_processor(min_pixels=settings.min_pixels, max_pixels=settings.max_pixels)(
        images=[image], return_tensors="pt"
    )
    size = resized_size(height, width, settings)
    ours = patchify([image], size, settings)
    assert theirs["image_grid_thw"].tolist() == [[1, size[0] // 14, size[1] // 14]]
    assert ours.shape == theirs["pixel_values"].shape
    assert (ours - theirs["pixel_values"]).abs().max() < 1e-6


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_patches_of_other_modes(pil_processor, mode):
    image = small.noise(60, 90).convert(mode)
    theirs = pil_processor()(images=[image], return_tensors="pt")["pixel_values"]
    format = "TIFF" if mode == "CMYK" else "PNG"
    ours = patchify([open_image(small.encoded(image, format))], (84, 56), ImageSettings())
    assert (ours - theirs).abs().max() < 1e-6


areas = st.integers(1, 4000)


@settings(max_examples=500)
@given(height=areas, width=areas, least=st.integers(1, 400), most=st.integers(1, 5000))
def test_smart_resize(pil_processor, height, width, least, most):
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize as reference

    bounds = {"min_pixels": min(least, most) * 784, "max_pixels": max(least, most) * 784}
    try:
        expected = reference(height, width, 28, **bounds)
    except ValueError:
        with pytest.raises(MediaError, match="more than 200 times"):
            smart_resize(height, width, **bounds)
    else:
        assert smart_resize(height, width, **bounds) == expected


@pytest.mark.parametrize("num_frames", [1, 2, 4, 5])
def test_patches_of_clips(video_processor, num_frames):
    frames = [small.noise(84, 56, number) for number in range(num_frames)]
    values = np.stack([np.asarray(frame) for frame in frames]).astype(np.float32) / 255
    values = (values - np.float32(IMAGE_MEAN)) / np.float32(IMAGE_STD)
    videos = torch.from_numpy(values).permute(0, 3, 1, 2)[None]
    theirs, *grid = video_processor.patchify(None, videos, patch_size=14, merge_size=2, temporal_patch_size=2)
    ours = patchify(frames, (56, 84), ImageSettings())
    assert grid == [(num_frames + 1) // 2, 4, 6]
    assert (ours - theirs[0]).abs().max() < 1e-6


@settings(max_examples=300)
@given(num_frames=st.integers(2, 2000), fps=st.integers(10, 600), target=st.sampled_from([1.0, 2.0, 4.0]))
def test_sampled_frames(video_processor, num_frames, fps, target):
    """Equal but for rounding noise in theirs, where a quotient is whole: an index may be one higher here."""
    fps = fps / 10
    if abs((wanted := num_frames / fps * target) - round(wanted)) < 1e-6:
        fps *= 0.999
    settings = VideoSettings(fps=target)
    bounds = {"temporal_patch_size": 2, "min_frames": settings.min_frames, "max_frames": settings.max_frames}
    metadata = SimpleNamespace(total_num_frames=num_frames, fps=fps)
    theirs = video_processor.sample_frames(video_processor, metadata, fps=target, **bounds).tolist()
    ours = sample_frames(num_frames, fps, settings)
    assert len(ours) % 2 == 0
    assert len(theirs) - len(ours) in (0, 1)  # theirs can run over by one, from the same noise
    assert all(0 <= mine - other <= 1 for mine, other in zip(ours, theirs, strict=False))
