"""Fully on-policy GRPO (MiMo-VL eq. 1): one update a rollout, so the ratio is 1.

    loss = − mean over groups of  (1 / Σ_i |o_i|) Σ_i Σ_j A_i · log π(o_ij)

No clip, no KL, no reference and no second pass for old log-probabilities: with one update on fresh rollouts of the
same parameters the ratio π/π_old is 1 and its gradient is that of log π.
"""

from __future__ import annotations

import torch

from mimovl.rl.algorithm import PolicyTokens

__all__ = ["on_policy_loss"]


def on_policy_loss(tokens: PolicyTokens) -> tuple[torch.Tensor, dict[str, float]]:
    """The policy gradient; no figures of its own."""
    return -(tokens.logprobs * tokens.advantages * tokens.shares).sum(), {}
