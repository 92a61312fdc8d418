"""Drawing tokens: one uniform number a token, so a sequence's draws depend on its own seed alone.

The log-probability recorded is that of the policy itself, at temperature 1 over the tokens it may write; with
temperature 1 and top-p 1 it is the distribution drawn from, which is what on-policy training needs.

Legend: B sequences, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["draw_tokens", "forbid"]


def forbid(logits: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
    """Logits with these tokens impossible; shape (…, V) in and out, float32."""
    return logits.float().index_fill(-1, token_ids, float("-inf"))


def draw_tokens(
    logits_BV: torch.Tensor, uniform_B: torch.Tensor, temperature: Sequence[float], top_p: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token for each sequence.

    Args:
        logits_BV: with forbidden tokens at minus infinity, float32.
        uniform_B: a number in [0, 1) for each sequence.
        temperature: of each; 0 is greedy.
        top_p: smallest set of tokens that holds this much probability, of each.

    Returns:
        Token ids and their log-probabilities under the policy, shape (B,) each.
    """
    logprobs = logits_BV.log_softmax(-1)
    greedy = logits_BV.argmax(-1)
    chosen = greedy
    if any(value > 0 for value in temperature):
        heat = torch.tensor([value or 1.0 for value in temperature], device=logits_BV.device)
        probabilities = (logits_BV / heat[:, None]).softmax(-1)
        if any(value < 1 for value in top_p):
            probabilities = _nucleus(probabilities, torch.tensor(list(top_p), device=logits_BV.device))
        cumulative = probabilities.double().cumsum(-1)
        target = uniform_B.double()[:, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits_BV.shape[-1] - 1)
        chosen = torch.where(torch.tensor([value > 0 for value in temperature], device=drawn.device), drawn, greedy)
    return chosen, logprobs.gather(-1, chosen[:, None])[:, 0]


def _nucleus(probabilities_BV: torch.Tensor, top_p_B: torch.Tensor) -> torch.Tensor:
    """Probabilities outside the top-p set become zero."""
    ordered, order = probabilities_BV.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered = ordered.masked_fill(before >= top_p_B[:, None], 0.0)
    return torch.zeros_like(ordered).scatter(-1, order, ordered)
