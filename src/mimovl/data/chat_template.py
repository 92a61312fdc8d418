"""ChatML with thinking: how a conversation becomes text.

    <|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>How many? /no_think<|im_end|>\n
    <|im_start|>assistant\n<think>\n\n</think>\n\n3<|im_end|>\n

A checkpoint's own template decides (Jinja, sandboxed, as in ``transformers``), so what is trained here is what every
other engine renders. A user turn that ends in `` /no_think`` asks for an answer without thought (the MiMo-VL 2508
models); a sample whose only message is the assistant's is a document and is rendered bare.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..errors import CheckpointError
from ..types import Message, Part

__all__ = ["NO_THINK", "ChatTemplate", "answer_of", "ask_without_thinking", "chatml", "think"]

NO_THINK = " /no_think"
"""Last words of a user turn that switch thinking off."""

IMAGE_SLOT = "<|vision_start|><|image_pad|><|vision_end|>"
VIDEO_SLOT = "<|vision_start|><|video_pad|><|vision_end|>"


def chatml(system: str | None = None) -> str:
    """A ChatML template (Jinja) with an optional default system prompt."""
    opening = ""
    if system is not None:
        text = json.dumps(f"<|im_start|>system\n{system}<|im_end|>\n", ensure_ascii=False)
        opening = "{%- if loop.first and message['role'] != 'system' -%}{{ " + text + " }}{%- endif -%}"
    return (
        "{%- for message in messages -%}"
        + opening
        + "{{ '<|im_start|>' + message['role'] + '\\n' }}"
        "{%- if message['content'] is string -%}{{ message['content'] }}"
        "{%- else -%}{%- for part in message['content'] -%}"
        "{%- if part['type'] in ('image', 'image_url') -%}{{ '" + IMAGE_SLOT + "' }}"
        "{%- elif part['type'] in ('video', 'video_url') -%}{{ '" + VIDEO_SLOT + "' }}"
        "{%- else -%}{{ part['text'] }}{%- endif -%}"
        "{%- endfor -%}{%- endif -%}"
        "{{ '<|im_end|>\\n' }}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
    )


class ChatTemplate:
    """Renders conversations.

    Args:
        source: the Jinja template.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise CheckpointError(f"the chat template is not valid Jinja: {error}") from None

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, where: str) -> ChatTemplate:
        """The template among a checkpoint's files: ``chat_template.jinja``, ``.json``, or in the tokenizer's config.

        Raises:
            CheckpointError: none of them has one.
        """
        if "chat_template.jinja" in files:
            return cls(files["chat_template.jinja"].decode("utf-8"))
        for name in ("chat_template.json", "tokenizer_config.json"):
            source = json.loads(files[name]).get("chat_template") if name in files else None
            if isinstance(source, str):
                return cls(source)
        raise CheckpointError(f"{where}: no chat template (chat_template.jinja, chat_template.json or tokenizer_config.json)")

    def render(self, messages: Sequence[Message], *, generate: bool = False) -> str:
        """The text of a conversation, one placeholder token for each picture or clip.

        Args:
            messages: the turns.
            generate: end with the opening of an assistant turn.

        Raises:
            CheckpointError: the template rejects the conversation.
        """
        if len(messages) == 1 and messages[0].role == "assistant" and not generate:
            return "".join(_SLOT.get(part.type, part.text) for part in messages[0].content) + "<|endoftext|>"
        try:
            return self._template.render(
                messages=[_plain(message) for message in messages], add_generation_prompt=generate
            )
        except jinja2.TemplateError as error:
            raise CheckpointError(f"the chat template cannot render this conversation: {error}") from None

    def files(self) -> dict[str, bytes]:
        """The template as files of a checkpoint, for newer and older readers."""
        old = json.dumps({"chat_template": self.source}, indent=2, ensure_ascii=False)
        return {"chat_template.jinja": self.source.encode(), "chat_template.json": old.encode()}


_SLOT = {"image": IMAGE_SLOT, "video": VIDEO_SLOT}


def _plain(message: Message) -> dict[str, Any]:
    """A message as the dictionaries templates expect; text alone stays a string."""
    if all(part.type == "text" for part in message.content):
        return {"role": message.role, "content": message.text}
    parts = [
        {"type": "text", "text": part.text} if part.type == "text" else {"type": part.type, part.type: part.media}
        for part in message.content
    ]
    return {"role": message.role, "content": parts}


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def think(thought: str, answer: str) -> str:
    """An assistant turn with its thought, which may be empty."""
    return f"<think>\n{thought}\n</think>\n\n{answer}"


def answer_of(text: str) -> str:
    """What follows the thought; the whole text if there is none."""
    return text.rpartition("</think>")[2].strip()


def ask_without_thinking(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with its last user turn ending in the no-think switch."""
    last = messages[-1]
    if last.role != "user" or last.text.endswith(NO_THINK):
        return tuple(messages)
    return (*messages[:-1], replace(last, content=(*last.content, Part("text", text=NO_THINK))))
