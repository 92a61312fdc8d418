"""Groups of rollouts made up for the monitors: texts, rewards and pictures as a test wants them."""

from __future__ import annotations

from collections.abc import Sequence

from mimovl.rl.monitors.alert import Alert, Monitor, Update
from mimovl.types import (
    Completion,
    Gold,
    Media,
    Outcome,
    Request,
    Rollout,
    RolloutGroup,
    Sample,
    SamplingParams,
    Verdict,
)
from tests.data import small

PICTURE = small.picture(56, 84, 1)


def group(
    texts: Sequence[str],
    rewards: Sequence[float] | None = None,
    *,
    task: str = "counting",
    answer: object = 3,
    prompt: str = "How many circles?",
    id: str = "a",
    picture: Media | None = PICTURE,
    lengths: Sequence[int] | None = None,
    cut: bool = False,
) -> RolloutGroup:
    """One prompt with these completions; a completion has as many tokens as words unless ``lengths`` says."""
    media = {picture.sha256: picture} if picture else {}
    message = small.user(prompt, *media.values())
    sample = Sample(id, (message,), media, task, gold=Gold("count", answer))
    rollouts = []
    for place, text in enumerate(texts):
        reward = rewards[place] if rewards else float(place % 2)
        count = lengths[place] if lengths else len(text.split())
        completion = Completion(text, "length" if cut else "stop", (5,) * count, (-0.1,) * count)
        outcome = Outcome.CORRECT if reward >= 1 else Outcome.WRONG
        rollouts.append(Rollout(completion, reward, Verdict(reward, outcome)))
    return RolloutGroup(Request(sample, SamplingParams(1.0), len(texts)), rollouts, 0)


def shown(monitor: Monitor, updates: Sequence[Sequence[RolloutGroup]], **figures: float) -> list[list[Alert]]:
    """What a monitor says of each update in turn."""
    return [monitor.look(Update(number, groups, figures)) for number, groups in enumerate(updates, start=1)]


def resumed(make, updates: Sequence[Sequence[RolloutGroup]], split: int) -> list[list[Alert]]:
    """The same with the monitor made anew from its state after ``split`` updates."""
    import json

    first = make(None)
    found = [first.look(Update(number, groups, {})) for number, groups in enumerate(updates[:split], start=1)]
    second = make(json.loads(json.dumps(first.state_dict())))
    later = enumerate(updates[split:], start=split + 1)
    return found + [second.look(Update(number, groups, {})) for number, groups in later]
