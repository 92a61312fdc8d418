"""The update: rollouts of the engine's model become a gradient, and the gradient a step.

On-policy GRPO makes one update of all groups; vanilla GRPO several, each of its part of them. The log-probability gap
is that of the first: only there training and sampling parameters are the same.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from mimovl.data import Encoded
from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel
from mimovl.rl.algorithm import Algorithm
from mimovl.rl.config import RLConfig
from mimovl.rl.loss import policy_logprobs, policy_terms
from mimovl.rl.on_policy import on_policy_loss
from mimovl.rl.packing import PolicyPack, pack_groups
from mimovl.rl.task_gradients import TaskGradients, split_by_task
from mimovl.rl.vanilla import clipped_loss
from mimovl.team import Team
from mimovl.train import Optimizer
from mimovl.train.gauges import total_norm
from mimovl.train.spikes import SampleLoss, SpikeWatch
from mimovl.types import RolloutGroup

__all__ = ["build_algorithm", "build_reference", "update_policy"]

MEASURED = ("gradient_cosines", "gradient_conflicts", "gradient_norm_by_task")
"""Figures of the tasks' gradients: of the first of several updates."""


def build_algorithm(config: RLConfig) -> Algorithm:
    """What the recipe asks for."""
    return partial(clipped_loss, config=config.vanilla) if config.vanilla else on_policy_loss


def build_reference(model: VisionLanguageModel, config: RLConfig) -> VisionLanguageModel | None:
    """A frozen copy of the policy as it is now, if the algorithm measures its distance from it."""
    if not (config.vanilla and config.vanilla.kl):
        return None
    reference = copy.deepcopy(model).eval()
    for parameter in reference.parameters():
        parameter.requires_grad_(False)
    return reference


def update_policy(
    engine: Engine,
    optimizer: Optimizer,
    groups: Sequence[RolloutGroup],
    config: RLConfig,
    factor: float,
    team: Team,
    reference: VisionLanguageModel | None = None,
    *,
    spikes: SpikeWatch | None = None,
    number: int = 1,
) -> dict[str, Any]:
    """One update of fresh rollouts, or as many as the algorithm makes of them; each shared out over the team.

    Args:
        engine: holds the model that sampled.
        optimizer: of its parameters.
        groups: with advantages, the same in every process.
        config: the algorithm, and the length of packs.
        factor: of the learning rate.
        team: the processes.
        reference: what the KL is measured from.
        spikes: judges each gradient before its step; without it every step is made.
        number: of the update, counted from 1, for the spike watch.

    Returns:
        Loss, entropy and norm of the gradient, means over the updates; the log-probability gap of the first; the
        algorithm's own figures; and where it is their turn, those of the tasks' gradients in the first.
    """
    count = min(config.vanilla.updates, len(groups)) if config.vanilla else 1
    bounds = [len(groups) * number // count for number in range(count + 1)]
    figures = [
        _step(engine, optimizer, groups[start:end], config, factor, team, reference, spikes, number)
        for start, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    means = {name: sum(one[name] for one in figures) / count for name in figures[0] if name not in MEASURED}
    measured = {name: figures[0][name] for name in MEASURED if name in figures[0]}
    return {**means, **measured, "logprob_gap": figures[0]["logprob_gap"]}


def _step(
    engine: Engine,
    optimizer: Optimizer,
    groups: Sequence[RolloutGroup],
    config: RLConfig,
    factor: float,
    team: Team,
    reference: VisionLanguageModel | None,
    spikes: SpikeWatch | None,
    number: int,
) -> dict[str, Any]:
    """One gradient step."""
    model, mine = engine.model, team.share(groups)
    algorithm = build_algorithm(config)
    normaliser = config.vanilla.normaliser if config.vanilla else "group"
    sums = {"loss": 0.0, "logprob_gap": 0.0, "entropy": 0.0}
    tokens = 0
    model.train()
    by_task = _task_gradients(optimizer, config, team, number)
    everything = [("", list(range(len(mine))))]
    for task, places in split_by_task(groups, mine) if by_task else everything:
        part = [mine[place] for place in places]
        prompts = [_prompt(engine, group) for group in part]
        for pack in pack_groups(part, prompts, model, config.length, num_groups=len(groups), normaliser=normaliser):
            expected = _reference_logprobs(reference, pack, engine.forbidden) if reference else None
            terms = policy_terms(model, pack, engine.forbidden, algorithm, expected)
            if terms.loss.requires_grad:  # text alone teaches a frozen language model nothing
                terms.loss.backward()  # type: ignore[no-untyped-call]
            added = {"loss": float(terms.loss.detach()), "logprob_gap": terms.logprob_gap, "entropy": terms.entropy}
            for name, value in {**added, **terms.figures}.items():
                sums[name] = sums.get(name, 0.0) + value
            tokens += terms.num_tokens
        if by_task:
            by_task.take(task)
    if by_task:
        measured = by_task.finish()
    else:
        measured = {}
        optimizer.total()
    gathered = team.gather((sums, tokens))
    names = dict.fromkeys(name for part, _ in gathered for name in part)
    total = {name: sum(part.get(name, 0.0) for part, _ in gathered) for name in names}
    every = sum(part for _, part in gathered)
    norm = _make_step(optimizer, factor, total["loss"], groups, spikes, number)
    return {
        **total,
        "logprob_gap": total["logprob_gap"] / every,
        "entropy": total["entropy"] / every,
        "grad_norm": norm,
        **measured,
    }


def _task_gradients(optimizer: Optimizer, config: RLConfig, team: Team, number: int) -> TaskGradients | None:
    """What reads the gradients task by task, in the updates in which that is wanted."""
    wanted = config.interference
    if not wanted or (wanted.method == "measure" and (number - 1) % wanted.every):
        return None
    return TaskGradients(optimizer.parameters, wanted, team, number)


def _make_step(
    optimizer: Optimizer,
    factor: float,
    loss: float,
    groups: Sequence[RolloutGroup],
    spikes: SpikeWatch | None,
    number: int,
) -> float:
    """Step, unless the watch says that this gradient is not to be followed; its norm before clipping.

    The loss is judged only for being a number: unlike a likelihood, a surrogate's level says nothing.
    """
    if spikes is None:
        return optimizer.step(factor)
    norms = optimizer.norms()
    samples = [SampleLoss(group.request.sample.id, group.request.sample.task, None) for group in groups]
    judged = 0.0 if math.isfinite(loss) else loss
    if spikes.accepts(number, judged, total_norm(norms), samples, grad_norm_by_part=norms):
        return optimizer.step(factor)
    optimizer.clear()
    return total_norm(norms)


@torch.no_grad()
def _reference_logprobs(reference: VisionLanguageModel, pack: PolicyPack, forbidden: torch.Tensor) -> torch.Tensor:
    return policy_logprobs(reference, pack, forbidden)[0]


def _prompt(engine: Engine, group: RolloutGroup) -> Encoded:
    request = group.request
    return engine.processor.encode_prompt(
        request.sample.messages, request.sample.media, id=request.sample.id, thinking=request.thinking
    )
