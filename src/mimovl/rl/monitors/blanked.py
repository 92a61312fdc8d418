"""Answers independent of the picture: a share of the prompts is asked again with the picture blanked.

The grey picture has the size of the true one (a clip its length), so that prompt and positions are the same; the second
asking draws with the same seeds. A policy that does not look answers word for word the same; one that looks answers
something else as soon as the picture decides a token. Where something else than this process's engine samples the
rollouts (vLLM servers, a cluster), equal seeds may draw other numbers there: the true pictures are then asked once more
beside the grey ones. The prompts wait until there are a few, because one more prompt in the engine costs hardly more
than none.
"""

from __future__ import annotations

import functools
import hashlib
import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from mimovl.generate import Engine
from mimovl.reward.router import Rewards
from mimovl.rl.monitors.alert import Alert, Recent, Update, by_task, mean
from mimovl.rl.monitors.config import BlankedConfig
from mimovl.rl.rewards import reward_groups
from mimovl.team import Team
from mimovl.types import Media, MediaKind, Request, RolloutGroup, Sample
from mimovl.verify.answer import split_thought

__all__ = ["BlankedMonitor", "blank_media", "blank_sample"]

TOGETHER = 8
"""Prompts that wait to be asked again at once."""
SAMPLES = 2
"""Answers to each."""
KEPT = 128
"""Comparisons kept of each task."""
GREY = (127, 127, 127)


def blank_sample(sample: Sample) -> Sample:
    """The sample with every picture and clip grey."""
    media = {
        name: blank_media(one.kind, one.width, one.height, one.num_frames, one.fps)
        for name, one in sample.media.items()
    }
    return replace(sample, media=media)


@functools.lru_cache(maxsize=256)
def blank_media(kind: MediaKind, width: int, height: int, num_frames: int = 1, fps: float = 0.0) -> Media:
    """A grey picture of this size, or a grey clip of this length."""
    buffer = io.BytesIO()
    grey = Image.new("RGB", (width, height), GREY)
    if kind == "video" and num_frames > 1:
        # Frames that differ by a shade that no eye sees: equal ones would be stored as one still picture.
        frames = [Image.new("RGB", (width, height), (127, 127, 127 + number % 2)) for number in range(num_frames)]
        duration = 1000 / fps if fps else 500
        frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=duration)
    else:
        grey.save(buffer, "PNG")
    data = buffer.getvalue()
    return Media(hashlib.sha256(data).hexdigest(), kind, data, width, height, num_frames, fps)


class BlankedMonitor:
    """See :class:`BlankedConfig`.

    Args:
        config: thresholds and share.
        seed: fixes which prompts are asked again.
        state: of an earlier one.
    """

    def __init__(self, config: BlankedConfig, *, seed: int = 0, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self.config = config
        self.seed = seed
        self._due: float = state.get("due", 0.0)
        self._same = Recent(KEPT, state.get("same"))
        self._chosen: list[RolloutGroup] = []
        self._asked: list[tuple[RolloutGroup, RolloutGroup]] = []

    def due(self, number: int, groups: Sequence[RolloutGroup]) -> list[Request]:
        """The requests to ask again after those of update ``number``; the same in every process of a team."""
        with_pictures = [group for group in groups if group.request.sample.media]
        self._asked = []
        # No more than could be asked at once is owed: what few pictured prompts leave undone is not made up for later.
        self._due = min(self._due + self.config.share * len(with_pictures), TOGETHER + len(with_pictures))
        count = min(int(self._due), len(with_pictures))
        if not count or (count < min(TOGETHER, len(with_pictures)) and self.config.share < 1):
            return []
        self._due -= count
        self._chosen = random.Random(f"{self.seed} {number}").sample(with_pictures, count)
        return [
            replace(
                group.request,
                sample=blank_sample(group.request.sample),
                num_samples=min(SAMPLES, group.request.num_samples),
            )
            for group in self._chosen
        ]

    def ask(
        self,
        number: int,
        engine: Engine,
        groups: Sequence[RolloutGroup],
        rewards: Rewards,
        team: Team,
        *,
        same_draws: bool = True,
    ) -> dict[str, Any]:
        """Ask what is due, with the parameters that sampled the groups.

        Args:
            number: of the update.
            engine: asks.
            groups: all that were sampled.
            rewards: of the answers.
            team: processes that share the prompts.
            same_draws: whether ``engine`` sampled the groups too, with which an equal seed draws equal numbers; else
                the chosen prompts are asked again both with and without their pictures.

        Returns:
            By task, the share of answers that stayed the same and the reward that is earned without the picture.
        """
        requests = self.due(number, groups)
        if not requests:
            return {}
        if not same_draws:
            requests += [
                replace(group.request, num_samples=blank.num_samples)
                for group, blank in zip(self._chosen, requests, strict=True)
            ]
        mine = team.share(requests)
        answered = team.merge(reward_groups(mine, engine.generate(mine), rewards, number))
        blind = answered[: len(self._chosen)]
        true = self._chosen if same_draws else answered[len(self._chosen) :]
        self._asked = list(zip(true, blind, strict=True))
        same: dict[str, list[float]] = {}
        for group, other in self._asked:
            for rollout, without in zip(group.rollouts, other.rollouts, strict=False):
                seen, unseen = (split_thought(one.completion.text) for one in (rollout, without))
                if seen is not None and unseen is not None:
                    same.setdefault(group.request.sample.task, []).append(float(seen == unseen))
        for task, found in same.items():
            self._same.add(task, *found)
        return {
            "blanked_same_by_task": {task: mean(found) for task, found in sorted(same.items())},
            "blanked_reward_by_task": {
                task: mean([rollout.reward for rollout in rollouts]) for task, _, rollouts in by_task(blind)
            },
        }

    def look(self, update: Update) -> list[Alert]:
        """Alerts of the tasks that were just asked again and answer without looking."""
        alerts = []
        for task, groups, _ in by_task([group for group, _ in self._asked]):
            kept = self._same.values.get(task, [])
            if len(kept) >= self.config.least and mean(kept) >= self.config.same:
                message = f"{mean(kept):.0%} of the answers stay the same when the picture is blanked"
                alerts.append(Alert("blanked", task, message, mean(kept), self.config.same, tuple(groups)))
        return alerts

    def state_dict(self) -> dict[str, Any]:
        """Comparisons kept, and the part of a prompt that is due."""
        return {"due": self._due, "same": self._same.values}
