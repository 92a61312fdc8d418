"""A whole training placed over a Ray cluster: the trainer a task, engines and rewards its actors.

    places = Places(engines=8, reward_workers=16)
    with joined_cluster("auto", places):
        train_on_ray(checkpoint, prompts, config, out, places)

The trainer is started again if it is lost, and goes on from its resume point and rollout queue; ``out`` must be the
same folder on every machine it may run on.
"""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimovl.data import Processor
from mimovl.errors import Stopped, UsageError
from mimovl.model import load_checkpoint
from mimovl.reward import Rewards
from mimovl.rl.config import RLConfig
from mimovl.rl.on_ray import RayEngine, ray_library
from mimovl.rl.placement import parameter_dtype
from mimovl.rl.ray_rewards import RayRewards
from mimovl.rl.rewards import open_rewards
from mimovl.rl.trainer import train_policy
from mimovl.train import Progress, Tracking
from mimovl.train.distributed import own_device
from mimovl.types import Sample

__all__ = ["Places", "check_places", "joined_cluster", "train_on_ray"]


@dataclass(frozen=True)
class Places:
    """What a cluster gives to a training."""

    engines: int = 1
    """Rollout engines."""
    reward_workers: int = 8
    """Groups rewarded at once."""
    engine_options: Mapping[str, Any] = field(default_factory=lambda: {"num_cpus": 1})
    """Of each engine, as for ``ray.remote``."""
    trainer_options: Mapping[str, Any] = field(default_factory=lambda: {"num_cpus": 1})
    """Of the trainer, which is started three more times if it is lost."""

    def resources(self) -> dict[str, float]:
        """Processors and GPUs of all together."""
        return {
            name: self.engines * self.engine_options.get(option, default)
            + self.reward_workers * default
            + self.trainer_options.get(option, default)
            for name, option, default in (("CPU", "num_cpus", 1), ("GPU", "num_gpus", 0))
        }


def check_places(config: RLConfig, places: Places) -> None:
    """Refuse a training that these places cannot do.

    Raises:
        UsageError: its rollouts are asked of servers, or a group has no room in one engine; names both.
    """
    if config.rollout.servers:
        raise UsageError(
            f"--ray places rollout engines of its own, and rl.rollout.servers names {', '.join(config.rollout.servers)}"
            " to answer in their place; leave one of the two out"
        )
    if (room := -(-config.slots // places.engines)) < config.samples:
        raise UsageError(
            f"--ray: rl.slots {config.slots} over {places.engines} engines are {room} each, and a group is "
            f"{config.samples} samples (rl.samples); raise rl.slots or place fewer engines"
        )


@contextmanager
def joined_cluster(address: str, places: Places) -> Iterator[None]:
    """A Ray cluster, left again in the end.

    Args:
        address: of the cluster; ``auto`` for the one this machine is in, ``local`` for one of this machine alone.
        places: what is going to be placed there.

    Raises:
        MissingExtraError: the ``ray`` extra is not installed.
        UsageError: there is no cluster there, or it is too small; names both numbers.
    """
    ray, wanted = ray_library(), places.resources()
    # On one machine processors are shared out as they come; a cluster keeps its own account of them.
    processors = {"num_cpus": math.ceil(max(wanted["CPU"], os.cpu_count() or 1))} if address == "local" else {}
    try:
        _answers(address)
        ray.init(address, log_to_driver=False, logging_level="warning", **processors)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"--ray {address}: no Ray cluster answers there ({str(error).splitlines()[0]}); start one with ray start "
            "--head, or use --ray local for this machine alone"
        ) from None
    try:
        there = ray.cluster_resources()
        for name, count in wanted.items():
            if count > there.get(name, 0):
                asked = f"{places.engines} engines, {places.reward_workers} reward workers and the trainer"
                has = f"the cluster has {there.get(name, 0):g}"
                raise UsageError(
                    f"--ray {address}: {asked} want {count:g} {name}s, {has}; place fewer, or add machines"
                )
        yield
    finally:
        ray.shutdown()


def _answers(address: str) -> None:
    """Ray itself asks an address in vain for minutes.

    Raises:
        OSError: nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host.removeprefix("ray://"), int(port)), timeout=10).close()


def train_on_ray(
    checkpoint: Path,
    prompts: Sequence[Sample],
    config: RLConfig,
    out: Path,
    places: Places,
    *,
    processor: Processor | None = None,
    router: Rewards | None = None,
    heldout: Sequence[Sample] = (),
    seed: int = 0,
    progress: Progress | None = None,
    tracking: Tracking | None = None,
    stop_asked: Callable[[], bool] | None = None,
) -> None:
    """``train_policy`` as a task of the cluster, its engines and rewards as actors; returns when ``out`` is done.

    Args:
        checkpoint: where the policy starts.
        prompts: see ``train_policy``; so are config, out, heldout, seed and tracking.
        config: what to do.
        out: the step's folder, the same wherever the trainer may run.
        places: on the cluster.
        processor: the checkpoint's own if None.
        router: rewards; those that ``config.rewards`` asks for if None.
        heldout: prompts that are never trained on.
        seed: fixes prompts and sampling.
        progress: shows reward and time left, from what the trainer logs.
        tracking: who is told the figures besides metrics.jsonl.
        stop_asked: whether this process was asked to end.

    Raises:
        MissingExtraError: the ``ray`` extra is not installed.
        UsageError: the places cannot do it.
        Stopped: somebody asked for the end; what is not in the last resume point is done again.
        MimovlError: whatever the training raises.
    """
    check_places(config, places)
    ray = ray_library()
    work = ray.remote(_train).options(**{"max_retries": 3, **places.trainer_options})
    options = {"heldout": heldout, "seed": seed, "tracking": tracking}
    task = work.remote(checkpoint, processor, prompts, config, out, places, router, options)
    while not ray.wait([task], timeout=1.0)[0]:
        if stop_asked and stop_asked():
            raise Stopped(f"stopped as asked (SIGTERM); the last resume point is in {out}")
        if progress:
            _show(out, progress)
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise getattr(error, "cause", None) or error from None


def _train(
    checkpoint: Path,
    processor: Processor | None,
    prompts: Sequence[Sample],
    config: RLConfig,
    out: Path,
    places: Places,
    router: Rewards | None,
    options: Mapping[str, Any],
) -> None:
    """The trainer's task."""
    processor = processor or Processor.load(checkpoint)
    model = load_checkpoint(checkpoint, dtype=parameter_dtype(config.parallel), device=own_device())
    rollouts = RayEngine(model, processor, engines=places.engines, slots=config.slots, options=places.engine_options)
    with closing(rollouts), open_rewards(config.rewards) as asked:
        rewards: Rewards = asked  # a service is a place of its own
        if router or not config.rewards:
            seconds, workers = config.rollout.reward_seconds, places.reward_workers
            rewards = RayRewards(router or asked, workers=workers, seconds=seconds)
            rollout = config.rollout.model_copy(update={"reward_workers": workers})  # none idle, none waited for
            config = config.model_copy(update={"rollout": rollout})
        train_policy(model, processor, prompts, config, out, router=rewards, rollouts=rollouts, **options)


def _show(out: Path, progress: Progress) -> None:
    """The last line that the trainer has logged."""
    log = out / "metrics.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    with suppress(ValueError, IndexError):  # none yet, or caught in the middle of one
        last = json.loads(lines[-1])
        text = f"reward {last['reward']:.3f}  {last['tokens_per_second']:,.0f} tokens/s"
        progress.update(last["step"], last["steps"], text)
