"""What to do about a step whose loss or gradient is no number, or far above those before it.

    watch = SpikeWatch(config, out, **state)
    if watch.accepts(step, loss, norm, samples):  optimizer.step()      else:  optimizer.clear()

Far above: more than ``deviations`` robust standard deviations over the median of the last ``window`` steps (OLMo 2,
§3.1, skips at six plain ones of 128 steps; median and median absolute deviation are ours, so that a spike does not
hide the next one). Every such step is a line of ``spikes.jsonl`` with the ids of its samples, the worst first.
What is decided is the same in every process of a team, and after a resumption.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mimovl.errors import TrainingError
from mimovl.recipe_model import RecipeModel
from mimovl.train.metrics import MetricsLog

__all__ = ["SPIKES_FILE", "SampleLoss", "SpikeConfig", "SpikeWatch"]

SPIKES_FILE = "spikes.jsonl"
NAMED = 5
"""Samples that a message names; the file has all."""
FLAT = 0.01
"""Least standard deviation, as a share of the median: losses that hardly move are no reason to see spikes in noise."""

Policy = Literal["warn", "skip", "stop"]


class SpikeConfig(RecipeModel):
    """What to do about a step whose loss or gradient norm is not finite, or far above those before it."""

    not_finite: Policy = "stop"
    """NaN or infinity: warn (and update all the same), skip (change nothing, go on) or stop."""
    far_above: Policy = "warn"
    """A finite spike: warn (and update all the same), skip (change nothing, go on) or stop."""
    deviations: float = Field(default=6.0, gt=0)
    """Robust standard deviations above the median from which on it is a spike (OLMo 2: 6, not robust)."""
    window: int = Field(default=128, ge=8)
    """Steps that are compared with (OLMo 2: 128); nothing is called a spike before a quarter of them."""
    patience: int = Field(default=10, ge=1)
    """Skipped steps in a row after which the stage stops: then it is not the data."""


@dataclass(frozen=True)
class SampleLoss:
    """A sample of the step."""

    id: str
    source: str
    loss: float | None
    """Mean over its labelled tokens; None where it has none, or nobody knows."""
    labels: int = 0
    """How many those are."""

    def __add__(self, other: SampleLoss) -> SampleLoss:
        """The sample, of which this and ``other`` are two parts of its tokens."""
        labels = self.labels + other.labels
        summed = sum(one.loss * one.labels for one in (self, other) if one.loss is not None)
        return SampleLoss(self.id, self.source, summed / labels if labels else None, labels)


@dataclass
class SpikeWatch:
    """Judges every step of a stage before its update.

    Attributes:
        config: the policy.
        out: the stage's folder.
        writes: whether this process writes the file.
        losses: of the last steps.
        norms: gradient norms of the last steps.
        skipped: steps that changed nothing, so far.
        in_a_row: those of them since the last update.
    """

    config: SpikeConfig
    out: Path
    writes: bool = True
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    skipped: int = 0
    in_a_row: int = 0
    _log: MetricsLog | None = None

    def accepts(self, step: int, loss: float, norm: float, samples: Sequence[SampleLoss], **also: Any) -> bool:
        """Whether the optimizer should make this step's update.

        Args:
            step: its number, counted from 1.
            loss: of the step.
            norm: of the whole gradient, before clipping.
            samples: of all its packs.
            also: further figures for the file.

        Raises:
            TrainingError: the policy says stop, or skipped too often in a row; names step, figures and samples.
        """
        reason, policy = self._judge(loss, norm)
        if not reason:
            self.in_a_row = 0
            return True
        worst = sorted(samples, key=lambda sample: _height(sample.loss), reverse=True)
        stops = policy == "stop" or (policy == "skip" and self.in_a_row + 1 >= self.config.patience)
        self._write(step, reason, "stop" if stops else policy, loss, norm, worst, also)
        if stops:
            raise TrainingError(self._message(step, reason, policy, worst))
        if policy == "warn":
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        return False

    def _judge(self, loss: float, norm: float) -> tuple[str, Policy]:
        """What is wrong with a step, in words, or an empty string; and what to do then."""
        for name, value in (("loss", loss), ("gradient norm", norm)):
            if not math.isfinite(value):
                return f"{name} is {value}", self.config.not_finite
        reason = ""
        for name, value, before in (("loss", loss, self.losses), ("gradient norm", norm, self.norms)):
            # Judged before it joins them. It joins even when it is a spike: a lasting change is accepted in the end.
            reason = reason or self._far_above(name, value, before)
            before.append(value)
            del before[: -self.config.window]
        return reason, self.config.far_above

    def _far_above(self, name: str, value: float, before: Sequence[float]) -> str:
        if len(before) < self.config.window // 4:
            return ""
        middle = statistics.median(before)
        # 1.4826 makes it the standard deviation of a normal distribution.
        spread = max(1.4826 * statistics.median(abs(other - middle) for other in before), FLAT * abs(middle))
        if value <= middle + self.config.deviations * spread:
            return ""
        times = f"{(value - middle) / spread:.1f} deviations above" if spread else "above"
        return f"{name} {value:.4g} is {times} {middle:.4g}, the median of the last {len(before)} steps"

    def _write(
        self,
        step: int,
        reason: str,
        action: str,
        loss: float,
        norm: float,
        samples: Sequence[SampleLoss],
        also: Mapping[str, Any],
    ) -> None:
        if not self.writes:
            return
        if self._log is None:  # a stage without spikes has no such file
            self._log = MetricsLog(self.out / SPIKES_FILE, step=step - 1)
        listed = [{"id": sample.id, "source": sample.source, "loss": sample.loss} for sample in samples]
        self._log.write(step=step, reason=reason, action=action, loss=loss, grad_norm=norm, **also, samples=listed)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._log:
            self._log.close()

    def _message(self, step: int, reason: str, policy: Policy, samples: Sequence[SampleLoss]) -> str:
        named = ", ".join(sample.id for sample in samples[:NAMED])
        more = f" and {len(samples) - NAMED} more" if len(samples) > NAMED else ""
        often = f", and {self.in_a_row + 1} steps in a row were skipped" if policy == "skip" else ""
        cure = (
            "the parameters or the learning rate are at fault, not these samples: go back to an earlier checkpoint, or "
            "lower learning_rate"
            if policy == "skip"
            else "look at them, lower learning_rate, or set the stage's spikes policy to skip; nothing was changed by "
            "this step"
        )
        return (
            f"{self.out.name}, step {step}: {reason}{often}; its samples, worst first: {named}{more} "
            f"({self.out / SPIKES_FILE} lists all); {cure}"
        )

    def state_dict(self) -> dict[str, Any]:
        """What later judgements depend on."""
        return {
            "losses": list(self.losses),
            "norms": list(self.norms),
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
        }


def _height(loss: float | None) -> float:
    """For sorting: what is no number is above all, what has none below."""
    if loss is None:
        return -math.inf
    return loss if math.isfinite(loss) else math.inf
