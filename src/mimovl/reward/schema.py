"""The JSON of the reward service, both ways: what is posted, what comes back, and how a ``Sample`` becomes an item.

    POST /v1/rewards  {"items": [{"task": "counting", "completion": "3", "gold": 3}]}
                   →  {"rewards": [{"score": 1.0, "outcome": "CORRECT", "detail": "…", "answer": "3"}]}

An unknown field is refused: a misspelt one would change rewards silently.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mimovl.errors import DataError
from mimovl.types import Completion, Media, MediaKind, Message, Outcome, Part, Role, Sample, Verdict

__all__ = [
    "Problem",
    "ProblemItem",
    "Reward",
    "RewardItem",
    "RewardRequest",
    "RewardResponse",
    "ServiceInfo",
    "item_of",
    "media_of",
    "messages_of",
    "sendable",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class ItemPart(_Strict):
    """One piece of a message."""

    type: Literal["text", "image", "video"]
    text: str = ""
    media: str = ""
    """Key in the item's ``media``."""


class ItemMessage(_Strict):
    """One turn of the prompt."""

    role: Role
    content: str | list[ItemPart]


class ItemMedia(_Strict):
    """An encoded picture or clip."""

    data: str
    """The file's bytes in base64."""
    kind: MediaKind = "image"
    sha256: str = ""
    width: Annotated[int, Field(ge=0)] = 0
    height: Annotated[int, Field(ge=0)] = 0
    num_frames: Annotated[int, Field(ge=1)] = 1
    fps: Annotated[float, Field(ge=0)] = 0.0


class RewardItem(_Strict):
    """One completion to reward."""

    task: str
    """The capability, e.g. counting; it chooses the reward."""
    completion: str
    """All that the model said, its thought included."""
    gold: Any = None
    """The right answer alone, or {"kind", "answer", "options"}; not needed where the task has a model or function."""
    kind: str | None = None
    """How the gold answer is graded, e.g. box; without it the task says so."""
    options: dict[str, Any] = {}
    """Of the grader, e.g. {"tolerance": 0.1}."""
    finish_reason: Literal["stop", "length"] | None = None
    """length: the completion was cut by the token limit, and earns 0."""
    id: str = ""
    """Names the item in messages; its place in the request if empty."""
    messages: list[ItemMessage] = []
    """The prompt, for tasks that /v1/info lists under prompts; others do without."""
    media: dict[str, ItemMedia] = {}
    """Pictures and clips of the prompt."""


class RewardRequest(_Strict):
    """Completions to reward; the rewards come in the same order."""

    items: list[RewardItem]


class Reward(BaseModel):
    """The reward of one item."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    score: float
    """In [0, 1]."""
    outcome: Outcome
    """Only CORRECT and WRONG speak about the answer."""
    detail: str
    """The rule that decided, or why none could."""
    answer: str = ""
    """What was read as the answer."""

    @classmethod
    def of(cls, verdict: Verdict) -> Reward:
        """A verdict as JSON has it."""
        return cls.model_construct(
            score=verdict.score,
            outcome=verdict.outcome,
            detail=sendable(verdict.rule),
            answer=sendable(verdict.answer),
        )

    def verdict(self) -> Verdict:
        """The verdict again."""
        return Verdict(self.score, self.outcome, self.answer, self.detail)


class RewardResponse(BaseModel):
    """One reward for each item, in order."""

    rewards: list[Reward]


class ProblemItem(BaseModel):
    """What is wrong with one item."""

    index: int
    message: str


class Problem(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    detail: str
    """One sentence: what is wrong, where, and the cure."""
    items: list[ProblemItem] = []
    """The items at fault, where items are."""
    limit: int | None = None
    """The limit that was exceeded."""


class ServiceInfo(BaseModel):
    """What a client must know."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    version: str
    max_items: int
    max_body_bytes: int
    prompts: list[str]
    """Tasks whose items must carry messages and media."""
    tasks: dict[str, str]
    """Task → kind of its gold answer, or "function" or "model"."""


# ---------------------------------------------------------------- samples ↔ items


def item_of(sample: Sample, completion: Completion | str, *, prompt: bool = False) -> dict[str, Any]:
    """A sample and a completion as an item; with its messages and pictures only if ``prompt``.

    Lone surrogates become U+FFFD.
    """
    text = completion.text if isinstance(completion, Completion) else completion
    item: dict[str, Any] = {"task": sample.task, "completion": sendable(text), "id": sendable(sample.id)}
    if isinstance(completion, Completion):
        item["finish_reason"] = completion.finish_reason
    if sample.gold is not None:
        item |= {"kind": sample.gold.kind, "gold": sample.gold.answer, "options": dict(sample.gold.options)}
    if prompt:
        item["messages"] = [
            {
                "role": message.role,
                "content": [
                    {"type": part.type, "text": sendable(part.text), "media": part.media} for part in message.content
                ],
            }
            for message in sample.messages
        ]
        item["media"] = {
            key: {
                "data": base64.b64encode(media.data).decode(),
                "kind": media.kind,
                "sha256": media.sha256,
                "width": media.width,
                "height": media.height,
                "num_frames": media.num_frames,
                "fps": media.fps,
            }
            for key, media in sample.media.items()
        }
    return item


def messages_of(item: RewardItem) -> tuple[Message, ...]:
    """The prompt of an item."""
    return tuple(
        Message(
            message.role,
            (Part("text", message.content),)
            if isinstance(message.content, str)
            else tuple(Part(part.type, part.text, part.media) for part in message.content),
        )
        for message in item.messages
    )


def media_of(item: RewardItem) -> dict[str, Media]:
    """The pictures and clips of an item.

    Raises:
        DataError: one is not base64; names the field.
    """
    found = {}
    for key, media in item.media.items():
        try:
            data = base64.b64decode(media.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise DataError(f"field media.{key}.data: not base64 ({error})") from None
        found[key] = Media(media.sha256, media.kind, data, media.width, media.height, media.num_frames, media.fps)
    return found


def sendable(text: str) -> str:
    """The text, its lone surrogates, which no UTF-8 can hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
