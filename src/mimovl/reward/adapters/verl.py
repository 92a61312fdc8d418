"""verl's custom reward function (0.9: ``verl.trainer.ppo.reward.get_custom_reward_fn``), in its process or remote.

    reward.custom_reward_function.path=pkg://mimovl.reward.adapters.verl
    reward.custom_reward_function.name=compute_score          in the reward workers of verl
    …name=compute_score_remote                                asked of a service, asynchronously: also set
    +reward.custom_reward_function.reward_kwargs.url=http://127.0.0.1:8000
    …name=compute_scores                                      of a whole batch (reward manager "batch")

``data_source`` is the task, unless ``extra_info`` has a ``task``; ``reward_model.ground_truth`` is the gold answer,
alone or ``{"kind", "answer", "options"}``, also as a JSON string. A dict comes back: verl takes ``score`` and logs the
rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from mimovl.errors import DataError
from mimovl.reward.adapters.where import ask_service, default_rewards
from mimovl.reward.tasks import read_gold
from mimovl.types import Outcome, Sample, Verdict

__all__ = ["VerlScore", "compute_score", "compute_score_remote", "compute_scores"]


class VerlScore(TypedDict):
    """What verl is given; the same keys for every sample, as its logs need."""

    score: float
    acc: float
    not_graded: float
    pred: str


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str | None = None,
    task: str | None = None,
    **unused: Any,
) -> VerlScore:
    """Reward one response.

    Args:
        data_source: the task, unless ``task`` or ``extra_info["task"]`` says another.
        solution_str: the response.
        ground_truth: the gold answer.
        extra_info: of the dataset; ``task``, ``kind``, ``options`` and ``index`` are read.
        url: of a reward service; the router in this process without it and without ``MIMOVL_REWARD_URL``.
        task: of all samples.
        **unused: what verl passes besides (``reward_router_address``, …).

    Raises:
        DataError: the gold answer is missing or cannot be read; names sample and field.
    """
    sample = _sample(data_source, ground_truth, extra_info, task)
    return _score(default_rewards(url).score(sample, solution_str))


async def compute_score_remote(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    url: str | None = None,
    task: str | None = None,
    **unused: Any,
) -> VerlScore:
    """Reward one response by a service; verl runs many of these at once."""
    sample = _sample(data_source, ground_truth, extra_info, task)
    [verdict] = await ask_service(url, [sample], [solution_str])
    return _score(verdict)


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any] | None] | None = None,
    *,
    url: str | None = None,
    task: str | None = None,
    **unused: Any,
) -> list[VerlScore]:
    """Reward a batch."""
    extras = extra_infos if extra_infos is not None else [None] * len(solution_strs)
    samples = [_sample(*row, task) for row in zip(data_sources, ground_truths, extras, strict=True)]
    return [_score(verdict) for verdict in default_rewards(url).score_many(samples, list(solution_strs))]


def _sample(data_source: str, ground_truth: Any, extra_info: Mapping[str, Any] | None, task: str | None) -> Sample:
    extra = extra_info or {}
    name = str(task or extra.get("task") or data_source)
    id = str(extra.get("id", extra.get("index", "")))
    try:
        gold = read_gold(name, ground_truth, extra.get("kind"), extra.get("options"), needed=False)
    except DataError as error:
        raise DataError(f"sample {id!r} of data_source {data_source!r}, ground_truth: {error}") from error
    return Sample(id, (), task=name, gold=gold)


def _score(verdict: Verdict) -> VerlScore:
    return {
        "score": verdict.score,
        "acc": float(verdict.outcome is Outcome.CORRECT),
        "not_graded": float(verdict.outcome is Outcome.NOT_GRADED),
        "pred": verdict.answer,
    }
