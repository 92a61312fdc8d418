"""Which prompts are asked: drawn by task weight, the always solved ones set aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from mimovl.data import Mixture
from mimovl.rl.config import RLConfig
from mimovl.rl.easy_pool import EasyPool
from mimovl.types import Request, Sample, SamplingParams

__all__ = ["IndexedPrompts", "PromptSource"]


@runtime_checkable
class IndexedPrompts(Protocol):
    """Prompts whose ids and tasks are known without reading them and their pictures."""

    ids: Sequence[str]
    tasks: Sequence[str]


class PromptSource:
    """Prompts drawn by task weight, each with its mode of thinking; a pure function of the draw's number and the pool.

    Args:
        samples: prompts with gold; read one by one as they are drawn if they are ``IndexedPrompts``.
        config: task weights and thinking shares.
        seed: fixes the order.

    Raises:
        DataError: a weighted task has no prompt.
    """

    def __init__(self, samples: Sequence[Sample], config: RLConfig, *, seed: int) -> None:
        self.samples = samples
        self.config = config
        self.seed = seed
        self._by_task: dict[str, list[int]] = {}
        self._places: dict[int, int] = {}
        if isinstance(samples, IndexedPrompts):
            self._ids, tasks = samples.ids, samples.tasks
        else:
            self._ids, tasks = [sample.id for sample in samples], [sample.task for sample in samples]
        for index, task in enumerate(tasks):
            members = self._by_task.setdefault(task, [])
            self._places[index] = len(members)
            members.append(index)
        self._tasks = tasks
        self._by_id = {self._ids[index]: index for index, task in enumerate(tasks) if task in config.tasks}
        self.mixture = Mixture(self._by_task, config.tasks, seed=seed)

    def draw(self, start: int, count: int, easy: EasyPool | None = None) -> list[Request]:
        """Requests number ``start`` to ``start + count``.

        With a pool, a prompt comes from there with the pool's probability; else one that lies in it gives way to the
        next of its task that does not, if there is any.
        """
        stream = self.mixture.stream(start)
        requests = []
        for number in range(start, start + count):
            index = next(stream)
            if easy is not None:
                name = easy.draw(number)
                index = self._by_id[name] if name in self._by_id else self._harder(index, easy)
            sample = self.samples[index]
            share = self.config.thinking.get(sample.task, 1.0)
            dice = torch.rand(1, generator=torch.Generator().manual_seed(self.seed * 7_919 + number))
            sampling = SamplingParams(
                temperature=self.config.temperature,
                max_tokens=(self.config.budgets or {}).get(sample.task, self.config.max_tokens),
                seed=self.seed * 1_000_003 + number,
            )
            thinking = None if float(dice) < share else False
            requests.append(Request(sample, sampling, self.config.samples, thinking))
        return requests

    def _harder(self, index: int, easy: EasyPool) -> int:
        members = self._by_task[self._tasks[index]]
        place = self._places[index]
        for other in (*members[place:], *members[:place]):
            if self._ids[other] not in easy:
                return other
        return index
