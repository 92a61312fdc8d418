"""What can be told of a picture without a model: its sides, and how much there is to see."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from mimovl.data.image import open_image
from mimovl.errors import MediaError
from mimovl.types import Media

__all__ = ["PictureFacts", "picture_facts"]

_SIDE = 128
_STEP = 8
"""Differences of grey below half of this are no difference: noise of encoding, slow gradients."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """Sides in pixels, and what there is to see."""

    width: int
    height: int
    information: float
    """Bits a pixel that its neighbours do not tell, at 128 pixels: 0 for a blank, photos 2 and more."""
    ink: float
    """Share of neighbours that differ."""

    @property
    def aspect(self) -> float:
        """Longer over shorter side."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


def picture_facts(media: Media) -> PictureFacts:
    """Facts of a picture, from a small grey version of it.

    Raises:
        MediaError: it cannot be decoded.
    """
    grey = np.asarray(_small(media), dtype=np.int16)
    # Differences along rows and down columns, in steps of 8 from -32 to 31.
    found = [np.diff(grey, axis=axis).ravel() for axis in (0, 1)]
    difference = np.concatenate(found) if found else np.zeros(0, dtype=np.int16)
    if difference.size == 0:
        return PictureFacts(media.width, media.height, 0.0, 0.0)
    steps = np.clip(np.round(difference / _STEP), -16, 16).astype(np.int64) + 16
    shares = np.bincount(steps, minlength=33) / steps.size
    present = shares[shares > 0]
    information = float(-(present * np.log2(present)).sum())
    return PictureFacts(media.width, media.height, round(abs(information), 4), round(float(1 - shares[16]), 4))


def _small(media: Media) -> Image.Image:
    if media.data[:2] == b"\xff\xd8":  # a JPEG is decoded at a fraction of its size
        try:
            with Image.open(BytesIO(media.data), formats=["JPEG"]) as image:
                image.draft("L", (_SIDE, _SIDE))
                image.load()
                return _fitted(image.convert("L"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise MediaError(f"the picture is damaged: {error}", reason="corrupt_image") from None
    return _fitted(open_image(media.data).convert("L"))


def _fitted(image: Image.Image) -> Image.Image:
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=None)
    return image
