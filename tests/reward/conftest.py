"""One reward service for all tests of this folder: starting its processes is the slow part."""

from collections.abc import Iterator, Sequence

import pytest

from mimovl.reward.service_config import ServiceConfig
from mimovl.types import Sample
from tests.reward.poison import FUNCTIONS
from tests.reward.running import RunningService


class ShortIsGood:
    """A reward model by its protocol; it cannot read what says so, and notes the sizes of its micro-batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def score(self, samples: Sequence[Sample], completions: Sequence[str]) -> list[float]:
        self.sizes.append(len(samples))
        if any("unreadable" in text for text in completions):
            raise RuntimeError("an unreadable completion")
        return [1 / (1 + len(text)) for text in completions]


@pytest.fixture(scope="session")
def running() -> Iterator[RunningService]:
    config = ServiceConfig(
        workers=2,
        functions=FUNCTIONS,
        item_cpu_seconds=0.5,
        item_seconds=4.0,
        worker_memory_mb=64,
        micro_batch=4,
        gather_seconds=0.05,
    )
    one = RunningService(config, {"rlhf": ShortIsGood()})
    yield one
    one.close()
