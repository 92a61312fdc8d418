r"""ChatML with thinking: how a conversation becomes text.

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
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mimovl.errors import CheckpointError
from mimovl.types import Message, Part

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
        "{%- for message in messages -%}" + opening + "{{ '<|im_start|>' + message['role'] + '\\n' }}"
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
    """Renders conversations, with the filters, functions and tags that ``transformers`` gives to templates.

    Args:
        source: the Jinja template.
        tokens: special tokens by the name templates use, such as ``eos_token``.
    """

    def __init__(self, source: str, tokens: Mapping[str, str] | None = None) -> None:
        self.source = source
        self.tokens = dict(tokens or {})
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _now
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise CheckpointError(f"the chat template is not valid Jinja: {error}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its source: a compiled template cannot be, and loader processes are handed one."""
        return type(self), (self.source, self.tokens)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, where: str) -> ChatTemplate:
        """The template among a checkpoint's files: ``chat_template.jinja``, ``.json``, or in the tokenizer's config.

        Raises:
            CheckpointError: none of them has one, or it cannot be read.
        """
        settings = read_table(files, "tokenizer_config.json", where=where)
        named = {name: settings.get(name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
        tokens = {
            name: value["content"] if isinstance(value, dict) else value for name, value in named.items() if value
        }
        if "chat_template.jinja" in files:
            return cls(files["chat_template.jinja"].decode("utf-8", errors="replace"), tokens)
        for table in (read_table(files, "chat_template.json", where=where), settings):
            source = table.get("chat_template")
            if isinstance(source, list):  # several, by name
                source = {item.get("name"): item.get("template") for item in source}.get("default")
            if isinstance(source, str):
                return cls(source, tokens)
        raise CheckpointError(
            f"{where}: no chat template (chat_template.jinja, chat_template.json or tokenizer_config.json)"
        )

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
                **self.tokens,
                messages=[_plain(message) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=generate,
            )
        except Exception as error:  # a template can do anything a small program can
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


def read_table(files: Mapping[str, bytes], name: str, *, where: str) -> dict[str, Any]:
    """A JSON file among a checkpoint's files; an empty table if there is none.

    Raises:
        CheckpointError: it is not a JSON table.
    """
    try:
        table = json.loads(files.get(name, b"{}"))
    except ValueError as error:
        raise CheckpointError(f"{where}: {name} cannot be read as JSON ({error})") from None
    if not isinstance(table, dict):
        raise CheckpointError(f"{where}: {name} must hold a table, it holds {type(table).__name__}")
    return table


class _GenerationTag(Extension):
    """``{% generation %}…{% endgeneration %}`` marks what the assistant says; here it renders as its content."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        """The statements between the tags, in a scope of their own as in ``transformers``."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _now(format: str) -> str:
    return datetime.now().strftime(format)


def think(thought: str, answer: str) -> str:
    """An assistant turn with its thought, which may be empty."""
    return f"<think>\n{thought}\n</think>\n\n{answer}"


def answer_of(text: str) -> str:
    """What follows the thought; the whole text if there is none."""
    return text.rpartition("</think>")[2].strip()


def ask_without_thinking(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with its last user turn ending in the no-think switch, unless someone else speaks last."""
    if not messages or messages[-1].role != "user":
        return tuple(messages)
    last = messages[-1]
    if last.content and last.content[-1].type == "text" and last.text.endswith(NO_THINK):
        return tuple(messages)
    return (*messages[:-1], replace(last, content=(*last.content, Part("text", text=NO_THINK))))
