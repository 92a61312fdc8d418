"""One table of somebody's file as a Sample: captions, conversations in either common form, pictures by any name.

    {"image": …, "caption": …}                                         one assistant text with its picture
    {"messages": [{"role", "content"}, …], "images": […]}              OpenAI style; content is text or parts
    {"conversations": [{"from", "value"}, …], "image": …}              LLaVA and ShareGPT style
    {"question": …, "answer": …, "image": …}                           one turn

``<image>`` in a text is where a picture goes; a conversation that says nowhere shows its pictures first. Reasons of
drops: no_table, no_text, bad_message, placeholders (their number is not that of the pictures), and those of ``media``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mimovl.curate.step import Dropped
from mimovl.errors import MediaError
from mimovl.types import Media, Message, Part, Role, Sample

__all__ = ["TEXT_KEYS", "row_to_record"]

_PLACE = re.compile(r"\s*<image>\s*")
_ROLES: dict[str, Role] = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
    "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "model": "assistant",
}  # fmt: skip
_TURNS = ("messages", "conversations", "conversation")
TEXT_KEYS = ("caption", "text", "txt", "description", "alt")
"""Keys of a caption, the first that is there."""
_PICTURES = ("images", "image", "jpg", "jpeg", "png", "webp", "image_path", "image_url", "url")
_KEPT = {"id", "task", "source", "language", "meta"}


class _Bad(Exception):
    """Why a row is no sample."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def row_to_record(
    row: Any,
    name: str,
    load: Callable[[Any, str], Media],
    *,
    source: str,
    task: str = "",
    text_key: str = "",
    image_key: str = "",
    needs_text: bool = True,
) -> tuple[str, Sample | Dropped]:
    """A record of a table.

    Args:
        row: the table.
        name: its id where it says none.
        load: makes a picture of what a row holds, given a name for errors; raises ``MediaError``.
        source: ``Sample.source`` where the row says none.
        task: likewise.
        text_key: key of the caption; unset: the usual ones.
        image_key: key of the picture or pictures; unset: the usual ones.
        needs_text: drop what has pictures and no text.

    Returns:
        Its id, and the sample or why there is none.
    """
    if not isinstance(row, Mapping):
        return name, Dropped("no_table", f"{type(row).__name__} where a table of values should be")
    sample_id = row.get("id")
    sample_id = name if sample_id in (None, "") or isinstance(sample_id, dict | list) else str(sample_id)
    try:
        messages, media = _conversation(row, sample_id, load, text_key, image_key, needs_text)
        meta = _meta(row, text_key, image_key)
    except _Bad as bad:
        return sample_id, Dropped(bad.reason, str(bad))
    except MediaError as error:
        return sample_id, Dropped(error.reason, str(error))
    return sample_id, Sample(
        id=sample_id,
        messages=messages,
        media=media,
        task=_word(row.get("task")) or task,
        source=_word(row.get("source")) or source,
        language=_word(row.get("language")) or "en",
        meta=meta,
    )


def _conversation(
    row: Mapping[str, Any],
    name: str,
    load: Callable[[Any, str], Media],
    text_key: str,
    image_key: str,
    needs_text: bool,
) -> tuple[tuple[Message, ...], dict[str, Media]]:
    held = [load(value, f"{name}, picture {number}") for number, value in enumerate(_pictures(row, image_key))]
    key = next((key for key in _TURNS if row.get(key) is not None), "")
    if not key or text_key:
        if not text_key and isinstance(row.get("question"), str) and row.get("answer") is not None:
            shown = tuple(Part("image", media=media.sha256) for media in held)
            question = Message("user", (*shown, Part("text", text=row["question"])))
            return (question, Message("assistant", (Part("text", text=str(row["answer"])),))), _named(held)
        text = _caption(row, text_key)
        if not text.strip() and (needs_text or not held):
            raise _Bad("no_text", f"none of {', '.join([text_key] if text_key else TEXT_KEYS)} holds a text")
        parts = [Part("image", media=media.sha256) for media in held]
        return (Message("assistant", (*parts, *([Part("text", text=text)] if text else []))),), _named(held)
    turns = _turns(row[key])
    waiting = iter(held)
    loaded: list[Media] = []
    messages = []
    places = 0
    for role, content in turns:
        parts = []
        for kind, value in _pieces(content):
            if kind == "text":
                parts.append(Part("text", text=value))
                continue
            places += 1
            media = load(value, f"{name}, picture {places}") if value else next(waiting, None)
            if media is not None:
                loaded.append(media)
                parts.append(Part("image", media=media.sha256))
        messages.append(Message(role, tuple(parts)))
    left = list(waiting)
    if left and not places:
        first = next((number for number, message in enumerate(messages) if message.role == "user"), 0)
        shown = tuple(Part("image", media=media.sha256) for media in left)
        messages[first] = Message(messages[first].role, (*shown, *messages[first].content))
        loaded += left
        left = []
    if left or places > len(loaded):
        raise _Bad("placeholders", f"{places} places for pictures in its text, {len(held)} pictures")
    return tuple(messages), _named(loaded)


def _named(media: list[Media]) -> dict[str, Media]:
    return {one.sha256: one for one in media}


def _pictures(row: Mapping[str, Any], image_key: str) -> list[Any]:
    for key in [image_key] if image_key else _PICTURES:
        value = row.get(key)
        if value is None or value == "":
            continue
        return list(value) if isinstance(value, list | tuple) else [value]
    return []


def _caption(row: Mapping[str, Any], text_key: str) -> str:
    for key in [text_key] if text_key else TEXT_KEYS:
        value = row.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            return str(value[0])
    return ""


def _turns(value: Any) -> list[tuple[Role, Any]]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise _Bad("bad_message", f"its turns are a text that is no JSON ({error})") from None
    if not isinstance(value, list) or not value:
        raise _Bad("bad_message", "it has no list of turns")
    turns: list[tuple[Role, Any]] = []
    for turn in value:
        if not isinstance(turn, Mapping):
            raise _Bad("bad_message", f"a turn is {type(turn).__name__}")
        role = _ROLES.get(str(turn.get("role", turn.get("from", ""))).lower())
        content = turn.get("content", turn.get("value"))
        if role is None or content is None:
            raise _Bad("bad_message", f"a turn is {str(turn)[:80]}; it needs role and content, or from and value")
        turns.append((role, content))
    return turns


def _pieces(content: Any) -> Iterator[tuple[str, Any]]:
    """("text", words), or ("image", what it holds or None where the next of the row's pictures goes)."""
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, Mapping):
                yield "text", str(part)
            elif str(part.get("type", "text")).startswith("image"):
                value = part.get("image", part.get("image_url"))
                yield "image", value
            elif part.get("type", "text") == "text":
                yield "text", str(part.get("text") or "")
            else:
                raise _Bad("bad_message", f"a part of type {str(part.get('type'))[:40]} is not read")
        return
    if not isinstance(content, str):
        raise _Bad("bad_message", f"a content is {type(content).__name__}")
    place = 0
    for found in _PLACE.finditer(content):
        if found.start() > place:
            yield "text", content[place : found.start()]
        yield "image", None
        place = found.end()
    if place < len(content) or not content:
        yield "text", content[place:]


def _meta(row: Mapping[str, Any], text_key: str, image_key: str) -> dict[str, Any]:
    """What the row says besides, as far as JSON holds it."""
    meta = row.get("meta")
    if isinstance(meta, str) and meta:
        try:
            meta = json.loads(meta)
        except (ValueError, RecursionError):
            meta = None
    known = {*_KEPT, *_TURNS, *TEXT_KEYS, *_PICTURES, "question", "answer", text_key, image_key}
    found = dict(meta) if isinstance(meta, Mapping) else {}
    for key, value in row.items():
        if str(key) not in known and (
            isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
        ):
            found[str(key)] = value
    return found


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
