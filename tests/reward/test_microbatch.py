from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mimovl.reward.microbatch import MicroBatcher
from mimovl.types import Outcome, Sample, Verdict


class Model:
    """A reward model by its protocol that cannot read one text, and notes the sizes of its micro-batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def score(self, samples: Sequence[Sample], completions: Sequence[str]) -> list[float]:
        self.sizes.append(len(samples))
        if "unreadable" in completions:
            raise RuntimeError("cannot read")
        return [len(text) / 10 for text in completions]


SAMPLE = Sample("s", (), task="rlhf")


def ask(model: Model, *requests: list[str], size: int = 4, gather_seconds: float = 0.05) -> list[list[Verdict]]:
    """Several requests at once."""

    async def story() -> list[list[Verdict]]:
        batcher = MicroBatcher(model, "rlhf", size=size, gather_seconds=gather_seconds)
        await batcher.start()
        found = await asyncio.gather(*(batcher.score([SAMPLE] * len(texts), texts) for texts in requests))
        await batcher.close()
        return found

    return asyncio.run(story())


def test_requests_share_micro_batches_and_each_gets_its_own_scores() -> None:
    model = Model()
    found = ask(model, ["a"], ["aa", "aaa"], ["aaaa"], ["aaaaa"])
    assert [[verdict.score for verdict in verdicts] for verdicts in found] == [[0.1], [0.2, 0.3], [0.4], [0.5]]
    assert model.sizes == [4, 1]


def test_a_large_request_is_cut_into_micro_batches() -> None:
    model = Model()
    [verdicts] = ask(model, ["a" * n for n in range(10)])
    assert [verdict.score for verdict in verdicts] == [n / 10 for n in range(10)] and model.sizes == [4, 4, 2]


def test_one_that_cannot_be_read_does_not_take_its_neighbours_rewards() -> None:
    [verdicts] = ask(Model(), ["a", "unreadable", "aaa"])
    assert [verdict.score for verdict in verdicts] == [0.1, 0.0, 0.3]
    assert verdicts[1].outcome is Outcome.NOT_GRADED
    assert verdicts[1].rule == "the reward model failed: RuntimeError: cannot read"


def test_a_score_out_of_range_is_not_graded() -> None:
    [[verdict]] = ask(Model(), ["a" * 11])
    assert verdict.outcome is Outcome.NOT_GRADED and "gave 1.1, not in [0, 1]" in verdict.rule


def test_a_lone_request_does_not_wait_for_others_for_ever() -> None:
    assert ask(Model(), ["a"], gather_seconds=0.0)[0][0].score == 0.1


def test_what_still_waits_at_the_end_is_not_graded() -> None:
    async def story() -> list[Verdict]:
        batcher = MicroBatcher(Model(), "rlhf", size=4, gather_seconds=30.0)
        await batcher.start()
        waiting = asyncio.create_task(batcher.score([SAMPLE], ["a"]))
        await asyncio.sleep(0.05)
        await batcher.close()
        return await waiting

    assert asyncio.run(story())[0].rule == "the service ended"
