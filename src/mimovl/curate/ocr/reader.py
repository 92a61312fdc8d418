"""``ocr_pages``: a source that draws its pages, each from the seed and its number alone.

    sources:
      - {reader: ocr_pages, pages: 100000, photos: photos/, kinds: {document: 3, table: 1, scene: 2}}

Chinese pages need a font with Chinese letters: the system's, one named by ``MIMOVL_CJK_FONT``, or one in ``fonts``.
Formulas need matplotlib: ``pip install 'mimovl[ocr]'``.
"""

from __future__ import annotations

import hashlib
import io
import logging
import random
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Literal

from PIL import Image
from pydantic import Field, field_validator

from mimovl.curate.conversations import Ask, to_samples
from mimovl.curate.ocr.augment import Augmentation, augment
from mimovl.curate.ocr.backgrounds import find_photos
from mimovl.curate.ocr.canvas import Canvas
from mimovl.curate.ocr.faces import find_faces
from mimovl.curate.ocr.formulas import make_formulas, require_matplotlib
from mimovl.curate.ocr.pages import make_document, make_notes, make_receipt
from mimovl.curate.ocr.phrases import read_corpus
from mimovl.curate.ocr.questions import page_questions, read_page
from mimovl.curate.ocr.scenes import make_package, make_scene
from mimovl.curate.ocr.setting import Stock
from mimovl.curate.ocr.tables import make_table
from mimovl.curate.step import Dropped, Reader, Unit
from mimovl.errors import DataError
from mimovl.suggest import nearest
from mimovl.types import Media, Sample

__all__ = ["KINDS", "OcrPages", "draw_page", "encode"]

KINDS: dict[str, Callable[[random.Random, Stock], Canvas]] = {
    "document": make_document,
    "table": make_table,
    "scene": make_scene,
    "package": make_package,
    "formula": make_formulas,
    "handwriting": make_notes,
    "receipt": make_receipt,
}
"""Kind of page → what draws it."""
_UNBENT = ("scene",)
"""Kinds that are no sheets: they are not laid on something."""
_CHINESE_SHARE = 0.3
_LOG = logging.getLogger(__name__)

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class OcrPages(Reader):
    """Drawn pages with text to read and boxes to find."""

    reader: Literal["ocr_pages"] = "ocr_pages"
    """Pages drawn on the spot."""
    pages: int = Field(default=1000, ge=1)
    """How many."""
    seed: int = 0
    """Another seed, other pages."""
    kinds: dict[str, float] = {
        "document": 3.0,
        "table": 1.5,
        "scene": 2.0,
        "package": 1.0,
        "handwriting": 1.5,
        "receipt": 1.0,
    }
    """Weights of document, table, scene, package, handwriting, receipt and formula (which needs mimovl[ocr])."""
    chinese_share: Share | None = None
    """Share of Chinese pages; left away, 0.3 where a Chinese font is found and none elsewhere."""
    photos: str = ""
    """Folder of photos for backgrounds and figures; without it they are generated."""
    fonts: str = ""
    """Folder of font files to use instead of the system's."""
    texts: str = ""
    """UTF-8 text file or folder to take running text from; without it sentences are made up."""
    augmentation: Augmentation = Augmentation()
    """What happens to the pages."""
    ask: Ask = "training"
    """``training``: conversations with answers; ``questions``: single questions with gold."""
    turns: int = Field(default=6, ge=1)
    """Most questions about a page."""
    source: str = "ocr"
    """``Sample.source``, followed by the kind: ocr/table."""
    unit_pages: int = Field(default=32, ge=1)
    """Pages that a worker draws at a time."""

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: dict[str, float]) -> dict[str, float]:
        for kind, weight in kinds.items():
            if kind not in KINDS:
                raise ValueError(f"unknown kind {kind!r}; there are {', '.join(KINDS)}{nearest(kind, list(KINDS))}")
            if weight < 0:
                raise ValueError(f"the weight of {kind} is {weight:g}; give 0 or more")
        if not any(kinds.values()):
            raise ValueError("no kind has a weight above 0; raise one")
        return kinds

    def units(self) -> list[Unit]:
        """Ranges of page numbers.

        Raises:
            DataError: photos, fonts or texts name nothing usable, or Chinese pages are asked for and there is no font.
            MissingExtraError: formulas are asked for without matplotlib.
        """
        share = _chinese_share(self)
        if self.chinese_share is None and share == 0:
            _LOG.warning("ocr_pages: no Chinese font was found, so all pages are English; MIMOVL_CJK_FONT may name one")
        if self.kinds.get("formula"):
            require_matplotlib()
        _ = self.photos and find_photos(self.photos), self.texts and read_corpus(self.texts)
        return [
            Unit(f"{self.source}#{start:09d}", (start, end := min(start + self.unit_pages, self.pages)), end - start)
            for start in range(0, self.pages, self.unit_pages)
        ]

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The pages of a range; one without anything to ask (all of it covered) is dropped as ``unreadable_page``."""
        for number in range(*unit.where):
            yield from self._page(number)

    def _page(self, number: int) -> Iterator[tuple[str, Sample | Dropped]]:
        rng = random.Random(f"{self.seed}:{number}")
        kind, canvas = draw_page(self, rng)
        name = f"{self.source}/{kind}/{self.seed}-{number}"
        read = read_page(canvas)
        questions = page_questions(rng, canvas, read, self.turns)
        if not questions:
            yield name, Dropped("unreadable_page", "everything on it is covered or out of the picture")
            return
        settings = self.augmentation
        quality = rng.randint(*settings.qualities) if rng.random() < settings.jpeg else None
        media = encode(canvas.image, quality)
        meta = {
            "page": {"kind": kind, "seed": self.seed, "number": number},
            "objects": [{"label": role, "box": list(box)} for role, _, box in read.parts],
            "size": list(canvas.size),
        }
        for sample in to_samples(
            name,
            media,
            questions,
            ask=self.ask,
            source=f"{self.source}/{kind}",
            language="zh" if canvas.chinese else "en",
            max_turns=self.turns,
            meta=meta,
        ):
            yield sample.id, sample


def draw_page(settings: OcrPages, rng: random.Random) -> tuple[str, Canvas]:
    """Kind and finished picture of a page, drawn from ``rng`` alone."""
    photos = find_photos_once(settings.photos) if settings.photos else ()
    stock = Stock(
        find_faces(settings.fonts),
        chinese=rng.random() < _chinese_share(settings),
        photos=photos,
        corpus=read_corpus(settings.texts) if settings.texts else (),
    )
    kind = rng.choices(list(settings.kinds), list(settings.kinds.values()))[0]
    canvas = KINDS[kind](rng, stock)
    changes = settings.augmentation
    if kind in _UNBENT:
        changes = changes.model_copy(update={"turned": 0.0})
    return kind, augment(canvas, rng, changes, photos)


find_photos_once = lru_cache(maxsize=4)(find_photos)


def encode(image: Image.Image, quality: int | None) -> Media:
    """A picture as JPEG of a quality, or as PNG."""
    buffer = io.BytesIO()
    if quality is None:
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=quality)
    data = buffer.getvalue()
    return Media(hashlib.sha256(data).hexdigest(), "image", data, image.width, image.height)


def _chinese_share(settings: OcrPages) -> float:
    """The share that can be drawn.

    Raises:
        DataError: Chinese pages are asked for and there is no font.
    """
    possible = bool(find_faces(settings.fonts).chinese)
    if settings.chinese_share and not possible:
        raise DataError(
            f"ocr_pages: chinese_share is {settings.chinese_share:g}, and no font with Chinese letters was found; "
            "install one (Debian: fonts-noto-cjk), name a file by MIMOVL_CJK_FONT or a folder by fonts, or set "
            "chinese_share: 0"
        )
    if settings.chinese_share is None:
        return _CHINESE_SHARE if possible else 0.0
    return settings.chinese_share
