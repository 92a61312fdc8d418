"""Mixed on-policy reinforcement learning: sample, reward, one update, again (MiMo-VL §3.3).

    train_policy(model, processor, prompts, config, out)   →   metrics.jsonl, rollouts.jsonl, model/, done.json

Every update uses rollouts of the very parameters it changes. The mean absolute difference between the log-probability
recorded while sampling and the one computed for the gradient is logged at each step: it is the proof of that.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from mimovl.data import Processor
from mimovl.errors import Stopped, UsageError
from mimovl.generate import Engine, RolloutEngine
from mimovl.generate.vllm import VLLMEngine
from mimovl.heap import keep_freed_memory
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.reward.router import Rewards
from mimovl.rl.advantage import is_informative
from mimovl.rl.config import RLConfig
from mimovl.rl.easy_pool import EasyPool
from mimovl.rl.ledger import Failure
from mimovl.rl.monitors import MonitorsConfig, Watch
from mimovl.rl.placement import place_policy
from mimovl.rl.prompts import PromptSource
from mimovl.rl.queue_state import load_queue, save_queue
from mimovl.rl.reward_queue import ThreadedRewards
from mimovl.rl.reward_scale import RewardScale
from mimovl.rl.rewards import check_rewards, open_rewards
from mimovl.rl.rollout_log import rollout_record
from mimovl.rl.seamless import Batch, Collector
from mimovl.rl.update import build_reference, update_policy
from mimovl.team import ALONE, Team
from mimovl.train import MetricsLog, Optimizer, Progress, Tracking, learning_rate_factor, set_trainable
from mimovl.train.checkpoint import finish_step, is_finished, resume_training, save_training
from mimovl.train.metrics import Follower
from mimovl.train.spikes import SpikeConfig, SpikeWatch
from mimovl.train.spread import decide
from mimovl.types import Request, Rollout, RolloutGroup, Sample, SamplingParams

__all__ = ["train_policy"]

QUEUE_FILE = "resume/queue.pt"


@dataclass
class _Counters:
    """What the training has done so far; part of its resume point."""

    step: int = 0
    draws: int = 0
    seconds: float = 0.0
    easy: list[str] = field(default_factory=list)
    """Names of the prompts in the easy pool."""
    spikes: dict[str, Any] = field(default_factory=dict)
    """What the spike watch remembers."""
    monitors: dict[str, Any] = field(default_factory=dict)
    """What the monitors remember."""
    scale: dict[str, Any] = field(default_factory=dict)
    """What the scale of the advantages remembers of each task."""
    share: float | None = None
    """Of groups that can teach something, as rollouts have shown it."""


def train_policy(
    model: VisionLanguageModel,
    processor: Processor,
    prompts: Sequence[Sample],
    config: RLConfig,
    out: Path,
    *,
    router: Rewards | None = None,
    rollouts: RolloutEngine | None = None,
    heldout: Sequence[Sample] = (),
    seed: int = 0,
    progress: Progress | None = None,
    team: Team = ALONE,
    tracking: Tracking | None = None,
    stop_asked: Callable[[], bool] | None = None,
) -> VisionLanguageModel:
    """Improve a policy, or finish doing so.

    Args:
        model: trained in place.
        processor: of the same checkpoint.
        prompts: samples ending with a user turn, with gold.
        config: what to do.
        out: the step's folder.
        router: rewards; those that ``config.rewards`` asks for if None. Called from ``rollout.reward_workers`` threads.
        rollouts: what answers, if not the embedded engine; it is handed the parameters before every step.
        heldout: prompts that are never trained on, for the monitor that asks some now and then.
        seed: fixes prompts and sampling.
        progress: shows reward, speed and time left.
        team: processes that share each update's prompts; rollouts do not depend on their number.
        tracking: who is told the figures besides metrics.jsonl.
        stop_asked: whether this process was asked to end.

    Raises:
        Stopped: somebody asked a process to end; the training has been saved.
        DataError: a prompt cannot be used or rewarded.
        TrainingError: a loss or gradient is no number, or too high, and the policy says stop.
        UsageError: a reward service refuses, or does not answer.
    """
    if is_finished(out):
        return load_checkpoint(out / "model", dtype=model.dtype, device=model.device)
    keep_freed_memory()
    source = PromptSource(prompts, config, seed=seed)
    set_trainable(model, config.train)
    trained: dict[str, nn.Module] = {name: part for name, part in model.named_children() if name in config.train}
    rates = {str(part): rate for part, rate in config.learning_rate.items()}
    optimizer = place_policy(model, trained, rates, config.optimizer, config.parallel, team=team, seed=seed)
    reference = build_reference(model, config)  # before a resume point changes the parameters
    counters = _Counters(**(resume_training(out, {"model": model}, optimizer) or {}))
    spikes = SpikeWatch(config.spikes or SpikeConfig(), out, team.leads, **counters.spikes)
    engine = Engine(model, processor, slots=config.slots)
    with ExitStack() as stack:
        stack.enter_context(closing(spikes))
        rewards = router or stack.enter_context(open_rewards(config.rewards))
        if config.rewards and not router:
            check_rewards(prompts, list(config.tasks), rewards)
        watch = _watch(config, heldout, engine, counters, out, team, seed)
        if watch:
            stack.enter_context(closing(watch))
        easy = EasyPool(config.easy_share, seed=seed, names=counters.easy)
        log = None
        if team.leads:
            trackers = [stack.enter_context(closing(tracking.open(out.name, at=counters.step)))] if tracking else []
            log = stack.enter_context(closing(_Log(out, counters.step, trackers)))
        scale = RewardScale(config.scale, counters.scale) if config.scale else None
        rollout = config.rollout
        background = ThreadedRewards(
            rewards, workers=rollout.reward_workers, seconds=rollout.reward_seconds, tries=rollout.reward_tries
        )
        stack.enter_context(closing(background))
        if rollouts is None and rollout.servers:
            rollouts = _servers(processor, config, out, team)
        forbidden = frozenset(model.config.visual_token_ids)
        collector = Collector(rollouts or engine, source, easy, background, config, team=team, forbidden=forbidden)
        state = (spikes, watch, scale, config, counters)
        _train(engine, collector, rewards, optimizer, reference, *state, log, out, progress, team, stop_asked)
    if team.leads:
        (out / QUEUE_FILE).unlink(missing_ok=True)
        shutil.rmtree(out / "policy", ignore_errors=True)
    done = {
        "steps": counters.step,
        "prompts": counters.draws,
        "seconds": counters.seconds,
        "trained": list(config.train),
        "learning_rate": dict(config.learning_rate),
        "length": config.max_tokens,
        "skipped": spikes.skipped,
    }
    finish_step(out, model, processor.files(), done, team=team)
    return model


def _train(
    engine: Engine,
    collector: Collector,
    rewards: Rewards,
    optimizer: Optimizer,
    reference: VisionLanguageModel | None,
    spikes: SpikeWatch,
    watch: Watch | None,
    scale: RewardScale | None,
    config: RLConfig,
    counters: _Counters,
    log: _Log | None,
    out: Path,
    progress: Progress | None,
    team: Team,
    stop_asked: Callable[[], bool] | None,
) -> None:
    """The updates that are left, each on rollouts of its own, with a resume point now and then."""
    save = _Save(out, engine.model, optimizer, counters, config.save_seconds)
    while counters.step < config.steps:
        started = time.monotonic()
        collector.engine.refresh(engine.model)
        batch = _collect(collector, counters, out, save)
        groups, sampled = batch.kept, batch.sampled
        generated = time.monotonic()
        if scale:
            scale.apply(list({id(group): group for group in (*sampled, *groups)}.values()))
        if watch:
            same_draws = collector.engine is engine
            watch.ask(counters.step + 1, engine, sampled, rewards, team, same_draws=same_draws)
        asked = time.monotonic()
        factor = learning_rate_factor(
            counters.step, config.steps, warmup=config.warmup, schedule="linear", final=config.final
        )
        counters.step += 1
        figures = update_policy(
            engine, optimizer, groups, config, factor, team, reference, spikes=spikes, number=counters.step
        )
        finished = time.monotonic()
        counters.seconds += finished - started
        reward = _mean(rollout.reward for group in sampled for rollout in group.rollouts)
        tokens = sum(len(rollout.completion.tokens) for group in sampled for rollout in group.rollouts)
        if log:
            found = watch.look(counters.step, sampled, figures) if watch else {}
            log.metrics.write(
                step=counters.step,
                steps=config.steps,
                reward=reward,
                reward_by_task=_by_task(sampled, lambda rollout: rollout.reward),
                length_by_task=_by_task(sampled, lambda rollout: float(len(rollout.completion.tokens))),
                groups_sampled=len(sampled),
                groups_kept=len(groups),
                kept_by_task=_kept_by_task(sampled, config.min_spread),
                **batch.figures,
                **figures,
                skipped=spikes.skipped,
                **found,
                tokens_per_second=tokens / (generated - started),
                seconds=counters.seconds,
                seconds_generate=generated - started,
                seconds_update=finished - asked,
                **({"seconds_monitors": asked - generated} if watch else {}),
            )
            for group in sampled[: config.logged_groups]:
                log.rollouts.write(**rollout_record(counters.step, group))
            for request, failure in batch.dropped:
                log.drop(counters.step, request, failure)
        counters.spikes, counters.monitors = spikes.state_dict(), watch.state_dict() if watch else {}
        counters.scale = scale.state_dict() if scale else {}
        if progress:
            progress.update(
                counters.step, config.steps, f"reward {reward:.3f}  {tokens / (generated - started):,.0f} tokens/s"
            )
        if counters.step == config.steps:
            break
        wish = decide(team, due=save.due, stop=stop_asked is not None and stop_asked())
        if wish != "go on" and team.leads:
            save.training()
        if wish == "stop":
            team.wait()
            raise Stopped(f"stopped as asked (SIGTERM) after step {counters.step} of {config.steps}; saved in {out}")


def _watch(
    config: RLConfig,
    heldout: Sequence[Sample],
    engine: Engine,
    counters: _Counters,
    out: Path,
    team: Team,
    seed: int,
) -> Watch | None:
    """The monitors as they stood, if any are wanted."""
    monitors = config.monitors or MonitorsConfig()
    if not monitors.enabled:
        return None
    return Watch(
        monitors,
        out,
        dtype=str(engine.model.dtype).removeprefix("torch."),
        sampling=SamplingParams(temperature=config.temperature, max_tokens=config.max_tokens, seed=seed),
        heldout=heldout,
        tasks=[task for task, weight in config.tasks.items() if weight],
        thinking=config.thinking,
        budgets=config.budgets,
        min_spread=config.min_spread if config.dynamic_sampling else 1e-3,
        seed=seed,
        writes=team.leads,
        step=counters.step,
        state=counters.monitors,
    )


def _kept_by_task(sampled: Sequence[RolloutGroup], spread: float) -> dict[str, float]:
    """The share of each task's prompts that can teach something: where the policy stands between 0 and 1."""
    kept: dict[str, list[float]] = {}
    for group in sampled:
        informative = is_informative([rollout.reward for rollout in group.rollouts], spread=spread)
        kept.setdefault(group.request.sample.task, []).append(float(informative))
    return {task: _mean(values) for task, values in sorted(kept.items())}


class _Save:
    """The resume point, between updates and, as the rollout queue beside it, in the middle of one's rollouts."""

    def __init__(
        self, out: Path, model: VisionLanguageModel, optimizer: Optimizer, counters: _Counters, seconds: float
    ) -> None:
        self._out = out
        self._model = model
        self._optimizer = optimizer
        self._counters = counters
        self._seconds = seconds
        self._saved = time.monotonic()
        self._on_disk: int | None = None

    @property
    def due(self) -> bool:
        """Whether the last one is old enough."""
        return time.monotonic() - self._saved > self._seconds

    def training(self) -> None:
        """Parameters, optimizer and counters."""
        save_training(self._out, {"model": self._model}, self._optimizer, asdict(self._counters))
        self._on_disk = self._counters.step
        self._saved = time.monotonic()

    def __call__(self, queue: Callable[[], dict[str, Any]]) -> None:
        """The queue, and first the parameters it belongs to unless they are there already."""
        if self.due:
            if self._on_disk != self._counters.step:
                self.training()
            save_queue(self._out / QUEUE_FILE, queue())
            self._saved = time.monotonic()


class _Log:
    """metrics.jsonl and rollouts.jsonl of a step; dropped.jsonl where a fault has cost a group."""

    def __init__(self, out: Path, step: int, followers: Sequence[Follower]) -> None:
        self._dropped = out / "dropped.jsonl"
        self._drops: MetricsLog | None = MetricsLog(self._dropped, step=step) if self._dropped.is_file() else None
        self.metrics = MetricsLog(out / "metrics.jsonl", step=step, followers=followers)
        self.rollouts = MetricsLog(out / "rollouts.jsonl", step=step)

    def drop(self, step: int, request: Request, failure: Failure) -> None:
        """Name a group that was dropped, and why."""
        self._drops = self._drops or MetricsLog(self._dropped, step=step)
        self._drops.write(
            step=step,
            sample_id=request.sample.id,
            task=request.sample.task,
            reason=failure.reason,
            message=failure.message,
        )

    def close(self) -> None:
        """Close all."""
        self.metrics.close()
        self.rollouts.close()
        if self._drops:
            self._drops.close()


def _servers(processor: Processor, config: RLConfig, out: Path, team: Team) -> VLLMEngine:
    """The vLLM servers that the recipe names.

    Raises:
        UsageError: there is a team, whose members would all send parameters; or an address is none.
    """
    if team.size > 1:
        raise UsageError(
            f"{config.name} names vLLM servers (rollout.servers) and runs in {team.size} processes; run it in one, "
            "as the servers do the sampling"
        )
    return VLLMEngine(config.rollout.servers, processor, folder=out / "policy", slots=config.slots)


def _collect(collector: Collector, counters: _Counters, out: Path, save: _Save) -> Batch:
    """The rollouts of one update; those that a killed run had finished are not sampled again."""
    restored = load_queue(out / QUEUE_FILE, first=counters.draws, version=counters.step)
    batch = collector.collect(counters.draws, counters.step, share=counters.share, restored=restored, save=save)
    counters.draws += batch.draws
    counters.share = batch.share
    counters.easy = collector.easy.names if collector.config.easy_share else []
    return batch


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / max(1, len(values))


def _by_task(groups: Sequence[RolloutGroup], value: Callable[[Rollout], float]) -> dict[str, float]:
    """Mean of a figure over the rollouts of each task."""
    collected: dict[str, list[float]] = {}
    for group in groups:
        collected.setdefault(group.request.sample.task, []).extend(value(rollout) for rollout in group.rollouts)
    return {task: _mean(values) for task, values in sorted(collected.items())}
