"""Vanilla GRPO: several updates on the rollouts of one policy, held near it by a clipped ratio.

    ratio = π(o_ij) / π_old(o_ij)
    loss  = Σ share · ( − min(ratio · A, clip(ratio, 1 − low, 1 + high) · A)  +  β · KL )
    KL    = π_ref / π − log(π_ref / π) − 1          (Schulman's k3: unbiased and never negative)

``clip_high`` above ``clip_low`` is clip-higher (DAPO), as MiMo-7B uses with token-level normalisation, no KL and 16
updates a batch (§3.3.3). DeepSeekMath's GRPO has equal clips, a KL and normalises by answer, as does Miloco's. π_old is
what the engine recorded while sampling: it computes with the trainer's own parameters, so no second pass is needed.
"""

from __future__ import annotations

import torch

from mimovl.rl.algorithm import PolicyTokens
from mimovl.rl.config import VanillaConfig

__all__ = ["clipped_loss"]


def clipped_loss(tokens: PolicyTokens, config: VanillaConfig) -> tuple[torch.Tensor, dict[str, float]]:
    """The clipped surrogate, with the KL where one is asked for.

    Returns:
        Loss; the share of tokens whose gradient the clip took away (``clipped``), and the mean KL (``kl``).
    """
    ratio = (tokens.logprobs - tokens.sampled_logprobs).exp()
    free = ratio * tokens.advantages
    held = ratio.clamp(1 - config.clip_low, 1 + config.clip_high) * tokens.advantages
    losses = -torch.minimum(free, held)
    figures = {"clipped": float((tokens.shares * (held < free)).sum())}
    if config.kl:
        assert tokens.reference_logprobs is not None
        behind = tokens.reference_logprobs - tokens.logprobs
        divergence = behind.exp() - behind - 1
        losses = losses + config.kl * divergence
        figures["kl"] = float((tokens.shares * divergence.detach()).sum())
    return (losses * tokens.shares).sum(), figures
