"""Seamless rollout against naive dynamic sampling, the loop that trains in both: simulated, and for real.

    python benchmarks/seamless.py                    (a) simulated: the report's statistics, its ablation, validation
    python benchmarks/seamless.py --real             (b) a real CPU run whose rewards take their time

(a) Batches of 512 prompts with eight answers, 41 % of the prompts informative (MiMo-7B: mean pass rate 41 %), lengths
log-normal and cut at 32,768, on 256 engines that decode at the pace of an H20's memory with MiMo-7B in it, ``--each``
samples at once; a round of the naive side has 16 for each. Rewards are log-normal with a median of ``--reward`` of a
longest answer's time. Naive dynamic sampling rolls out whole batches until one is full, as in the report, and the
mean length is fitted so that engines are without a sample for the report's 69.3 % of the time; whatever follows is
found, not fitted, and stands beside the report's own table. A step also takes an update, ``--update`` of the time of
a naive rollout (the report's overall and rollout ratios say how long). Idle is the share of engine-time without a
sample, waste the share of tokens sampled for groups behind the last one of a full batch. The last row is ours alone:
an engine that has run dry takes half the samples of the fullest one (``generate/moving.py``, as ``rl/on_ray.py`` has
it), whose keys and values travel at 5 GB/s. Validation rolls out as many prompts as ten batches, batch by batch or
seamlessly, every answer rewarded and none left out.

(b) The embedded base answers questions of the embedded world in batches of ``--groups``, a quarter of the report's;
rewards are right and take ``--delay`` seconds (median, log-normal) each in threads, as a judge would, chosen so that
naive sampling idles about as long as the report's. The smaller a batch, the more of it is waiting for its slowest
reward: with 32 groups neither side's idle is comparable. No parameter changes, so that both sides sample the same
answers, and both must accept the same groups. About five minutes.

The last line is JSON; ``ratio`` is that of seconds, overall. Aims: 2.29×, idle 25 %, waste 12 %, validation 2×.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import time
from dataclasses import replace
from typing import Any

import torch

from mimovl.curate.world import WorldConfig, build_item, to_questions
from mimovl.data import Processor
from mimovl.generate import Engine
from mimovl.model import load_checkpoint
from mimovl.pipeline.assets import embedded_base
from mimovl.reward import RewardRouter
from mimovl.rl.config import RLConfig
from mimovl.rl.easy_pool import EasyPool
from mimovl.rl.prompts import PromptSource
from mimovl.rl.reward_queue import ThreadedRewards
from mimovl.rl.seamless import Collector
from mimovl.rl.simulated_replica import H20
from mimovl.rl.simulator import SimulatedEngine, SimulatedRewards, SimulatedTime, World
from mimovl.types import Completion, Sample, Verdict

GROUPS, SAMPLES = 512, 8
IDLE_OF_THE_REPORT = 0.693
REPORT = {
    "no dynamic sampling": (2.45, 2.82, 0.708, math.nan),
    "naive dynamic sampling": (1.0, 1.0, 0.693, 0.221),
    "+ continuous": (1.99, 2.20, 0.388, 0.139),
    "+ asynchronous rewards": (2.09, 2.34, 0.340, 0.164),
    "+ early termination": (2.29, 2.61, 0.277, 0.129),
}
"""Overall, rollout, idle and waste (MiMo-7B, table 2)."""
CONTINUOUS = {"continuous": True}
ASYNCHRONOUS = {**CONTINUOUS, "asynchronous_rewards": True}


def config(rollout: dict[str, Any], **changes: Any) -> RLConfig:
    rates = dict.fromkeys(("vision", "projector", "language"), 1e-6)
    values = {"tasks": {"simulated": 1}, "steps": 1, "groups": GROUPS, "samples": SAMPLES, "learning_rate": rates}
    return RLConfig.model_validate({**values, "oversample": 2.0, "max_rounds": 20, "rollout": rollout, **changes})


def simulate(
    world: World, rollout: dict[str, Any], steps: int, each: int, *, moves: bool = False, **changes: Any
) -> tuple[float, ...]:
    """Seconds, idle and waste of so many steps."""
    settings = config(rollout, **changes)
    source = PromptSource([Sample("prompt", (), task="simulated")], settings, seed=0)
    clock = SimulatedTime()
    rewards = SimulatedRewards(world, clock, lambda number: source.draw(number, 1)[0])
    engine = SimulatedEngine(world, clock, slots=each * H20.engines, hardware=H20, moves=moves)
    collector = Collector(engine, source, EasyPool(0.0), rewards, settings, clock=clock)
    first, share, wasted = 0, None, 0.0
    for step in range(steps):
        batch = collector.collect(first, step, share=share)
        first, share = first + batch.draws, batch.share
        wasted += batch.figures["waste"] / steps
    return clock.now, 1 - engine.busy_seconds / (clock.now * H20.engines), wasted


def fitted(args: argparse.Namespace) -> World:
    """The world in which naive dynamic sampling is idle for as long as in the report."""
    reward = args.reward * World.longest * H20.seconds_per_pass
    world = World(skew=args.skew, reward_seconds=reward, informative=args.informative)
    low, high = 0.02, 0.9
    for _ in range(7):
        mean = (low + high) / 2
        idle = simulate(replace(world, mean=mean), {"round_groups": GROUPS}, 2, args.each)[1]
        low, high = (mean, high) if idle > IDLE_OF_THE_REPORT else (low, mean)
    return replace(world, mean=mean)


def simulated(args: argparse.Namespace) -> dict[str, Any]:
    world = fitted(args)
    seamless = {**ASYNCHRONOUS, "early_termination": True, "margin": args.margin}
    moves = {"moves": True}
    rows: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "no dynamic sampling": ({}, {"dynamic_sampling": False}),
        "naive dynamic sampling": ({"round_groups": GROUPS}, {}),
        "  of what is missing × 2": ({}, {}),
        "+ continuous": (CONTINUOUS, {}),
        "+ asynchronous rewards": (ASYNCHRONOUS, {}),
        "+ early termination": (seamless, {}),
        "+ moved samples (ours)": (seamless, moves),
    }
    print(f"lengths: mean {world.mean:.2f} of the longest; rewards: {args.reward:g} of its time; {args.each} an engine")
    print(f"{'':26}{'overall':>9}{'rollout':>9}{'idle':>8}{'waste':>8}   (the report)")
    found = {}
    for name, (rollout, changes) in rows.items():
        found[name] = simulate(world, rollout, args.steps, args.each, **changes)
    naive = found["naive dynamic sampling"][0]
    update = args.update * naive
    ratios = {}
    for name, (seconds, idle, waste) in found.items():
        ratios[name] = (naive + update) / (seconds + update)
        row = f"{ratios[name]:8.2f}×{naive / seconds:8.2f}×{idle:8.1%}{waste:8.1%}"
        known = REPORT.get(name)
        print(
            f"{name:26}{row}" + (f"   ({known[0]:.2f}× {known[1]:.2f}× {known[2]:.1%} {known[3]:.1%})" if known else "")
        )
    validation = {"dynamic_sampling": False, "groups": 10 * GROUPS, "max_rounds": 20}
    slow = simulate(world, {"round_groups": GROUPS}, 1, args.each, **validation)
    fast = simulate(world, {**seamless, "margin": 0}, 1, args.each, **moves, **validation)
    print(f"validation: {slow[0] / fast[0]:.2f}×, idle {slow[1]:.1%} → {fast[1]:.1%}")
    last = found["+ moved samples (ours)"]
    return {
        "ratio": round(ratios["+ moved samples (ours)"], 3),
        "ratio_without_moves": round(ratios["+ early termination"], 3),
        "rollout_ratio": round(naive / last[0], 3),
        "idle": round(last[1], 4),
        "idle_without_moves": round(found["+ early termination"][1], 4),
        "waste": round(last[2], 4),
        "naive_idle": round(found["naive dynamic sampling"][1], 4),
        "naive_waste": round(found["naive dynamic sampling"][2], 4),
        "validation": round(slow[0] / fast[0], 3),
        "mean_length": round(world.mean, 4),
    }


class Judge(RewardRouter):
    """The graders, each answer of which takes its time, by the answer alone."""

    def __init__(self, delay: float) -> None:
        super().__init__()
        self.delay = delay

    def score_many(self, samples: Any, completions: Any) -> list[Verdict]:
        """The graders' verdicts, late."""
        texts = "".join(one.text if isinstance(one, Completion) else one for one in completions)
        time.sleep(min(self.delay * math.exp(random.Random(samples[0].id + texts).gauss(0, 1)), 50 * self.delay))
        return super().score_many(samples, completions)


def real(args: argparse.Namespace) -> dict[str, Any]:
    folder = embedded_base().folder
    model, processor = load_checkpoint(folder), Processor.load(folder)
    sources = ("world/counting", "world/attributes", "world/arithmetic")
    items = [
        build_item(source, seed=7, index=number, split="heldout", config=WorldConfig())
        for source in sources
        for number in range(200)
    ]
    samples = [question for item in items for question in to_questions(item)[:1]]
    tasks = {sample.task: 1.0 for sample in samples}
    shape = {"tasks": tasks, "groups": args.groups, "max_tokens": args.longest, "dynamic_sampling": True}
    slots = max(SAMPLES, round(args.slots * args.groups * SAMPLES))

    def run(rollout: dict[str, Any]) -> tuple[float, float, float, list[int]]:
        settings = config(rollout, **shape)
        source = PromptSource(samples, settings, seed=0)
        queue = ThreadedRewards(Judge(args.delay), workers=256)
        collector = Collector(Engine(model, processor, slots=slots), source, EasyPool(0.0), queue, settings)
        first, share, idle, waste, kept = 0, None, 0.0, 0.0, []
        began = time.monotonic()
        for step in range(args.steps):
            clock = time.monotonic()
            batch = collector.collect(first, step, share=share)
            first, share = batch.kept[-1].request.sampling.seed + 1, batch.share
            idle += batch.figures["idle"] * (time.monotonic() - clock)
            waste += batch.figures["waste"] / args.steps
            kept += [group.request.sampling.seed for group in batch.kept]
        seconds = time.monotonic() - began
        queue.close()
        return seconds, idle / seconds, waste, kept

    seamless = {**ASYNCHRONOUS, "early_termination": True, "margin": args.margin}
    run(seamless)  # warm
    naive, fast = run({"round_groups": args.groups}), run(seamless)
    assert naive[3] == fast[3], "both sides accept the same groups"
    for name, (seconds, idle, waste, _) in (("naive dynamic sampling", naive), ("seamless", fast)):
        print(f"{name:26}{seconds:8.1f} s{idle:8.1%} idle{waste:8.1%} waste")
    return {
        "ratio": round(naive[0] / fast[0], 3),
        "idle": round(fast[1], 4),
        "waste": round(fast[2], 4),
        "naive_idle": round(naive[1], 4),
        "naive_waste": round(naive[2], 4),
        "groups": len(fast[3]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--steps", type=int, help="5, or 3 for real")
    parser.add_argument("--margin", type=float, help="2, or 3 for real")
    parser.add_argument("--informative", type=float, default=0.41)
    parser.add_argument("--skew", type=float, default=0.9)
    parser.add_argument("--slots", type=float, default=0.25, help="of the answers of a batch (real)")
    parser.add_argument("--each", type=int, default=24, help="samples an engine runs at once (simulated)")
    parser.add_argument("--reward", type=float, default=0.004, help="of a longest answer's time (simulated)")
    parser.add_argument("--update", type=float, default=0.095, help="of a naive rollout's time (simulated)")
    parser.add_argument("--groups", type=int, default=128, help="of a batch (real)")
    parser.add_argument("--delay", type=float, default=0.55, help="median seconds of a group's reward (real)")
    parser.add_argument("--longest", type=int, default=160, help="tokens of an answer (real)")
    args = parser.parse_args()
    args.margin = (3.0 if args.real else 2.0) if args.margin is None else args.margin
    args.steps = (3 if args.real else 5) if args.steps is None else args.steps
    torch.set_num_threads(1)
    figures = real(args) if args.real else simulated(args)
    settings = {name: value for name, value in vars(args).items() if name != "real"}
    machine = platform.processor() or platform.machine()
    kind = "real" if args.real else "simulated"
    print(json.dumps({"benchmark": f"seamless ({kind})", **figures, "settings": settings, "machine": machine}))


if __name__ == "__main__":
    main()
