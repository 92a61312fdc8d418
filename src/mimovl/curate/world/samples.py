"""Items → samples: conversations and documents that train, questions with gold that test or reward."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence

from PIL import Image

from mimovl.curate.world.items import WorldItem, key_hash
from mimovl.data.chat_template import NO_THINK, think
from mimovl.errors import DataError
from mimovl.types import Media, Message, Part, Sample

__all__ = ["encode_clip", "encode_image", "to_questions", "to_training_sample"]

_MAIN_TASK = {
    "world/caption": "caption",
    "world/dense": "caption",
    "world/interleaved": "text",
    "world/ocr": "ocr",
    "world/grounding": "grounding",
    "world/counting": "counting",
    "world/attributes": "attributes",
    "world/gui": "gui_point",
    "world/clip": "clip_span",
    "world/arithmetic": "arithmetic",
    "world/reasoning": "visual_reasoning",
    "world/text": "text",
    "world/recall": "text",
}


def encode_image(image: Image.Image) -> Media:
    """A picture as PNG, lightly compressed: speed matters more than bytes here."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return _media(buffer.getvalue(), "image", image.width, image.height)


def encode_clip(frames: Sequence[Image.Image], fps: float) -> Media:
    """Frames as an animated PNG, each shown for 1/``fps`` seconds.

    Raises:
        DataError: There are no frames, or two neighbours are equal: the encoder would merge them into one.
    """
    if not frames:
        raise DataError("a clip without frames cannot be encoded; give at least one")
    pixels = [frame.tobytes() for frame in frames]
    for number in range(1, len(frames)):
        if pixels[number] == pixels[number - 1]:
            raise DataError(f"frames {number - 1} and {number} of a clip are equal and would be merged; vary a pixel")
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "PNG",
        save_all=True,
        append_images=list(frames[1:]),
        duration=1000.0 / fps,
        loop=0,
        compress_level=1,
    )
    return _media(buffer.getvalue(), "video", frames[0].width, frames[0].height, len(frames), fps)


def _media(data: bytes, kind: str, width: int, height: int, num_frames: int = 1, fps: float = 0.0) -> Media:
    name = hashlib.sha256(data).hexdigest()
    return Media(name, "video" if kind == "video" else "image", data, width, height, num_frames, fps)


def _item_media(item: WorldItem) -> Media | None:
    if item.image is not None:
        return encode_image(item.image)
    return encode_clip(item.frames, item.fps) if item.frames else None


def to_training_sample(
    item: WorldItem,
    *,
    rng: random.Random,
    thinking_share: float,
    max_turns: int,
    as_text: bool = False,
) -> Sample:
    """One conversation about one picture (turns in random order, up to ``max_turns``), or a document.

    Args:
        item: What to train on.
        rng: Draws the order of the turns and which of them think.
        thinking_share: Chance that a turn is asked in thinking mode; the others end in ``NO_THINK``.
        max_turns: Most turns of the conversation.
        as_text: Put the item's description in place of its pictures (the language model's text-only diet).

    Raises:
        DataError: The item has neither turns nor a document.
    """
    if item.document:
        return _document(item, as_text=as_text)
    if not item.turns:
        raise DataError(f"item {item.id!r} has neither turns nor a document; build it with build_item")
    media = None if as_text else _item_media(item)
    messages: list[Message] = []
    for number, turn in enumerate(rng.sample(item.turns, min(max_turns, len(item.turns)))):
        thinking = rng.random() < thinking_share
        shown = media if number == 0 else None
        text = turn.question if thinking else turn.question + NO_THINK
        if number == 0 and media is None and item.description:
            text = f"{item.description}\n{text}"
        messages.append(_user(text, shown))
        messages.append(Message("assistant", (Part("text", think(turn.thought if thinking else "", turn.answer)),)))
    return Sample(
        id=item.id,
        messages=tuple(messages),
        media={media.sha256: media} if media else {},
        task=_MAIN_TASK[item.source],
        source=item.source,
        language=item.language,
        meta={"scene": key_hash(item.key)},
    )


def to_questions(item: WorldItem) -> list[Sample]:
    """One sample a gradable turn, ending with the user's turn; ids are the item's with the turn's number."""
    media = _item_media(item)
    return [
        Sample(
            id=f"{item.id}#{number}",
            messages=(_user(turn.question, media),),
            media={media.sha256: media} if media else {},
            task=turn.task,
            source=item.source,
            language=turn.language,
            gold=turn.gold,
            meta={"scene": key_hash(item.key)},
        )
        for number, turn in enumerate(item.turns)
        if turn.gold is not None
    ]


def _user(text: str, media: Media | None) -> Message:
    """A user turn; the picture or clip comes before the text."""
    shown = (Part(media.kind, media=media.sha256),) if media else ()
    return Message("user", (*shown, Part("text", text)))


def _document(item: WorldItem, *, as_text: bool) -> Sample:
    """A sample whose only message is the document, pictures and text in order."""
    if as_text:
        return Sample(
            id=item.id,
            messages=(Message("assistant", (Part("text", item.description),)),),
            task="text",
            source=item.source,
            language=item.language,
            meta={"scene": key_hash(item.key)},
        )
    parts, media = [], {}
    for piece in item.document:
        if isinstance(piece, str):
            parts.append(Part("text", piece))
        else:
            encoded = encode_image(piece)
            media[encoded.sha256] = encoded
            parts.append(Part("image", media=encoded.sha256))
    return Sample(
        id=item.id,
        messages=(Message("assistant", tuple(parts)),),
        media=media,
        task=_MAIN_TASK[item.source],
        source=item.source,
        language=item.language,
        meta={"scene": key_hash(item.key)},
    )
