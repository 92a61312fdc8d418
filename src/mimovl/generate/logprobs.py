"""Score a conversation: the log-probability of every token given those before it.

    mimovl logprobs CKPT --messages FILE.json --out FILE.json

Messages are OpenAI-style: content is a string or a list of parts ``{"type": "text", "text": …}``,
``{"type": "image", "image": PATH}`` or ``{"type": "image_url", "image_url": {"url": PATH}}``, and likewise ``video``
and ``video_url``; paths are local (``file://`` allowed), relative to the messages file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import torch

from mimovl.atomic import write_file
from mimovl.data import Processor, collate, image_size
from mimovl.errors import DataError, UsageError
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.types import Media, MediaKind, Message, Part

__all__ = ["read_messages", "score_messages", "token_logprobs"]

ROWS = 512
"""Tokens whose logits are there at once."""


def score_messages(checkpoint: str | Path, messages: str | Path, out: str | Path) -> dict[str, Any]:
    """Write ``{"tokens", "texts", "logprobs"}`` of a conversation; the first token's log-probability is null.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        UsageError: the messages file cannot be read, or ``out`` is that very file, or cannot be written.
        DataError: a message or its media cannot be used, or they are longer than the model's context.
    """
    file = Path(out)
    if file.exists() and Path(messages).exists() and file.samefile(messages):
        raise UsageError(f"{out}: --out is the file of the messages, which would be lost; choose another")
    if file.is_dir():
        raise UsageError(f"{out}: --out is a folder; name a file")
    conversation, media = read_messages(messages)
    model = load_checkpoint(checkpoint)
    processor = Processor.load(checkpoint)
    tokens, logprobs = token_logprobs(model, processor, conversation, media)
    result = {
        "tokens": tokens,
        "texts": [processor.tokenizer.decode([token], keep_special=True) for token in tokens],
        "logprobs": [None, *logprobs],
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, (json.dumps(result, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise UsageError(f"{file}: cannot be written ({error.strerror})") from None
    return result


@torch.no_grad()
def token_logprobs(
    model: VisionLanguageModel, processor: Processor, messages: Sequence[Message], media: dict[str, Media]
) -> tuple[list[int], list[float]]:
    """Token ids of a conversation, and the log-probability of each from the second on.

    Every vocabulary entry counts, placeholders too, as in any engine that reports prompt log-probabilities.

    Raises:
        DataError: they are longer than the model's context.
    """
    generate = messages[-1].role == "user"
    encoded = processor.encode_prompt(messages, media, id="messages", generate=generate)
    config = model.config
    if encoded.num_tokens > (room := config.language.max_position):
        raise DataError(f"the messages have {encoded.num_tokens} tokens, the model's context has {room}; shorten them")
    batch = collate(
        [encoded],
        visual_token_ids=(config.image_token_id, config.video_token_id),
        merge_unit=config.vision.merge_unit,
    ).to(model.device)
    model.eval()
    chosen: list[float] = []
    # A few rows at a time: all logits of 32K tokens and 151,680 entries would be 20 GB.
    hidden, tokens = model(batch)[:-1], batch.tokens[1:]
    for first in range(0, len(tokens), ROWS):
        logprobs = model.logits(hidden[first : first + ROWS]).float().log_softmax(-1)
        chosen += logprobs.gather(-1, tokens[first : first + ROWS, None])[:, 0].tolist()
    return encoded.tokens.tolist(), chosen


def read_messages(path: str | Path) -> tuple[list[Message], dict[str, Media]]:
    """Messages and their media from a JSON file (a list, or an object with ``messages``).

    Raises:
        UsageError: no such file, or not JSON.
        DataError: a message without role or content, an unknown part, or missing media; names its place.
    """
    file = Path(path)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not valid JSON ({error})") from None
    if isinstance(data, dict):
        data = data.get("messages")
    if not isinstance(data, list) or not data:
        raise DataError(f"{file}: expected a non-empty list of messages, or an object with one under 'messages'")
    messages: list[Message] = []
    media: dict[str, Media] = {}
    for number, entry in enumerate(data):
        where = f"{file}: message {number}"
        if not isinstance(entry, dict) or entry.get("role") not in ("system", "user", "assistant"):
            raise DataError(f"{where}: needs a role of system, user or assistant")
        content = entry.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list):
            raise DataError(f"{where}: content must be a string or a list of parts")
        parts = []
        for place, part in enumerate(content):
            parts.append(_part(part, f"{where}, part {place}", file.parent, media))
        messages.append(Message(entry["role"], tuple(parts)))
    return messages, media


def _part(part: Any, where: str, folder: Path, media: dict[str, Media]) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return Part("text", text=part["text"])
    if kind in ("image", "image_url", "video", "video_url"):
        name: MediaKind = "image" if kind.startswith("image") else "video"
        value = part.get(kind, part.get(name))
        url = value.get("url") if isinstance(value, dict) else value
        if not isinstance(url, str):
            raise DataError(f"{where}: {kind} needs a path")
        item = _read_media(url, name, where, folder)
        media[item.sha256] = item
        return Part(name, media=item.sha256)
    raise DataError(f"{where}: unknown part {kind!r}; use text, image, image_url, video or video_url")


def _read_media(url: str, kind: MediaKind, where: str, folder: Path) -> Media:
    scheme = urlparse(url).scheme
    if scheme != "file" and ("://" in url or scheme == "data"):
        raise DataError(f"{where}: {scheme}: addresses are not fetched; save the file and give its path")
    path = Path(unquote(urlparse(url).path)) if scheme == "file" else Path(url)
    path = path if path.is_absolute() else folder / path
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise DataError(f"{where}: {path} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    height, width = image_size(data, name=str(path)) if kind == "image" else (0, 0)
    return Media(hashlib.sha256(data).hexdigest(), kind, data, width, height)
