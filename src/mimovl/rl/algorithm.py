"""What an algorithm of policy optimisation is: a function of a pack's tokens that gives the loss.

Credit assignment (``advantage.py``) has been done before, and how much a token counts (``packing.py``); an algorithm
says only what becomes of a token's advantage. To add one, write a file like ``on_policy.py`` and name it in
``policy.py``.

Legend: M sampled tokens of a pack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Algorithm", "PolicyTokens"]


@dataclass(frozen=True, slots=True)
class PolicyTokens:
    """The sampled tokens of a pack."""

    logprobs: torch.Tensor
    """Of the policy that is being trained, differentiable, shape (M,)."""
    sampled_logprobs: torch.Tensor
    """Of the policy that sampled them, as recorded by the engine, shape (M,)."""
    advantages: torch.Tensor
    """Shape (M,)."""
    shares: torch.Tensor
    """Part of the loss each token makes up, shape (M,)."""
    reference_logprobs: torch.Tensor | None = None
    """Of the reference policy, where the algorithm asks for one, shape (M,)."""


Algorithm = Callable[[PolicyTokens], tuple[torch.Tensor, dict[str, float]]]
"""The pack's part of the loss, and figures for the log, each summed with the tokens' shares."""
