"""A collector in a simulated world, for tests."""

from __future__ import annotations

from typing import Any

from mimovl.rl.config import RLConfig
from mimovl.rl.easy_pool import EasyPool
from mimovl.rl.prompts import PromptSource
from mimovl.rl.seamless import Collector
from mimovl.rl.simulator import SimulatedEngine, SimulatedRewards, SimulatedTime, World
from mimovl.types import Request, Sample

SEAMLESS = {"continuous": True, "asynchronous_rewards": True, "early_termination": True}
NAIVE: dict[str, Any] = {}


def config(rollout: dict[str, Any], **changes: Any) -> RLConfig:
    values = {
        "tasks": {"simulated": 1},
        "steps": 1,
        "groups": 16,
        "samples": 4,
        "max_tokens": 1000,
        "oversample": 2.0,
        "max_rounds": 10,
        "train": ["language"],
        "learning_rate": {"language": 1e-3},
        "rollout": rollout,
        **changes,
    }
    return RLConfig.model_validate(values)


class Simulation:
    """One world and a collector in it."""

    def __init__(self, rollout: dict[str, Any], *, slots: int = 64, world: World | None = None, **changes: Any) -> None:
        settings = config(rollout, **changes)
        self.world = world or World(longest=1000, mean=0.3, reward_seconds=30.0)
        self.time = SimulatedTime()
        self.engine = SimulatedEngine(self.world, self.time, slots=slots)
        samples = [Sample(f"s{n}", (), task="simulated") for n in range(50)]
        self.source = PromptSource(samples, settings, seed=0)
        self.easy = EasyPool(settings.easy_share, seed=0)
        self.rewards = SimulatedRewards(self.world, self.time, self.request)
        self.collector = Collector(self.engine, self.source, self.easy, self.rewards, settings, clock=self.time)

    def request(self, number: int) -> Request:
        return self.source.draw(number, 1)[0]
