"""Pictures to patches: safe decoding, smart resize, and the patch layout of Qwen2.5-VL, with PIL and torch only.

    bytes ── open_image ──▶ RGB picture ── smart_resize ──▶ sides divisible by 28 ── patchify ──▶ (P, 1176)

Equal to the Hugging Face processor's output (tests/parity); no torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from mimovl.picture import image_size, open_image, smart_resize

__all__ = [
    "IMAGE_MEAN",
    "IMAGE_STD",
    "ImageSettings",
    "image_size",
    "open_image",
    "patchify",
    "resized_size",
    "smart_resize",
]

IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
"""Channel statistics of CLIP, which Qwen2.5-VL keeps."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """How pictures are sized (``preprocessor_config.json``)."""

    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    min_pixels: int = 56 * 56
    max_pixels: int = 4096 * 28 * 28
    """Largest picture in pixels; MiMo-VL trains and evaluates with 4096 · 28² (§4.1)."""

    @property
    def factor(self) -> int:
        """Sides are multiples of this."""
        return self.patch_size * self.merge_size


def resized_size(height: int, width: int, settings: ImageSettings) -> tuple[int, int]:
    """:func:`smart_resize` with the bounds of ``settings``."""
    return smart_resize(
        height, width, factor=settings.factor, min_pixels=settings.min_pixels, max_pixels=settings.max_pixels
    )


def patchify(frames: list[Image.Image], size: tuple[int, int], settings: ImageSettings) -> torch.Tensor:
    """Resize, normalise and cut into patches in merge order.

    Args:
        frames: one picture, or the frames of a clip; an odd last frame is doubled.
        size: height and width from :func:`smart_resize`.
        settings: patch and merge sizes.

    Returns:
        Patches, float32, shape (T · H/14 · W/14, 3 · 2 · 14 · 14): frame pairs, then 2×2 merged cells row by row,
        then the four patches of a cell; each patch is channel, frame, row, column.
    """
    height, width = size
    pixels = np.stack(
        [
            np.asarray(frame if frame.size == size[::-1] else frame.resize(size[::-1], Image.Resampling.BICUBIC))
            for frame in frames
        ]
    )
    temporal, patch, merge = settings.temporal_patch_size, settings.patch_size, settings.merge_size
    copies = 1
    if len(frames) == 1:
        copies = temporal  # a picture stands for every frame of its patch; copied last, when it is in place
    elif odd := -len(frames) % temporal:
        pixels = np.concatenate([pixels, np.repeat(pixels[-1:], odd, axis=0)])
    held = temporal // copies
    # Bytes are put in order before they become floats: a quarter of the memory to move.
    cut = torch.from_numpy(np.ascontiguousarray(pixels)).reshape(
        -1, held, height // (patch * merge), merge, patch, width // (patch * merge), merge, patch, 3
    )
    # (T, t, h, mh, ph, w, mw, pw, c) → (T, h, w, mh, mw, c, t, ph, pw)
    cut = cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(-1, 3, held, patch * patch)
    mean = torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(IMAGE_STD).view(1, 3, 1, 1)
    values = cut.float().mul_(1 / 255).sub_(mean).div_(std)
    return values.expand(-1, 3, temporal, patch * patch).reshape(-1, 3 * temporal * patch * patch)
