"""Which pictures of a document stay: not tiny, not a strip, with something to see, not unsafe, not decoration.

A picture that goes leaves the document; the document stays unless ``min_pictures`` says otherwise. What went is counted
by reason in ``meta["pictures_dropped"]``: too_small, odd_aspect, low_information, unsafe, decoration, corrupt_image, ….
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.interleaved.blocks import Block, blocks_of, count, with_blocks
from mimovl.curate.interleaved.picture_facts import picture_facts
from mimovl.curate.interleaved.plugins import load_plugin
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools, WholeStep
from mimovl.errors import MediaError
from mimovl.types import Media, Sample

__all__ = ["DecorativePictures", "PictureFilter", "Unsafe", "without_pictures"]

Unsafe = Callable[[Sequence[bytes]], Sequence[float]]
"""Encoded pictures → how likely each is unsafe, in [0, 1]."""


class PictureFilter(Step):
    """Leaves out pictures that are tiny, oddly shaped, empty or unsafe. Drops: no_pictures."""

    step: Literal["picture_filter"] = "picture_filter"
    min_side: int = Field(default=64, ge=1)
    """Pixels of the shorter side."""
    min_pixels: int = Field(default=10_000, ge=1)
    """Pixels in all."""
    max_aspect: float = Field(default=5.0, ge=1)
    """Longer over shorter side."""
    min_information: float = Field(default=0.15, ge=0)
    """Bits a pixel of a small grey version: 0 is a blank, drawings have 0.3 and more."""
    unsafe: str = ""
    """``package.module:function`` from encoded pictures to how likely each is unsafe; none where empty."""
    max_unsafe: float = Field(default=0.5, ge=0, le=1)
    """A picture above it is left out."""
    min_pictures: int = Field(default=0, ge=0)
    """A document left with fewer is dropped."""

    def open(self, tools: Tools) -> Apply:
        """Get the classifier of unsafe pictures; say once that there is none."""
        classify: Unsafe | None = load_plugin(self.unsafe, field="unsafe") if self.unsafe else None
        if classify is None:
            warnings.warn(
                "picture_filter: no classifier of unsafe pictures is named (field unsafe), so none is looked for",
                stacklevel=2,
            )
        return lambda batch: [self._result(sample, classify) for sample in batch]

    def _result(self, sample: Sample, classify: Unsafe | None) -> Result:
        reasons = {key: self._problem(media) for key, media in sample.media.items() if media.kind == "image"}
        if classify is not None:
            left = [key for key, reason in reasons.items() if not reason]
            scores = classify([sample.media[key].data for key in left]) if left else []
            for key, score in zip(left, scores, strict=True):
                if score > self.max_unsafe:
                    reasons[key] = "unsafe"
        bad = {key: reason for key, reason in reasons.items() if reason}
        checked = without_pictures(sample, bad, unsafe_checked=classify is not None)
        if len(checked.media) < self.min_pictures:
            return Dropped("no_pictures", f"{len(checked.media)} of {len(sample.media)} pictures are left")
        return checked

    def _problem(self, media: Media) -> str:
        short, long = sorted((media.width, media.height))
        if short < self.min_side or short * long < self.min_pixels:
            return "too_small"
        if long > self.max_aspect * short:
            return "odd_aspect"
        try:
            facts = picture_facts(media)
        except MediaError as error:
            return error.reason
        return "low_information" if facts.information < self.min_information else ""


class DecorativePictures(WholeStep):
    """Leaves out pictures that stand in many documents of a site, or many times in one: logos, icons, rules.

    A site is the folder a document lay in (``meta["site"]``). The same picture means the same bytes: a re-encoded copy
    is for the near-duplicates to find.
    """

    step: Literal["decorative_pictures"] = "decorative_pictures"
    max_documents: int = Field(default=3, ge=1)
    """A picture in more documents of one site than this is decoration."""
    max_in_document: int = Field(default=3, ge=1)
    """A picture more often than this in one document is decoration."""
    max_side: int = Field(default=2048, ge=1)
    """A picture with a longer side is no decoration, however often it stands."""

    def observe(self, batch: Sequence[Sample], tools: Tools) -> dict[str, Any]:
        """In which documents of which site each picture stands."""
        places: dict[str, set[str]] = {}
        often: set[str] = set()
        for sample in batch:
            site, name = _site(sample), str(sample.meta.get("document", sample.id))
            times = Counter(part.media for message in sample.messages for part in message.content if part.media)
            for key, number in times.items():
                media = sample.media[key]
                if max(media.width, media.height) > self.max_side:
                    continue
                places.setdefault(f"{site}\n{key}", set()).add(name)
                if number > self.max_in_document:
                    often.add(f"{site}\n{key}")
        return {"places": {key: sorted(names) for key, names in sorted(places.items())}, "often": sorted(often)}

    def settle(self, observed: Iterator[Any], tools: Tools) -> frozenset[str]:
        """Pictures that are decoration, each with its site."""
        places: dict[str, set[str]] = {}
        found: set[str] = set()
        for one in observed:
            found.update(one["often"])
            for key, names in one["places"].items():
                if key not in found:
                    held = places.setdefault(key, set())
                    held.update(names)
                    if len(held) > self.max_documents:
                        found.add(key)
                        del places[key]
        return frozenset(found)

    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        """The documents without them."""
        return [
            without_pictures(
                sample, {key: "decoration" for key in sample.media if f"{_site(sample)}\n{key}" in decision}
            )
            for sample in batch
        ]


def without_pictures(sample: Sample, reasons: dict[str, str], **meta: Any) -> Sample:
    """A document without some of its pictures, and without the captions that belong to nothing else.

    Args:
        sample: a document.
        reasons: picture → why it goes.
        meta: further entries of ``meta``.
    """
    if not reasons:
        return with_blocks(sample, blocks_of(sample), **meta) if meta else sample
    blocks = blocks_of(sample)
    gone = [block.media is not None and block.media.sha256 in reasons for block in blocks]
    kept: list[Block] = []
    for index, block in enumerate(blocks):
        if gone[index] or (block.kind == "caption" and _orphan(blocks, gone, index)):
            continue
        kept.append(block)
    dropped = Counter(
        reasons[block.media.sha256] for block, out in zip(blocks, gone, strict=True) if out and block.media
    )
    return with_blocks(sample, kept, **meta, pictures_dropped=count(sample.meta, "pictures_dropped", dropped))


def _orphan(blocks: Sequence[Block], gone: Sequence[bool], index: int) -> bool:
    """Whether all pictures beside a caption go, and there were some."""
    beside = [
        other
        for other in (index - 1, index + 1)
        if 0 <= other < len(blocks) and blocks[other].kind in ("picture", "table")
    ]
    return bool(beside) and all(gone[other] for other in beside)


def _site(sample: Sample) -> str:
    return f"{sample.source}\n{sample.meta.get('site', '')}"
