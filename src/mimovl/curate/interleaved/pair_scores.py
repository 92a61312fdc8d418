"""How a picture and the text around it go together: relevance, complementarity, balance of density (MiMo-VL §2.2.2).

The paper names the three and gives no formula; these are ours.

- relevance: cosine of the picture (its caption and alternative text where the embedding sees none) and the text
  around it. A picture of something else scores low.
- complementarity: what the picture side says that no sentence nearby says already, 1 minus the highest cosine with
  one sentence. A caption that repeats the text scores low.
- balance: the smaller over the larger of the picture's information and the text's, each scaled to [0, 1]. A photo
  beside five words scores low, and so does a dot beside an essay.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.interleaved.blocks import Block, blocks_of
from mimovl.curate.interleaved.embed import Embed, HashedText, units_of
from mimovl.curate.interleaved.language import sentences
from mimovl.curate.interleaved.picture_facts import picture_facts
from mimovl.curate.interleaved.pictures import without_pictures
from mimovl.curate.interleaved.plugins import load_plugin
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.errors import MediaError
from mimovl.types import Media, Sample

__all__ = ["PairScore", "PairScoresStep", "score_pairs"]

_FULL_PICTURE = 3.0
"""Bits a pixel (:class:`PictureFacts`) of a picture full of detail, such as a photo."""
_FULL_TEXT = 600.0
"""Bytes, compressed, of a text as full as a picture can be: about two paragraphs."""


@dataclass(frozen=True, slots=True)
class PairScore:
    """A picture's scores with the text around it; None where nothing is known to judge by."""

    picture: str
    relevance: float | None
    complementarity: float | None
    balance: float | None


def score_pairs(blocks: Sequence[Block], embed: Embed, *, window: int = 800) -> list[PairScore]:
    """Scores of each picture of a document, in order.

    Args:
        blocks: a document.
        embed: what compares.
        window: characters of text before and behind a picture that count as around it.
    """
    indices = [index for index, block in enumerate(blocks) if block.media is not None]
    if not indices:
        return []
    said = [_said(blocks, index) for index in indices]
    around = [_around(blocks, index, window) for index in indices]
    seen = embed.pictures([media.data for index in indices if (media := blocks[index].media) is not None])
    side = embed.texts(said) if seen is None else seen
    scores = []
    for row, index in enumerate(indices):
        media = blocks[index].media
        assert media is not None, "only pictures are scored"
        relevance = complementarity = None
        known = bool(side[row].any()) and bool(around[row])
        if known:
            near = sentences(around[row])
            compared = embed.texts([around[row], *near]) @ side[row]
            relevance = _score(float(compared[0]))
            # A picture seen as pixels repeats no sentence; what it may repeat is what its caption says.
            repeated = compared[1:] if seen is None else _repeated(embed, said[row], near)
            complementarity = None if repeated is None else _score(1.0 - float(max(repeated, default=0.0)))
        scores.append(PairScore(media.sha256, relevance, complementarity, _balance(media, around[row])))
    return scores


class PairScoresStep(Step):
    """Scores pictures with their text and leaves out those that score low; ``meta["pairs"]`` holds the scores.

    What goes is counted in ``meta["pictures_dropped"]``: low_relevance, low_complementarity, low_balance, unjudged.
    Drops: no_pictures.
    """

    step: Literal["pair_scores"] = "pair_scores"
    embed: str = ""
    """``package.module:function`` that returns an ``Embed``; where empty, words of caption and text are compared."""
    window: int = Field(default=800, ge=1)
    """Characters of text on either side that count as around a picture."""
    min_relevance: float = Field(default=0.02, ge=0, le=1)
    """Least relevance; cosines of models lie higher than those of shared words."""
    min_complementarity: float = Field(default=0.1, ge=0, le=1)
    """Least complementarity."""
    min_balance: float = Field(default=0.05, ge=0, le=1)
    """Least balance of density."""
    keep_unjudged: bool = True
    """Whether a picture stays of which nothing is known to judge by (no caption, and an embedding that sees none)."""
    min_pictures: int = Field(default=0, ge=0)
    """A document left with fewer is dropped."""

    def open(self, tools: Tools) -> Apply:
        """Get the embedding."""
        embed: Embed = load_plugin(self.embed, field="embed")() if self.embed else HashedText()
        return lambda batch: [self._result(sample, embed) for sample in batch]

    def _result(self, sample: Sample, embed: Embed) -> Result:
        scores = score_pairs(blocks_of(sample), embed, window=self.window)
        # A picture that stands twice goes only when no place of it is good enough.
        problems: dict[str, set[str]] = {}
        for score in scores:
            problems.setdefault(score.picture, set()).add(self._problem(score))
        bad = {key: min(found) for key, found in problems.items() if "" not in found}
        pairs: list[dict[str, Any]] = [
            {
                "picture": score.picture,
                "relevance": score.relevance,
                "complementarity": score.complementarity,
                "balance": score.balance,
            }
            for score in scores
            if score.picture not in bad
        ]
        scored = without_pictures(sample, bad, pairs=pairs) if scores else sample
        if len(scored.media) < self.min_pictures:
            return Dropped("no_pictures", f"{len(scored.media)} of {len(sample.media)} pictures are left")
        return scored

    def _problem(self, score: PairScore) -> str:
        if score.relevance is None and not self.keep_unjudged:
            return "unjudged"
        for name, value, least in (
            ("low_relevance", score.relevance, self.min_relevance),
            ("low_complementarity", score.complementarity, self.min_complementarity),
            ("low_balance", score.balance, self.min_balance),
        ):
            if value is not None and value < least:
                return name
        return ""


def _said(blocks: Sequence[Block], index: int) -> str:
    """A picture's caption and alternative text."""
    parts = [blocks[index].alt]
    for step in (-1, 1):
        other = index + step
        while 0 <= other < len(blocks) and blocks[other].kind == "caption":
            parts.append(blocks[other].text)
            other += step
    return "\n".join(part for part in parts if part)


def _around(blocks: Sequence[Block], index: int, window: int) -> str:
    """The text before and behind a picture; captions are not part of it."""
    before, after = "", ""
    other = index - 1
    while other >= 0 and len(before) < window:
        if blocks[other].kind in ("text", "heading", "table"):
            before = f"{blocks[other].text}\n\n{before}"
        other -= 1
    other = index + 1
    while other < len(blocks) and len(after) < window:
        if blocks[other].kind in ("text", "heading", "table"):
            after = f"{after}\n\n{blocks[other].text}"
        other += 1
    return f"{before[-window:]}\n\n{after[:window]}".strip()


def _repeated(embed: Embed, said: str, near: Sequence[str]) -> list[float] | None:
    if not units_of(said):
        return None
    vectors = embed.texts([said, *near])
    return [float(value) for value in vectors[1:] @ vectors[0]]


def _balance(media: Media, around: str) -> float | None:
    try:
        picture = min(1.0, picture_facts(media).information / _FULL_PICTURE)
    except MediaError:
        return None
    text = min(1.0, len(zlib.compress(around.encode(), 6)) / _FULL_TEXT) if around else 0.0
    return _score(min(picture, text) / max(picture, text)) if max(picture, text) > 0 else 0.0


def _score(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)
