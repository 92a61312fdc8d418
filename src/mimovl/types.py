"""The nouns every part of mimovl shares: Sample, Message, Part, PackedBatch, Rollout, Verdict, Generate.

    Sample ── data/ ──▶ PackedBatch ── train/ ──▶ checkpoint
    Sample ── generate/ ──▶ Completion ── verify/ ──▶ Verdict ── rl/ ──▶ Rollout

Nothing here computes; the modules named above do. Shape suffixes of tensors: N tokens of a packed batch,
P patches, I images or videos, S samples (segments), W windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:  # curation runs in many processes, which need no torch
    import torch

__all__ = [
    "IGNORE_INDEX",
    "Completion",
    "Generate",
    "Gold",
    "Media",
    "MediaKind",
    "Message",
    "Outcome",
    "PackedBatch",
    "Part",
    "Request",
    "Role",
    "Rollout",
    "RolloutGroup",
    "Sample",
    "SamplingParams",
    "Verdict",
]

IGNORE_INDEX = -100
"""Label of a token that carries no loss (the value ``torch.nn.functional.cross_entropy`` ignores)."""

Role = Literal["system", "user", "assistant"]
MediaKind = Literal["image", "video"]


# ---------------------------------------------------------------- samples


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message: text, or a picture or clip named by its key in ``Sample.media``."""

    type: Literal["text", "image", "video"]
    text: str = ""
    media: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts joined; pictures leave no trace."""
        return "".join(part.text for part in self.content if part.type == "text")


@dataclass(frozen=True, slots=True)
class Media:
    """An encoded picture (PNG, JPEG, …) or clip (animated PNG/WebP/GIF, MP4, …), stored once under its hash."""

    sha256: str
    kind: MediaKind
    data: bytes
    width: int
    height: int
    num_frames: int = 1
    fps: float = 0.0
    """Frames per second of a clip; 0 for a picture."""


@dataclass(frozen=True, slots=True)
class Gold:
    """What a right answer is and which grader of ``verify/`` decides.

    ``kind`` is the first argument of ``mimovl.verify.grade``: choice, number, math, box, point, count, span, text.
    Boxes and points are absolute pixels of the smart-resized picture (MiMo-VL §2.2.3), spans are seconds.
    """

    kind: str
    answer: Any
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation with its pictures. With a last assistant turn it trains; with ``gold`` it tests or rewards."""

    id: str
    messages: tuple[Message, ...]
    media: Mapping[str, Media] = field(default_factory=dict)
    task: str = ""
    """The capability it exercises, e.g. counting; rewards and scores are reported by it."""
    source: str = ""
    """Where it came from, e.g. world/grounding; mixtures weigh by it."""
    language: str = "en"
    gold: Gold | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------- packed batches


@dataclass(slots=True)
class PackedBatch:
    """Samples laid end to end: no padding, and no attention across ``cu_seqlens``.

    The one owner of positions: nothing else builds or guesses them.
    """

    tokens: torch.Tensor
    """Token ids, shape (N,)."""
    positions: torch.Tensor
    """Multimodal rotary positions (time, height, width), shape (3, N)."""
    cu_seqlens: torch.Tensor
    """Where each sample (of a preference: each conversation) starts, shape (S + 1,), int32; the last entry is N."""
    labels: torch.Tensor
    """The token to predict *at* each position (already shifted), ``IGNORE_INDEX`` where none, shape (N,)."""
    loss_weights: torch.Tensor
    """Weight of each label in the loss, shape (N,)."""
    patches: torch.Tensor
    """Pixel patches of all pictures and clips, shape (P, 3 · 2 · 14 · 14)."""
    grid_thw: torch.Tensor
    """Patch grid (time, height, width) of each picture or clip, shape (I, 3)."""
    visual_index: torch.Tensor
    """Positions in ``tokens`` that the merged visual tokens fill, in order, shape (P / 4,)."""
    sample_ids: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    origin: PackedBatch | None = field(default=None, init=False, repr=False, compare=False)
    """The same batch in main memory, once :attr:`on_host` knows it; what is moved to a GPU is not changed there."""

    @property
    def num_tokens(self) -> int:
        """Tokens of the pack."""
        return int(self.tokens.shape[0])

    @property
    def on_host(self) -> PackedBatch:
        """The same batch in main memory; where it came from there, reading it makes nobody wait for a GPU."""
        if self.tokens.device.type == "cpu":
            return self
        if self.origin is None:
            self.origin = self.to("cpu")
        return self.origin

    @property
    def bounds(self) -> list[int]:
        """``cu_seqlens`` as numbers."""
        bounds: list[int] = self.on_host.cu_seqlens.tolist()
        return bounds

    def to(self, device: torch.device | str) -> PackedBatch:
        """The same batch on another device."""
        ahead = str(device) != "cpu"  # else it could be read before it has arrived
        moved = {
            name: getattr(self, name).to(device, non_blocking=ahead)
            for name in (
                "tokens",
                "positions",
                "cu_seqlens",
                "labels",
                "loss_weights",
                "patches",
                "grid_thw",
                "visual_index",
            )
        }
        there = PackedBatch(**moved, sample_ids=self.sample_ids, sources=self.sources)
        there.origin = self.on_host if ahead else None
        return there


# ---------------------------------------------------------------- generation


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to draw tokens. ``temperature`` 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int = 0
    top_k: int = 0
    """Draw from the k likeliest; 0 for all."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion; it is cut before the first of them, its tokens are not."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a model to continue a conversation ``num_samples`` times (one rollout group)."""

    sample: Sample
    sampling: SamplingParams = SamplingParams()
    num_samples: int = 1
    thinking: bool | None = None
    """True or False forces thinking on or off by the template's switch; None leaves the prompt as it is."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said: its text, and token ids with their log-probabilities where the engine knows them."""

    text: str
    finish_reason: Literal["stop", "length", "cancelled"]
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class Generate(Protocol):
    """Anything that answers: the embedded engine, vLLM, an OpenAI-compatible endpoint, a script in a test."""

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """One list of ``num_samples`` completions for each request, in order."""
        ...


# ---------------------------------------------------------------- verdicts and rollouts


class Outcome(StrEnum):
    """How a grading ended. Only CORRECT and WRONG speak about the model's answer."""

    CORRECT = "CORRECT"
    WRONG = "WRONG"
    NO_ANSWER = "NO_ANSWER"
    TRUNCATED = "TRUNCATED"
    NOT_GRADED = "NOT_GRADED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grade: ``score`` in [0, 1], what happened, the answer that was read, and the rule that decided."""

    score: float
    outcome: Outcome
    answer: str = ""
    rule: str = ""


@dataclass(slots=True)
class Rollout:
    """One sampled completion with its reward. ``logprobs`` are those of the sampling engine."""

    completion: Completion
    reward: float
    verdict: Verdict
    advantage: float = 0.0


@dataclass(slots=True)
class RolloutGroup:
    """All rollouts of one prompt, drawn by policy number ``policy_version``."""

    request: Request
    rollouts: list[Rollout]
    policy_version: int
