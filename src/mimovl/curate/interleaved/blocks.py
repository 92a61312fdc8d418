"""A document as blocks in reading order, and the Sample that carries it: one assistant message of texts and pictures.

Every block is one part of the message; what a part is (heading, text, table, caption, picture), on which page it stood
and a picture's alternative text lie beside it in ``meta["blocks"]``. The steps of this package read a document with
:func:`blocks_of`, and write it back with :func:`with_blocks`; a sample that came from elsewhere has plain texts and
pictures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mimovl.data.image import image_size
from mimovl.errors import DataError
from mimovl.types import Media, Message, Part, Sample

__all__ = [
    "Block",
    "BlockKind",
    "blocks_of",
    "clean_text",
    "count",
    "document",
    "picture",
    "plain_text",
    "table_text",
    "with_blocks",
]

BlockKind = Literal["heading", "text", "table", "caption", "picture"]
_KINDS = set(get_args(BlockKind))
_BETWEEN = "\n\n"
_SPECIAL = re.compile(r"<\|(\w+)\|>")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff\u200b\u00ad]")
_LIGATURES = str.maketrans({
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00a0": " ", "\u2028": "\n",
    "\u2029": "\n", "\r": "\n", "\t": " ",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a document: a text of some kind, or a picture."""

    kind: BlockKind
    text: str = ""
    media: Media | None = None
    alt: str = ""
    """What the page says of a picture in place of showing it."""
    page: int = 0
    """The page it stood on, from 1; 0 where there are no pages."""


def clean_text(text: str) -> str:
    """Text as it may stand in a sample: no control characters, ligatures in letters, no special tokens of the template.

    ``<|image_pad|>`` written in a document is text about models; only the chat template may write the token.
    """
    if not (text.isascii() and text.isprintable()):  # most text is both, and has nothing to lose
        text = _CONTROL.sub("", text.translate(_LIGATURES))
    return _SPECIAL.sub(r"<\1>", text) if "<|" in text else text


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown; the first row is taken as its head. Short rows are filled up."""
    width = max((len(row) for row in rows), default=0)
    lines = []
    for row in rows:
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
        lines.append("| " + " | ".join(cells + [""] * (width - len(cells))) + " |")
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]]) if lines else ""


def picture(data: bytes, *, name: str = "picture") -> Media:
    """A picture's bytes with the size its header says.

    Raises:
        MediaError: no picture, or one that claims more pixels than anyone should decode.
    """
    height, width = image_size(data, name=name)
    return Media(hashlib.sha256(data).hexdigest(), "image", data, width, height)


def document(
    sample_id: str, blocks: Sequence[Block], *, source: str, language: str, meta: Mapping[str, Any] | None = None
) -> Sample:
    """The sample of a document. A picture that occurs twice is held once."""
    empty = Sample(
        sample_id, (Message("assistant", ()),), task="interleaved", source=source, language=language, meta=meta or {}
    )
    return with_blocks(empty, blocks)


def with_blocks(sample: Sample, blocks: Sequence[Block], **meta: Any) -> Sample:
    """The same document with other blocks, and with further entries of ``meta``."""
    kept = [block for block in blocks if block.media is not None or block.text]
    parts: list[Part] = []
    for number, block in enumerate(kept):
        if block.media is not None:
            parts.append(Part("image", media=block.media.sha256))
        else:
            parts.append(Part("text", block.text + (_BETWEEN if number + 1 < len(kept) else "")))
    described: list[dict[str, Any]] = []
    for block in kept:
        entry: dict[str, Any] = {"kind": block.kind}
        if block.alt:
            entry["alt"] = block.alt
        if block.page:
            entry["page"] = block.page
        described.append(entry)
    return replace(
        sample,
        messages=(Message("assistant", tuple(parts)),),
        media={block.media.sha256: block.media for block in kept if block.media is not None},
        meta={**sample.meta, **meta, "blocks": described},
    )


def blocks_of(sample: Sample) -> list[Block]:
    """A document's blocks. Parts without (or no longer in step with) ``meta["blocks"]`` are plain texts and pictures.

    Raises:
        DataError: the sample is a conversation.
    """
    if len(sample.messages) != 1:
        raise DataError(
            f"sample {sample.id} has {len(sample.messages)} messages: a document has one; "
            "use the steps of interleaved documents on what the readers pdf, html and epub make"
        )
    parts = list(sample.messages[0].content)
    described: Any = sample.meta.get("blocks")
    if not _describes(described, parts):
        described = [{}] * len(parts)
    blocks = []
    for part, entry in zip(parts, described, strict=True):
        if part.type == "text":
            kind = entry.get("kind", "text")
            blocks.append(Block(kind, part.text.removesuffix(_BETWEEN), page=entry.get("page", 0)))
        elif part.type == "image":
            media = sample.media[part.media]
            blocks.append(Block("picture", media=media, alt=entry.get("alt", ""), page=entry.get("page", 0)))
    return blocks


def plain_text(blocks: Sequence[Block]) -> str:
    """All text of a document, a blank line between blocks."""
    return _BETWEEN.join(block.text for block in blocks if block.text)


def count(meta: Mapping[str, Any], key: str, more: Mapping[str, int]) -> dict[str, int]:
    """A table of counts in ``meta`` with more added to it, in the order of its words."""
    table = dict(meta.get(key, {}))
    for name, number in more.items():
        table[name] = table.get(name, 0) + number
    return dict(sorted(table.items()))


def _describes(described: Any, parts: Sequence[Part]) -> bool:
    """Whether the entries of ``meta["blocks"]`` still belong to these parts."""
    if not isinstance(described, list | tuple) or len(described) != len(parts):
        return False
    for part, entry in zip(parts, described, strict=True):
        kind = entry.get("kind") if isinstance(entry, Mapping) else None
        if kind not in _KINDS or (kind == "picture") != (part.type == "image"):
            return False
    return True
