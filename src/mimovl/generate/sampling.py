"""Drawing tokens: one uniform number a token, so a sequence's draws depend on its own seed alone.

The log-probability recorded is that of the policy itself, at temperature 1 over the tokens it may write; with
temperature 1, top-p 1 and no top-k it is the distribution drawn from, which is what on-policy training needs.

Legend: B sequences, V vocabulary.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real

import torch

from mimovl.errors import DataError
from mimovl.types import SamplingParams

__all__ = ["check_sampling", "draw_tokens", "forbid", "whole"]

COLDEST, HOTTEST = 1e-6, 1e6
"""Temperatures below the one are greedy, those above the other are it."""


def whole(value: object) -> int | None:
    """A whole number of whatever kind (numpy's too) as Python's own; None for anything else, truth values included."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def check_sampling(sampling: SamplingParams, name: str) -> SamplingParams:
    """The settings, in numbers of Python's own; those that mean nothing are refused.

    Raises:
        DataError: names the request, the field and its value.
    """
    given: object = sampling
    if not isinstance(given, SamplingParams):
        raise DataError(f"{name}: sampling is of type {type(sampling).__name__}; give SamplingParams")
    changed: dict[str, int | float] = {}
    for field, kind in (("max_tokens", int), ("top_k", int), ("seed", int), ("temperature", float), ("top_p", float)):
        value: object = getattr(sampling, field)
        if type(value) is int or type(value) is kind:
            continue
        number: int | float | None = whole(value)
        if kind is float and isinstance(value, Real) and not isinstance(value, bool):
            number = float(value)
        if number is None:
            wanted = "a whole number" if kind is int else "a number"
            raise DataError(f"{name}: {field} is {value!r} ({type(value).__name__}); it must be {wanted}")
        changed[field] = number
    if changed:
        sampling = replace(sampling, **changed)  # type: ignore[arg-type]
    if sampling.max_tokens < 1:
        raise DataError(f"{name}: max_tokens is {sampling.max_tokens}; it must be at least 1")
    if not 0 <= sampling.temperature < math.inf:
        raise DataError(f"{name}: temperature is {sampling.temperature}; it must be 0 (greedy) or more, and finite")
    if not 0 < sampling.top_p <= 1:
        raise DataError(f"{name}: top_p is {sampling.top_p}; it must be above 0 and at most 1")
    if not 0 <= sampling.top_k < 2**63:
        raise DataError(f"{name}: top_k is {sampling.top_k}; it must be 0 (all tokens) or more")
    stop: object = sampling.stop
    if not isinstance(stop, tuple | list) or not all(isinstance(text, str) and text for text in stop):
        raise DataError(f"{name}: stop is {sampling.stop!r}; it must be a tuple of texts, none of them empty")
    return sampling


def forbid(logits: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
    """Logits with these tokens impossible; shape (…, V) in and out, float32."""
    return logits.float().index_fill(-1, token_ids, float("-inf"))


def draw_tokens(
    logits_BV: torch.Tensor, uniform_B: torch.Tensor, sampling: Sequence[SamplingParams]
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token for each sequence.

    Args:
        logits_BV: with forbidden tokens at minus infinity, float32.
        uniform_B: a number in [0, 1) for each sequence.
        sampling: temperature (0 is greedy), top-p and top-k of each; with both, top-p of what top-k has left.

    Returns:
        Token ids and their log-probabilities under the policy, shape (B,) each.
    """
    device = logits_BV.device
    logprobs = logits_BV.log_softmax(-1)
    greedy = logits_BV.argmax(-1)
    chosen = greedy
    # Logits divided by less would leave the range of float32; so would zero times a temperature beyond it.
    temperature = [0.0 if one.temperature < COLDEST else min(one.temperature, HOTTEST) for one in sampling]
    if any(value > 0 for value in temperature):
        heat = torch.tensor([value or 1.0 for value in temperature], dtype=torch.float32, device=device)
        probabilities = (logits_BV / heat[:, None]).softmax(-1)
        choosy = [row for row, settings in enumerate(sampling) if settings.top_p < 1 or settings.top_k]
        if choosy:
            rows = torch.tensor(choosy, device=device)
            top_p = torch.tensor([sampling[row].top_p for row in choosy], dtype=torch.float32, device=device)
            top_k = torch.tensor([sampling[row].top_k or logits_BV.shape[-1] for row in choosy], device=device)
            probabilities = probabilities.index_copy(0, rows, _likeliest(probabilities[rows], top_p, top_k))
        cumulative = probabilities.double().cumsum(-1)
        target = uniform_B.double()[:, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits_BV.shape[-1] - 1)
        chosen = torch.where(torch.tensor([value > 0 for value in temperature], device=device), drawn, greedy)
    return chosen, logprobs.gather(-1, chosen[:, None])[:, 0]


def _likeliest(probabilities_BV: torch.Tensor, top_p_B: torch.Tensor, top_k_B: torch.Tensor) -> torch.Tensor:
    """Probabilities outside the k likeliest, and outside the top-p set of those, become zero."""
    ordered, order = probabilities_BV.sort(-1, descending=True)
    rank = torch.arange(ordered.shape[-1], device=ordered.device)
    ordered = ordered.masked_fill(rank >= top_k_B[:, None], 0.0)
    before = ordered.cumsum(-1) - ordered
    outside = before >= top_p_B[:, None] * ordered.sum(-1, keepdim=True)
    ordered = ordered.masked_fill(outside & (rank > 0), 0.0)
    return torch.zeros_like(ordered).scatter(-1, order, ordered)
