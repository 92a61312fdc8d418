"""Documents → training samples of a size: pictures keep their place, and none is parted from its caption.

A document is first taken apart into what must stay together (a heading with what follows it, pictures with their
captions, a table with its own), then filled into samples in order. A text longer than a sample is cut between
sentences. A picture that alone is larger than a sample is left out and counted as over_budget.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from pydantic import Field

from mimovl.curate.interleaved.blocks import Block, blocks_of, count, with_blocks
from mimovl.curate.interleaved.language import sentences
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.data.image import smart_resize
from mimovl.data.tokenizer import Tokenizer
from mimovl.errors import MediaError
from mimovl.types import Sample

__all__ = ["CutDocuments", "Measure", "bound_together", "cut", "estimated_tokens", "picture_tokens"]

Measure = Callable[[Block], int]
"""How much of a sample a block fills."""

_HAN = re.compile(r"[\u2e80-\u9fff\uac00-\ud7a3\uff00-\uffef]")
_FRAME = 2
"""Tokens before and behind a picture's own (``<|vision_start|>``, ``<|vision_end|>``)."""


def estimated_tokens(text: str) -> int:
    """Tokens of a text without a tokenizer: two to three Chinese characters, four of other scripts. An estimate."""
    han = len(_HAN.findall(text))
    return -(-han * 2 // 3) + -(-(len(text) - han) // 4)


def picture_tokens(width: int, height: int, max_pixels: int) -> int:
    """Tokens of a picture at the size the model reads it in: one for each 28 × 28 pixels, and two around them.

    Raises:
        MediaError: a picture more than 200 times longer than wide.
    """
    resized_height, resized_width = smart_resize(height, width, max_pixels=max_pixels)
    return (resized_height // 28) * (resized_width // 28) + _FRAME


def bound_together(blocks: Sequence[Block]) -> list[list[Block]]:
    """A document as groups that no cut may part.

    Pictures with the captions under them (``P C``, ``P P C``) or above them (``C P``), by how the run begins; a table
    with its caption on either side; a heading with what it stands over.
    """
    groups: list[list[Block]] = []
    run: list[Block] = []
    for block in blocks:
        if block.kind in ("picture", "caption", "table"):
            run.append(block)
            continue
        groups += _run_groups(run)
        run = []
        groups.append([block])
    groups += _run_groups(run)
    bound: list[list[Block]] = []
    headings: list[Block] = []
    for group in groups:
        if len(group) == 1 and group[0].kind == "heading":
            headings.append(group[0])
            continue
        bound.append(headings + group)
        headings = []
    if headings:  # nothing stands under the last
        bound.append(headings)
    return bound


def _run_groups(run: Sequence[Block]) -> list[list[Block]]:
    """Pictures, tables and captions that stand together, by figure."""
    groups: list[list[Block]] = []
    captions_first = bool(run) and run[0].kind == "caption"
    for block in run:
        last = groups[-1] if groups else []
        had = {other.kind == "caption" for other in last}
        is_caption = block.kind == "caption"
        starts = not last or (
            # C P | C P: a caption after a picture begins the next; P C | P C: a picture after a caption does.
            (is_caption and had == {True, False}) if captions_first else (not is_caption and True in had)
        )
        if starts:
            groups.append([block])
        else:
            last.append(block)
    if len(groups) > 1 and all(block.kind == "caption" for block in groups[-1]):
        last = groups.pop()
        groups[-1].extend(last)
    split: list[list[Block]] = []
    for group in groups:  # without a caption, nothing holds pictures together
        split += [[block] for block in group] if all(block.kind != "caption" for block in group) else [group]
    return split


def cut(blocks: Sequence[Block], budget: int, measure: Measure) -> tuple[list[list[Block]], list[Block]]:
    """Blocks of each sample, none over the budget, and the pictures that were too large for one.

    Args:
        blocks: a document.
        budget: what a sample may hold.
        measure: how much a block fills.
    """
    samples: list[list[Block]] = []
    left_out: list[Block] = []
    held = 0
    for group in bound_together(blocks):
        for piece in _fitting(group, budget, measure, left_out):
            size = sum(map(measure, piece))
            if not samples or held + size > budget:
                samples.append([])
                held = 0
            samples[-1] += piece
            held += size
    return samples, left_out


def _fitting(group: list[Block], budget: int, measure: Measure, left_out: list[Block]) -> Iterator[list[Block]]:
    """A group as it is, or where it is over the budget, in pieces that are not."""
    if sum(map(measure, group)) <= budget:
        yield group
        return
    head: list[Block] = []
    for number, block in enumerate(group):
        if block.kind == "heading" and number + 1 < len(group) and measure(block) <= budget // 4:
            if sum(map(measure, [*head, block])) > budget // 4:
                yield head
                head = []
            head.append(block)
            continue
        figure = group[number:]
        if block.media is not None or (block.kind == "caption" and any(other.media for other in figure)):
            # Pictures with a caption: together or not at all.
            if sum(map(measure, head + figure)) <= budget:
                yield head + figure
            else:
                if head:
                    yield head
                left_out += [other for other in figure if other.media is not None]
                yield from ([other] for other in figure if other.kind == "table" and measure(other) <= budget)
            return
        room = budget - sum(map(measure, head))
        for index, part in enumerate(_parts(block, room, budget, measure)):
            yield [*head, part] if index == 0 else [part]
        head = []
    if head:
        yield head


def _parts(block: Block, first: int, later: int, measure: Measure) -> Iterator[Block]:
    """A text in parts, cut between lines of a table, sentences, or where a sentence is too long, anywhere."""
    joint = "\n" if block.kind == "table" else ""
    room = first
    held = ""
    for sentence in block.text.split("\n") if joint else _with_space(block.text):
        longer = f"{held}{joint}{sentence}" if held else sentence
        if measure(_like(block, longer)) <= room:
            held = longer
            continue
        if held.strip():
            yield _like(block, held.strip())
            room = later
        held = ""
        while measure(_like(block, sentence)) > room:
            low, high = 1, len(sentence)  # the longest beginning that fits; one character at least
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if measure(_like(block, sentence[:middle])) <= room else (low, middle - 1)
            yield _like(block, sentence[:low])
            room, sentence = later, sentence[low:].lstrip()
        held = sentence
    if held.strip():
        yield _like(block, held.strip())


def _with_space(text: str) -> Iterator[str]:
    """Sentences with the space behind them, so that together they are the text."""
    position = 0
    found = sentences(text)
    for sentence, following in zip(found, [*found[1:], None], strict=True):
        end = len(text) if following is None else text.index(following, text.index(sentence, position) + len(sentence))
        yield text[position:end]
        position = end


def _like(block: Block, text: str) -> Block:
    return Block(block.kind, text, page=block.page)


class CutDocuments(Step):
    """Cuts a document into samples ``id/0``, ``id/1``, … of at most ``budget``; one that fits stays as it is.

    Drops: nothing_left (its only content was a picture too large).
    """

    step: Literal["cut_documents"] = "cut_documents"
    budget: int = Field(default=8192, ge=64)
    """What a sample may hold: tokens of text and pictures, or characters."""
    unit: Literal["tokens", "characters"] = "tokens"
    """What is counted; a picture counts its tokens in either."""
    tokenizer: str = ""
    """A folder with the model's ``tokenizer.json``; where empty, tokens of text are estimated."""
    max_pixels: int = Field(default=4096 * 28 * 28, ge=28 * 28)
    """Bound of smart-resize; the model must read the pictures with the same."""

    def open(self, tools: Tools) -> Apply:
        """Load the tokenizer."""
        text_size: Callable[[str], int] = len
        if self.unit == "tokens":
            text_size = estimated_tokens
            if self.tokenizer:
                tokenizer = Tokenizer.from_folder(self.tokenizer)
                text_size = lambda text: len(tokenizer.encode(text))  # noqa: E731

        def measure(block: Block) -> int:
            if block.media is not None:
                try:
                    return picture_tokens(block.media.width, block.media.height, self.max_pixels)
                except MediaError:
                    return self.budget + 1  # no model reads it
            return text_size(f"{block.text}\n\n")

        return lambda batch: [self._result(sample, measure) for sample in batch]

    def _result(self, sample: Sample, measure: Measure) -> Result:
        pieces, left_out = cut(blocks_of(sample), self.budget, measure)
        meta = {}
        if left_out:
            meta["pictures_dropped"] = count(sample.meta, "pictures_dropped", Counter(over_budget=len(left_out)))
        if not pieces:
            return Dropped("nothing_left", f"{len(left_out)} pictures over {self.budget} {self.unit}, and no text")
        if len(pieces) == 1:
            return with_blocks(sample, pieces[0], **meta) if left_out else sample
        return [
            _piece(with_blocks(sample, piece, piece=[number, len(pieces)], **meta), number)
            for number, piece in enumerate(pieces)
        ]


def _piece(sample: Sample, number: int) -> Sample:
    return Sample(
        f"{sample.id}/{number}", sample.messages, sample.media, sample.task, sample.source, sample.language, None,
        sample.meta,
    )  # fmt: skip
