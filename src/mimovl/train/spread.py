"""What a stage's loop asks of the processes it is spread over; the trainer is the same for all ways of spreading.

TeamSpread       every process holds the whole model in float32 and takes its share of the packs (team.py)
ShardedSpread    parameters divided or repeated, mixed precision, tokens shared: fsdp.py

batches → loss → backward, pack by pack;  gradients, once;  merge puts the figures of all packs in their order
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import nn

from mimovl.model import VisionLanguageModel
from mimovl.team import ALONE, Team
from mimovl.train.checkpoint import finish_step, resume_training, save_training
from mimovl.train.config import StageConfig
from mimovl.train.loss import Objective, SummedLoss
from mimovl.train.optimizer import Optimizer
from mimovl.train.transfer import join_packs, to_device
from mimovl.types import PackedBatch

__all__ = ["Checkpoints", "ResumePoint", "Spread", "TeamSpread", "Wish", "computing_in", "decide"]

T = TypeVar("T")
Wish = Literal["go on", "save", "stop"]


class Checkpoints(Protocol):
    """Where a stage's resume points are kept."""

    def save(self, out: Path, model: VisionLanguageModel, optimizer: Optimizer, counters: dict[str, Any]) -> None:
        """Keep how far the stage is; every process calls it."""
        ...

    def resume(self, out: Path, model: VisionLanguageModel, optimizer: Optimizer) -> dict[str, Any] | None:
        """Go back to the newest point and return its counters; None if there is none."""
        ...

    def settle(self, out: Path) -> None:
        """Wait until what is being written is on the disk."""
        ...

    def drop(self, out: Path) -> None:
        """Remove them all: the stage is finished."""
        ...


class ResumePoint:
    """One file that the leader replaces (``checkpoint.py``)."""

    def __init__(self, team: Team) -> None:
        self.team = team

    def save(self, out: Path, model: VisionLanguageModel, optimizer: Optimizer, counters: dict[str, Any]) -> None:
        """Replace the file."""
        if self.team.leads:
            save_training(out, {"model": model}, optimizer, counters)

    def resume(self, out: Path, model: VisionLanguageModel, optimizer: Optimizer) -> dict[str, Any] | None:
        """Read it, in every process."""
        return resume_training(out, {"model": model}, optimizer)

    def settle(self, out: Path) -> None:
        """It is on the disk when it is written."""

    def drop(self, out: Path) -> None:
        """:func:`finish_step` removes it."""


class Spread(Protocol):
    """How a stage is spread over processes, as its loop sees it."""

    team: Team
    checkpoints: Checkpoints
    dtype: torch.dtype | None
    """In which matrices are multiplied; None for that of the parameters."""

    def prepare(self, model: VisionLanguageModel, stage: StageConfig) -> VisionLanguageModel:
        """The model as this process trains it; what is trained has been set."""
        ...

    def optimizer(self, modules: Mapping[str, nn.Module], stage: StageConfig) -> Optimizer:
        """An optimizer of the trained parts."""
        ...

    def lanes(self, packs: int) -> list[int]:
        """Numbers of this process's packs in a step."""
        ...

    def merge(self, shares: list[T], add: Callable[[T, T], T] | None = None) -> list[T]:
        """What every process has of its packs, in the order of the packs, in every process.

        Args:
            shares: one entry for each pack, or for each batch.
            add: adds two parts of a pack, where processes share its tokens; without it they hold the same.
        """
        ...

    def batches(self, packs: Sequence[PackedBatch]) -> Iterator[tuple[PackedBatch, bool]]:
        """The packs as they are computed, on the model's device; True with the last."""
        ...

    def loss(self, model: VisionLanguageModel, batch: PackedBatch, objective: Objective) -> SummedLoss:
        """Of this process's part of a batch."""
        ...

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add the gradients."""
        ...

    def gradients(self, optimizer: Optimizer, *, seen: bool) -> None:
        """Finish the step's gradients; ``seen`` tells whether any of its packs has a picture."""
        ...

    def wish(self, *, due: bool) -> Wish:
        """What happens now, the same in every process; ``due`` is the leader's wish to save."""
        ...

    def finish(
        self, out: Path, model: VisionLanguageModel, side_files: Mapping[str, bytes], done: dict[str, Any]
    ) -> None:
        """Write the checkpoint and the word that the stage is done."""
        ...


class TeamSpread:
    """Every process holds the whole model; a team of one is the ordinary case.

    Args:
        team: shares the packs of a step, by number.
        checkpoints: where resume points go; unset for one file.
        stop_asked: whether this process was asked to end.
        device: where to compute; unset, where the model is.
        arrange: done to the model before it trains: blocks that are compiled or forget their activations.
        dtype: of matrix products and attention, where it is narrower than the parameters (autocast).
        micro_packs: packs computed at once.
    """

    def __init__(
        self,
        team: Team = ALONE,
        checkpoints: Checkpoints | None = None,
        *,
        stop_asked: Callable[[], bool] | None = None,
        device: torch.device | None = None,
        arrange: Callable[[VisionLanguageModel], None] | None = None,
        dtype: torch.dtype | None = None,
        micro_packs: int = 1,
    ) -> None:
        self.team = team
        self._micro_packs = micro_packs
        self.dtype = dtype
        self.checkpoints: Checkpoints = checkpoints or ResumePoint(team)
        self._stop_asked = stop_asked
        self._device = device
        self._arrange = arrange

    def prepare(self, model: VisionLanguageModel, stage: StageConfig) -> VisionLanguageModel:
        """The model itself."""
        self._device = self._device or model.device
        model.to(self._device)
        if self._arrange:
            self._arrange(model)
        return model

    def optimizer(self, modules: Mapping[str, nn.Module], stage: StageConfig) -> Optimizer:
        """The plain one; the team shares its work."""
        rates = {str(part): rate for part, rate in stage.learning_rate.items()}
        return Optimizer(modules, rates, stage.optimizer, team=self.team)

    def lanes(self, packs: int) -> list[int]:
        """Every so-many-th, from this process's number on."""
        return self.team.share(range(packs))

    def merge(self, shares: list[T], add: Callable[[T, T], T] | None = None) -> list[T]:
        """Of all members."""
        return self.team.merge(shares)

    def batches(self, packs: Sequence[PackedBatch]) -> Iterator[tuple[PackedBatch, bool]]:
        """``micro_packs`` at a time."""
        for first in range(0, len(packs), self._micro_packs):
            batch = join_packs(packs[first : first + self._micro_packs])
            last = first + self._micro_packs >= len(packs)
            yield to_device(batch, self._device) if self._device else batch, last

    def loss(self, model: VisionLanguageModel, batch: PackedBatch, objective: Objective) -> SummedLoss:
        """Of the whole batch."""
        with computing_in(self.dtype, batch.tokens.device):
            return objective(model, batch)

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """If anything learns: text alone teaches a frozen language model nothing."""
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]

    def gradients(self, optimizer: Optimizer, *, seen: bool) -> None:
        """Their sum over the team."""
        optimizer.total()

    def wish(self, *, due: bool) -> Wish:
        """The leader's wish, but for a request to end, which anybody may pass on."""
        if self._stop_asked is None:
            return "save" if self.team.broadcast(due) else "go on"
        return decide(self.team, due=due, stop=self._stop_asked())

    def finish(
        self, out: Path, model: VisionLanguageModel, side_files: Mapping[str, bytes], done: dict[str, Any]
    ) -> None:
        """By the leader."""
        self.checkpoints.settle(out)
        finish_step(out, model, side_files, done, team=self.team)
        self.checkpoints.drop(out)


def computing_in(dtype: torch.dtype | None, device: torch.device) -> AbstractContextManager[None]:
    """Matrix products and attention in a narrower type than the parameters'; None and float32 for the parameters'."""
    return nullcontext() if dtype in (None, torch.float32) else torch.autocast(device.type, dtype)


def decide(team: Team, *, due: bool, stop: bool) -> Wish:
    """To end if any process was asked to, to save if the leader finds it is time."""
    wishes = team.gather((due, stop))
    if any(asked for _, asked in wishes):
        return "stop"
    return "save" if wishes[0][0] else "go on"
