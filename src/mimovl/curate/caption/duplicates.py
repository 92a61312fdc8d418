"""Duplicates among captions (MiMo-VL §2.2.1): texts that stand under many pictures, pictures that come again.

    text_duplicates       of one text, or nearly one, so many captions stay; the rest is boilerplate
    picture_duplicates    of one picture, by perceptual hash, one caption stays; or one of each text

Which copy stays does not depend on shards or order: of texts those whose id's hash is least, of pictures the largest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from mimovl.curate.caption.captions import caption_of, chance
from mimovl.curate.caption.text_groups import Fingerprints, fingerprint, text_groups
from mimovl.curate.near_duplicates import PictureFacts, find_duplicates
from mimovl.curate.signature import Signatures, sign
from mimovl.curate.step import Dropped, Result, Tools, WholeStep
from mimovl.types import Sample

__all__ = ["PictureDuplicates", "TextDuplicates"]

_MIRRORS = (0, 4)
"""As they are, and mirrored (``grey.turned``)."""

Decision = dict[int, dict[str, Dropped]]
"""By number of the shard: drops by id."""


class TextDuplicates(WholeStep):
    """Keep so many captions of one text."""

    step: Literal["text_duplicates"] = "text_duplicates"
    copies: int = Field(default=10, ge=1)
    """Captions of one text that stay."""
    likeness: float = Field(default=0.8, gt=0, le=1)
    """Share of words and neighbouring pairs in common from which two texts are one; 1 for equal texts alone."""

    def observe(self, batch: Sequence[Sample], tools: Tools) -> tuple[list[str], Fingerprints]:
        """Ids and fingerprints."""
        return [sample.id for sample in batch], fingerprint([caption_of(sample) for sample in batch])

    def settle(self, observed: Iterator[Any], tools: Tools) -> Decision:
        """Group all texts; in each group the ids with the least hash stay."""
        ids, shards, parts = _gather(observed)
        members: dict[int, list[int]] = defaultdict(list)
        if parts:
            for row, root in enumerate(text_groups(Fingerprints.join(parts), self.likeness).tolist()):
                members[root].append(row)
        decision: Decision = defaultdict(dict)
        for rows in members.values():
            if len(rows) > self.copies:
                rows.sort(key=lambda row: (chance(tools.seed, "text_duplicates", ids[row]), ids[row]))
                detail = f"one of {len(rows)} captions of nearly one text, {self.copies} stay, the first {ids[rows[0]]}"
                for row in rows[self.copies :]:
                    decision[shards[row]][ids[row]] = Dropped("text_duplicate", detail)
        return dict(decision)

    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        """As was settled."""
        return _decided(batch, decision.get(number, {}))


@dataclass(frozen=True)
class _Pictures:
    """A shard's samples with a readable picture."""

    ids: list[str]
    facts: list[PictureFacts]
    signatures: Signatures
    texts: Fingerprints


class PictureDuplicates(WholeStep):
    """Keep one caption of one picture; what cannot be decoded, and clips, are left to other steps."""

    step: Literal["picture_duplicates"] = "picture_duplicates"
    texts: Literal["any", "same"] = "any"
    """``any``: copies of a picture go whatever their text. ``same``: only those whose text is nearly the same go."""
    likeness: float = Field(default=0.8, gt=0, le=1)
    """With ``same``: share of words and neighbouring pairs in common from which two texts are one."""
    mirrored: bool = False
    """Whether a mirrored copy is a copy."""

    def observe(self, batch: Sequence[Sample], tools: Tools) -> _Pictures:
        """Hashes of each sample's first picture, and its text's fingerprint."""
        chosen = [(sample, media) for sample in batch for media in [_picture(sample)] if media is not None]
        orientations = 8 if self.mirrored else 1
        signatures, refused = sign((media.data for _, media in chosen), orientations=orientations)
        chosen = [pair for place, pair in enumerate(chosen) if place not in refused]
        facts = [PictureFacts(sample.id, media.width * media.height, len(media.data)) for sample, media in chosen]
        texts = fingerprint([caption_of(sample) for sample, _ in chosen])
        return _Pictures([fact.id for fact in facts], facts, signatures, texts)

    def settle(self, observed: Iterator[Any], tools: Tools) -> Decision:
        """Find copies, among all or within each text."""
        every: list[_Pictures] = list(observed)
        ids, shards, _ = _gather((one.ids, None) for one in every)
        if not ids:
            return {}
        shard_of = dict(zip(ids, shards, strict=True))
        facts = [fact for one in every for fact in one.facts]
        signatures = Signatures.join([one.signatures for one in every])
        root = np.zeros(len(ids), np.int64)
        if self.texts == "same":
            root = text_groups(Fingerprints.join([one.texts for one in every]), self.likeness)
        order = np.argsort(root, kind="stable")
        decision: Decision = defaultdict(dict)
        for rows in np.split(order, np.flatnonzero(np.diff(root[order])) + 1):
            if len(rows) > 1:
                report = find_duplicates(
                    signatures.take(rows),
                    [facts[row] for row in rows],
                    orientations=_MIRRORS if self.mirrored else (0,),
                )
                for copy in report.dropped:
                    decision[shard_of[copy.id]][copy.id] = Dropped("picture_duplicate", copy.why)
        return dict(decision)

    def decide(self, batch: Sequence[Sample], number: int, decision: Any, tools: Tools) -> list[Result]:
        """As was settled."""
        return _decided(batch, decision.get(number, {}))


def _picture(sample: Sample) -> Any:
    return next((media for media in sample.media.values() if media.kind == "image"), None)


def _gather(observed: Iterable[tuple[list[str], Any]]) -> tuple[list[str], list[int], list[Any]]:
    """All ids, the shard of each, and what else was observed."""
    ids: list[str] = []
    shards: list[int] = []
    parts = []
    for number, (here, part) in enumerate(observed):
        ids += here
        shards += [number] * len(here)
        parts.append(part)
    return ids, shards, parts


def _decided(batch: Sequence[Sample], drops: dict[str, Dropped]) -> list[Result]:
    return [drops.get(sample.id, sample) for sample in batch]
