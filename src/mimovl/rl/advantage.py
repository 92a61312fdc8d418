"""Credit assignment: a rollout against its own group (GRPO; MiMo-VL eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["group_advantages", "is_informative"]


def group_advantages(rewards: Sequence[float]) -> list[float]:
    """Rewards less their mean, over their standard deviation (of the sample, as in GRPO).

    Args:
        rewards: of one prompt's rollouts, in [0, 1].

    Returns:
        Advantages with mean 0; all zero where the rewards are equal.
    """
    mean = sum(rewards) / len(rewards)
    variance = sum((reward - mean) ** 2 for reward in rewards) / max(1, len(rewards) - 1)
    if not is_informative(rewards):
        return [0.0] * len(rewards)
    return [(reward - mean) / variance**0.5 for reward in rewards]


def is_informative(rewards: Sequence[float], *, spread: float = 1e-3) -> bool:
    """Whether a group can teach anything: dynamic sampling keeps it if its rewards differ by more than ``spread``.

    For 0/1 rewards this drops exactly the prompts with pass rate 0 and 1 (§3.3). Graded rewards (boxes, spans) almost
    always differ by a little, which normalisation would make as loud as right and wrong.
    """
    return max(rewards) - min(rewards) > spread
