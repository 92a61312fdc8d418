"""Columns of other people's datasets, and completions as their trainers hand them over → samples and texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mimovl.errors import DataError
from mimovl.reward.tasks import read_gold
from mimovl.types import Message, Part, Role, Sample

__all__ = ["Columns", "label_sample", "messages_from", "text_of"]


@dataclass(frozen=True)
class Columns:
    """Which column of a dataset holds what.

    ``gold`` may hold answers alone, or ``{"kind", "answer", "options"}``, also as JSON strings: a column of Arrow has
    one type, and golds of several kinds share one only as strings.
    """

    task: str = "task"
    gold: str = "gold"
    kind: str = "kind"
    options: str = "options"
    """Mappings, or JSON strings of them."""
    id: str = "id"
    default_task: str = ""
    """The task where there is no such column."""

    def samples(self, columns: Mapping[str, Any], count: int, prompts: Sequence[Any] | None = None) -> list[Sample]:
        """One sample for each row.

        Raises:
            DataError: a column is missing or does not have ``count`` rows, or a gold cannot be read; names row and
                column.
        """
        tasks = self._column(columns, self.task, count) or [self.default_task] * count
        golds = self._column(columns, self.gold, count) or [None] * count
        kinds = self._column(columns, self.kind, count) or [None] * count
        options = self._column(columns, self.options, count) or [None] * count
        ids = self._column(columns, self.id, count) or [f"row {row}" for row in range(count)]
        if self.task not in columns and not self.default_task:
            raise DataError(
                f"the dataset has no column {self.task!r}, only {', '.join(columns) or 'none'}; add it, name another "
                "one, or give the task of all rows"
            )
        samples = []
        for row in range(count):
            task = str(tasks[row])
            try:
                own = {} if options[row] is None else options[row]
                own = json.loads(own) if isinstance(own, str) else own
                gold = read_gold(task, golds[row], kinds[row], own, needed=False)
            except (DataError, ValueError) as error:
                raise DataError(f"row {row} ({ids[row]}), column {self.gold!r}: {error}") from error
            messages = messages_from(prompts[row]) if prompts is not None else ()
            samples.append(Sample(str(ids[row]), messages, task=task, gold=gold))
        return samples

    def _column(self, columns: Mapping[str, Any], name: str, count: int) -> Sequence[Any] | None:
        values = columns.get(name)
        if values is not None and len(values) != count:
            raise DataError(f"column {name!r} has {len(values)} rows for {count} completions")
        return values


def text_of(completion: Any) -> str:
    """What a model said: a text, a message, or a conversation, of which the last message counts."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Mapping):
        content = completion.get("content") or ""
        return content if isinstance(content, str) else "".join(str(part.get("text") or "") for part in content)
    return text_of(completion[-1]) if completion else ""


def messages_from(prompt: Any) -> tuple[Message, ...]:
    """A prompt as messages: a conversation, a text, or a text that a ChatML template made; pictures leave no trace."""
    roles: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
    if isinstance(prompt, str):
        turns = [(match[1], _VISION.sub("", match[2])) for match in _TURN.finditer(prompt)]
        found = tuple(Message(roles[role], (Part("text", text),)) for role, text in turns if role in roles)
        return found or (Message("user", (Part("text", prompt),)),)
    return tuple(
        Message(roles.get(message.get("role"), "user"), (Part("text", text_of(message)),)) for message in prompt
    )


_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)
_VISION = re.compile(r"<\|(?:vision_start|vision_end|image_pad|video_pad)\|>")


def label_sample(label: Any, id: str, *, task: str, prompt: str = "") -> Sample:
    """A sample from a label: ``{"task", "gold", "kind", "options"}``, also as a JSON string; or a gold answer alone.

    Args:
        label: what the dataset holds.
        id: names it in messages.
        task: of a gold answer alone.
        prompt: as the policy got it, for rewards that read it.

    Raises:
        DataError: the gold cannot be read; names field and label.
    """
    fields = label
    if isinstance(label, str) and label.lstrip().startswith("{"):
        try:
            fields = json.loads(label)
        except (ValueError, RecursionError):
            fields = label
    if not (isinstance(fields, Mapping) and "task" in fields and fields.keys() <= {"task", "gold", "kind", "options"}):
        fields = {"task": task, "gold": label}
    try:
        name = str(fields["task"])
        gold = read_gold(name, fields.get("gold"), fields.get("kind"), fields.get("options"), needed=False)
    except DataError as error:
        raise DataError(f"sample {id!r}, label {str(label)[:80]!r}: {error}") from error
    return Sample(id, messages_from(prompt) if prompt else (), task=name, gold=gold)
