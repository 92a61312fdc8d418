"""ms-swift rewards (4.6: ``swift.rewards.orms``), registered by a plugin that swift imports by its path.

    plugins=$(python -c 'import mimovl.reward.adapters.plugins as p; print(p.__path__[0])')
    swift rlhf --rlhf_type grpo --external_plugins $plugins/mimovl_swift.py --reward_funcs mimovl …

Registers ``mimovl``, and ``mimovl_async``, which asks the service of ``MIMOVL_REWARD_URL`` while other rewards run. The
dataset's columns come as keyword arguments: ``task`` (or ``MIMOVL_REWARD_TASK``) and ``gold``, else ``solution``.
"""

from __future__ import annotations

import os
from typing import Any

from mimovl.errors import DataError
from mimovl.reward.adapters.columns import Columns, text_of
from mimovl.reward.adapters.where import ask_service, default_rewards
from mimovl.types import Sample

__all__ = ["register"]

TASK_VARIABLE = "MIMOVL_REWARD_TASK"
GOLD_COLUMNS = ("gold", "solution", "answer", "ground_truth")


def register(orms: dict[str, Any], orm: type, async_orm: type) -> None:
    """Add ``mimovl`` and ``mimovl_async`` to swift's rewards.

    Args:
        orms: swift's registry, name → class.
        orm: swift's base class ``ORM``.
        async_orm: swift's base class ``AsyncORM``.
    """

    class MimoVLReward(orm):  # type: ignore[misc]
        """Rewards in this process, or by the service of MIMOVL_REWARD_URL."""

        def __call__(self, completions: list[Any], **columns: Any) -> list[float]:
            texts = [text_of(completion) for completion in completions]
            return [verdict.score for verdict in default_rewards().score_many(_samples(columns, len(texts)), texts)]

    class MimoVLAsyncReward(async_orm):  # type: ignore[misc]
        """Rewards by the service of MIMOVL_REWARD_URL, awaited together with swift's other asynchronous rewards."""

        async def __call__(self, completions: list[Any], **columns: Any) -> list[float]:
            texts = [text_of(completion) for completion in completions]
            verdicts = await ask_service(None, _samples(columns, len(texts)), texts)
            return [verdict.score for verdict in verdicts]

    orms["mimovl"] = MimoVLReward
    orms["mimovl_async"] = MimoVLAsyncReward


def _samples(columns: dict[str, Any], count: int) -> list[Sample]:
    gold = next((name for name in GOLD_COLUMNS if name in columns), None)
    if gold is None:
        raise DataError(f"the dataset has none of the columns {', '.join(GOLD_COLUMNS)}; add the gold answers as one")
    return Columns(gold=gold, default_task=os.environ.get(TASK_VARIABLE, "")).samples(columns, count)
