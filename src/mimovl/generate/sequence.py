"""What the engine keeps of a request while it is answered: the group, and each sample being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
import torch

from mimovl.data import Tokenizer
from mimovl.errors import DataError
from mimovl.generate.sampling import draw_tokens
from mimovl.types import Completion, Request

__all__ = [
    "Finished",
    "Group",
    "RequestError",
    "Running",
    "completion",
    "draw_next",
    "ending",
    "uniforms",
    "until_stop",
]


@dataclass(frozen=True, slots=True)
class Finished:
    """A sample that is done, or was cancelled."""

    ticket: int
    """Number that :meth:`Engine.submit` gave the request."""
    sample: int
    """Its place in the group."""
    completion: Completion


class RequestError(DataError):
    """A request that cannot be answered and was given up; all others go on. ``reason`` is a short stable word."""

    def __init__(self, message: str, *, ticket: int, reason: str) -> None:
        super().__init__(message)
        self.ticket = ticket
        self.reason = reason


@dataclass(slots=True, eq=False)
class Group:
    """A request that runs: the prompt, computed once for all its samples."""

    ticket: int
    request: Request
    pages: list[int]
    """Full pages of the prompt, which all samples read."""
    shared_length: int
    """Tokens in them."""
    alive: int
    """Samples not yet done."""
    reserved: int
    """Pages it takes if all its samples grow to their longest."""


@dataclass(slots=True, eq=False)
class Running:
    """One sample being written."""

    group: Group
    sample: int
    uniform: np.ndarray
    """One number a token: the draws are the seed's alone."""
    position: int
    """Rotary position of the next token, the same on all three axes."""
    own: list[int]
    """Its own pages: the rest of the prompt that filled no page, then what it wrote."""
    own_length: int
    """Tokens in them."""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens cached, shared ones too."""
        return self.group.shared_length + self.own_length


def uniforms(request: Request, sample: int) -> np.ndarray:
    """The draws of a sample, float32 in [0, 1); none where it is greedy."""
    sampling = request.sampling
    if sampling.temperature == 0:
        return np.zeros(0, np.float32)
    generator = torch.Generator().manual_seed((sampling.seed * 1_000_003 + sample) % 2**63)
    drawn: np.ndarray = torch.rand(sampling.max_tokens, generator=generator, dtype=torch.float32).numpy()
    return drawn


def draw_next(logits_BV: torch.Tensor, sequences: Sequence[Running]) -> None:
    """Draw the next token of each sequence and record it with its log-probability.

    Args:
        logits_BV: with forbidden tokens at minus infinity, float32.
        sequences: one a row.
    """
    uniform = [float(one.uniform[len(one.tokens)]) if len(one.uniform) else 0.0 for one in sequences]
    tokens, logprobs = draw_tokens(
        logits_BV,
        torch.tensor(uniform, dtype=torch.float32, device=logits_BV.device),
        [sequence.group.request.sampling for sequence in sequences],
    )
    for sequence, token, logprob in zip(sequences, tokens.tolist(), logprobs.tolist(), strict=True):
        sequence.tokens.append(token)
        sequence.logprobs.append(logprob)


def ending(sequence: Running, tokenizer: Tokenizer, stop_ids: set[int]) -> Literal["stop", "length"] | None:
    """Why a sample is done, if it is."""
    sampling = sequence.group.request.sampling
    if sequence.tokens[-1] in stop_ids:
        return "stop"
    if sampling.stop:
        # Each token but the special ones, which are not read, holds at least one byte: a text that has just ended lies
        # within so many tokens.
        reach = max(len(text.encode()) for text in sampling.stop) + 1
        read = (token for token in reversed(sequence.tokens) if token not in tokenizer.special_ids)
        tail = tokenizer.decode(list(islice(read, reach))[::-1])
        if any(text in tail for text in sampling.stop):
            return "stop"
    return "length" if len(sequence.tokens) >= sampling.max_tokens else None


def completion(sequence: Running, tokenizer: Tokenizer, reason: Literal["stop", "length", "cancelled"]) -> Completion:
    """What a sample has written, its text up to the stop text that ended it."""
    text = tokenizer.decode(sequence.tokens)
    text = until_stop(text, sequence.group.request.sampling.stop)
    return Completion(text, reason, tuple(sequence.tokens), tuple(sequence.logprobs))


def until_stop(text: str, stop: Sequence[str]) -> str:
    """A text up to the first of the texts that end it."""
    return text[: min((place for one in stop if (place := text.find(one)) >= 0), default=None)]
