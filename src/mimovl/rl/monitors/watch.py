"""All monitors of a step as one: asked before each update, shown it afterwards; alerts go to log, metrics and a file.

    watch.ask(number, engine, groups, rewards, team)      before the update, by every process
    watch.look(number, groups, figures)                   after it, by the one that writes   →   {"alerts": […], …}

A failure that lasts is said when it begins, and again after ``again`` updates. ``alerts.jsonl`` has the examples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mimovl.generate import Engine
from mimovl.reward.router import Rewards
from mimovl.rl.monitors.alert import Alert, Monitor, Update
from mimovl.rl.monitors.blanked import BlankedMonitor
from mimovl.rl.monitors.config import MonitorsConfig
from mimovl.rl.monitors.counting import CountingMonitor
from mimovl.rl.monitors.health import EntropyMonitor, GapMonitor
from mimovl.rl.monitors.heldout import HeldoutMonitor, choose_questions
from mimovl.rl.monitors.language import LanguageMonitor
from mimovl.rl.monitors.lengths import LengthMonitor
from mimovl.rl.monitors.spread import SpreadMonitor
from mimovl.rl.rollout_log import rollout_record
from mimovl.team import Team
from mimovl.train import MetricsLog
from mimovl.types import RolloutGroup, Sample, SamplingParams

__all__ = ["ALERTS_FILE", "Watch"]

ALERTS_FILE = "alerts.jsonl"

LOG = logging.getLogger("mimovl.rl")


class Watch:
    """The monitors that a recipe asks for.

    Args:
        config: which, and their thresholds.
        out: the step's folder.
        dtype: of the model's numbers, e.g. float32.
        sampling: of the rollouts; held-out prompts are asked likewise.
        heldout: held-out prompts, of which some are asked.
        tasks: those that are trained.
        thinking: share of a task's prompts asked in thinking mode; a task not named thinks always.
        budgets: longest rollout of single tasks.
        min_spread: by how much a group's rewards must differ to teach anything.
        seed: fixes which prompts are asked again.
        writes: whether this process writes files and logs.
        step: updates that were made before; alerts of later ones are forgotten.
        state: of an earlier one.
    """

    def __init__(
        self,
        config: MonitorsConfig,
        out: Path,
        *,
        dtype: str,
        sampling: SamplingParams,
        heldout: Iterable[Sample] = (),
        tasks: Sequence[str] = (),
        thinking: Mapping[str, float] | None = None,
        budgets: Mapping[str, int] | None = None,
        min_spread: float = 1e-3,
        seed: int = 0,
        writes: bool = True,
        step: int = 0,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config
        self._path = out / ALERTS_FILE
        self._name = out.name
        states: Mapping[str, Any] = (state or {}).get("monitors", {})
        self._given: dict[str, int] = dict((state or {}).get("given", {}))
        self._monitors: dict[str, Monitor] = {}
        self._blanked: BlankedMonitor | None = None
        self._heldout: HeldoutMonitor | None = None
        window = config.window
        if config.lengths:
            self._monitors["lengths"] = LengthMonitor(config.lengths, window, states.get("lengths"))
        if config.counting:
            self._monitors["counting"] = CountingMonitor(config.counting, window, states.get("counting"))
        if config.entropy:
            self._monitors["entropy"] = EntropyMonitor(config.entropy, window, states.get("entropy"))
        if config.gap:
            self._monitors["gap"] = GapMonitor(config.gap, dtype)
        if config.language:
            self._monitors["language"] = LanguageMonitor(config.language, window, states.get("language"))
        if config.spread:
            self._monitors["spread"] = SpreadMonitor(config.spread, states.get("spread"), min_spread=min_spread)
        if config.blanked and config.blanked.share:
            self._blanked = BlankedMonitor(config.blanked, seed=seed, state=states.get("blanked"))
            self._monitors["blanked"] = self._blanked
        if config.heldout:
            questions = choose_questions(heldout, tasks, config.heldout.questions)
            if writes:
                self._say_unasked(questions, tasks)
            self._heldout = HeldoutMonitor(
                config.heldout,
                questions,
                sampling,
                states.get("heldout"),
                thinking=thinking or {},
                budgets=budgets or {},
            )
            self._monitors["heldout"] = self._heldout
        self._asked: dict[str, Any] = {}
        self._log = MetricsLog(self._path, step=step) if writes and self._path.is_file() else None

    def ask(
        self,
        number: int,
        engine: Engine,
        groups: Sequence[RolloutGroup],
        rewards: Rewards,
        team: Team,
        *,
        same_draws: bool = True,
    ) -> None:
        """Ask again what is due, before update ``number``, with the parameters that sampled its groups.

        ``same_draws``: whether ``engine`` has sampled the groups, so that an equal seed draws equal numbers.
        """
        self._asked = {}
        if self._blanked:
            self._asked |= self._blanked.ask(number, engine, groups, rewards, team, same_draws=same_draws)
        if self._heldout:
            self._asked |= self._heldout.ask(number, engine, rewards, team)

    def look(self, number: int, groups: Sequence[RolloutGroup], figures: Mapping[str, float]) -> dict[str, Any]:
        """Show all monitors an update, and say what they find.

        Returns:
            For the line of metrics: what was asked, and under ``alerts`` what is wrong, where anything is.
        """
        update = Update(number, groups, figures)
        found = [alert for monitor in self._monitors.values() for alert in monitor.look(update)]
        fresh = [alert for alert in found if self._is_new(number, alert)]
        for alert in fresh:
            self._say(number, alert)
        alerts = [
            {
                **{"monitor": one.monitor, "kind": one.kind, "task": one.task, "message": one.message},
                **{"value": one.value, "limit": one.limit},
            }
            for one in fresh
        ]
        return {**self._asked, **({"alerts": alerts} if alerts else {})}

    def _say_unasked(self, questions: Sequence[Sample], tasks: Sequence[str]) -> None:
        """Warn of tasks that the held-out monitor cannot watch."""
        if missing := sorted(set(tasks) - {sample.task for sample in questions}):
            LOG.warning(
                "%s: the held-out monitor asks nothing about %s: there is no held-out sample of it with gold, or more "
                "tasks (%d) than questions (%d); add what is missing, or leave rl.monitors.heldout out",
                self._name,
                ", ".join(missing),
                len(tasks),
                len(questions),
            )

    def _is_new(self, number: int, alert: Alert) -> bool:
        key = f"{alert.monitor} {alert.task}" + (f" {alert.kind}" if alert.kind else "")
        if key in self._given and number - self._given[key] < self.config.again:
            return False
        self._given[key] = number
        return True

    def _say(self, number: int, alert: Alert) -> None:
        about = f", {alert.task}" if alert.task else ""
        LOG.warning("%s, update %d%s: %s (%s)", self._name, number, about, alert.message, alert.monitor)
        if self._log is None:  # a step without alerts has no such file
            self._log = MetricsLog(self._path, step=number)
        self._log.write(
            step=number,
            monitor=alert.monitor,
            kind=alert.kind,
            task=alert.task,
            message=alert.message,
            value=alert.value,
            limit=alert.limit,
            groups=[rollout_record(number, group) for group in alert.groups[: self.config.examples]],
        )

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._log:
            self._log.close()

    def state_dict(self) -> dict[str, Any]:
        """What later judgements depend on, as JSON."""
        monitors = {name: monitor.state_dict() for name, monitor in self._monitors.items()}
        return {"given": dict(self._given), "monitors": monitors}
