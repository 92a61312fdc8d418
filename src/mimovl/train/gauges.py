"""What is read off every step of a stage besides its loss: speed, utilisation, gradient norms, and whether it is sound.

The trainer asks twice a step: what a pack holds, before the update, and how fast it all was, after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import torch

from mimovl.model import VisionLanguageModel
from mimovl.plan import Load, count_flops
from mimovl.train.config import StageConfig
from mimovl.train.loss import LanguageModelLoss, SummedLoss
from mimovl.train.peak import Peak, machine_peak
from mimovl.train.spikes import SampleLoss, SpikeConfig, SpikeWatch
from mimovl.types import PackedBatch

__all__ = ["Gauges", "total_norm"]


class Gauges:
    """The instruments of one stage.

    Args:
        model: gives shapes, device and dtype.
        stage: what is trained, and the policy about spikes.
        out: the stage's folder.
        processes: that share its packs, each on a device of its own.
        leads: whether this process writes files and needs figures.
        peak_tflops: of one process's device, if it is known.
        state: of the spike watch, from the resume point.
        dtype: in which matrices are multiplied; unset for that of the parameters.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        stage: StageConfig,
        out: Path,
        *,
        processes: int,
        leads: bool,
        peak_tflops: float | None,
        state: Mapping[str, Any],
        dtype: torch.dtype | None = None,
    ) -> None:
        self.spikes = SpikeWatch(stage.spikes or SpikeConfig(), out, leads, **state)
        self.peak: Peak | None = machine_peak(model.device, dtype or model.dtype, peak_tflops) if leads else None
        self._config = model.config
        self._trained = stage.train
        self._processes = processes

    def open(self) -> AbstractContextManager[Any]:
        """Closes the spike watch's file."""
        return closing(self.spikes)

    def pack(self, batch: PackedBatch, loss: SummedLoss) -> dict[str, Any]:
        """A batch's FLOPs of forward and backward, and the mean loss of each of its samples, as far as it is known."""
        parts = count_flops(self._config, Load.of_batch(batch, self._config), self._trained)
        by_sample = loss.by_sample if isinstance(loss, LanguageModelLoss) else ()
        means = [summed / count if count else None for summed, count in by_sample] or [None] * len(batch.sources)
        labels = [count for _, count in by_sample] or [0] * len(batch.sources)
        return {
            "flops": sum(part.model for part in parts.values()),
            "samples": list(map(SampleLoss, batch.sample_ids, batch.sources, means, labels)),
        }

    def accepts(self, step: int, loss: float, norms: Mapping[str, float], packs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the optimizer should make this step's update (see :class:`SpikeWatch`).

        Raises:
            TrainingError: the policy says stop.
        """
        samples = [sample for pack in packs for sample in pack["samples"]]
        return self.spikes.accepts(step, loss, total_norm(norms), samples, grad_norm_by_part=dict(norms))

    def speeds(self, tokens: int, images: int, flops: float, seconds: float) -> dict[str, Any]:
        """Figures of a step for its line of metrics; utilisation of the whole step, waiting for data included."""
        assert self.peak, "only the process that writes needs them"
        return {
            "tokens_per_second": tokens / seconds,
            "images_per_second": images / seconds,
            "mfu": self.peak.utilisation(flops, seconds, self._processes),
            "peak": self.peak.as_dict(),
        }


def total_norm(norms: Mapping[str, float]) -> float:
    """Norm of the whole gradient from those of its parts."""
    # hypot of infinity and NaN is infinity; a NaN must not hide.
    return math.nan if any(map(math.isnan, norms.values())) else math.hypot(*norms.values())
