"""Resume points of many processes: torch's distributed checkpoints, written behind the training's back.

    out/resume/step-0000120/        a whole point: every process's part, and counters.json
    out/resume/.step-0000140.partial/     being written; its name changes when all of it is on the disk

Parameters and states are copied aside in a moment and written by a thread while the training goes on. The last few
points are kept. A point may be read by another number of processes than wrote it; by as many, a training on the CPU
goes on with the very losses it would have had.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from mimovl.atomic import sync
from mimovl.errors import CheckpointError
from mimovl.model import VisionLanguageModel
from mimovl.team import Team
from mimovl.train.low_precision import local
from mimovl.train.optimizer import Optimizer

__all__ = ["DistributedCheckpoints"]

FOLDER = "resume"
COUNTERS = "counters.json"
KEPT = 2
"""Points that are kept, unless a stage says otherwise."""


class DistributedCheckpoints:
    """Resume points of a stage.

    Args:
        team: all processes call every method at the same time; they are joined in a process group, even one alone.
        keep: whole points that are kept.
        ahead: write behind the training's back.
    """

    def __init__(self, team: Team, *, keep: int = KEPT, ahead: bool = True) -> None:
        self.team = team
        self.keep = keep
        self.ahead = ahead
        self._pending: tuple[Future[Any], Path, Path, int] | None = None
        self._naming = threading.Lock()
        # Of its own: the thread's words must not mix with those of the training.
        self._group = dist.new_group(backend="gloo")

    # ------------------------------------------------------------ writing

    def save(self, out: Path, model: VisionLanguageModel, optimizer: Optimizer, counters: dict[str, Any]) -> None:
        """Begin to write a point, once the one before is on the disk.

        Raises:
            CheckpointError: this or the one before could not be written; says how much room there is and what is whole.
        """
        self.settle(out)
        target = out / FOLDER / f"step-{counters['step']:07d}"
        partial = target.with_name(f".{target.name}.partial")
        state = _state(model, optimizer)
        size = sum(self.team.gather(_own_bytes(state, self.team)))
        with self._together(out, partial, size):
            if self.team.leads:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                _write(partial / COUNTERS, json.dumps(counters).encode())
        writer = FileSystemWriter(partial, single_file_per_rank=True, sync_files=True)
        written = async_save(state, storage_writer=writer, process_group=self._group)
        assert isinstance(written, Future), "torch says when it is written"
        self._pending = written, partial, target, size
        if self.team.leads:  # whose part of the writing ends last
            written.add_done_callback(lambda done: None if done.exception() else self._name(out, partial, target))
        if not self.ahead:
            self.settle(out)

    def settle(self, out: Path) -> None:
        """Wait for the point that is being written, give it its name, and remove the oldest.

        Raises:
            CheckpointError: it could not be written.
        """
        if self._pending is None:
            return
        (written, partial, target, size), self._pending = self._pending, None
        with self._together(out, partial, size):
            written.result()
            if self.team.leads:
                self._name(out, partial, target)

    def _name(self, out: Path, partial: Path, target: Path) -> None:
        """Give a written point its name, as soon as it is there or when it is waited for, and remove the oldest."""
        with self._naming:
            if not partial.is_dir():
                return
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
            sync(target.parent)
            for old in _points(out)[: -self.keep]:
                shutil.rmtree(old)

    @contextmanager
    def _together(self, out: Path, partial: Path, size: int) -> Iterator[None]:
        """Where one process fails, all do, and the unfinished point is removed: it takes the room others need."""
        problem = ""
        try:
            yield
        except (Exception, CheckpointException) as error:  # the latter is no Exception
            problem = _reason(error)
        problems = [one for one in self.team.gather(problem) if one]
        if not problems:
            return
        if self.team.leads:
            shutil.rmtree(partial, ignore_errors=True)
        free = shutil.disk_usage(_there(out)).free
        whole = _points(out)
        raise CheckpointError(
            f"{partial.parent / partial.name[1:].removesuffix('.partial')}: could not be saved ({problems[0]}); it "
            f"takes {size:,} bytes, {free:,} are free; "
            + (f"{whole[-1].name} is whole: " if whole else "")
            + "make room and start the same command again"
        )

    # ------------------------------------------------------------ reading

    def resume(self, out: Path, model: VisionLanguageModel, optimizer: Optimizer) -> dict[str, Any] | None:
        """Go back to the newest whole point; None if there is none.

        Raises:
            CheckpointError: it cannot be read, or is of another model.
        """
        if self.team.leads:
            for abandoned in (out / FOLDER).glob(".step-*.partial"):
                shutil.rmtree(abandoned, ignore_errors=True)
        points = self.team.broadcast(_points(out))
        if not points:
            return None
        newest = points[-1]
        state = _state(model, optimizer)
        problem, counters = "", {}
        try:
            counters = json.loads((newest / COUNTERS).read_text(encoding="utf-8"))
            load(state, storage_reader=FileSystemReader(newest), process_group=self._group)
        except (Exception, CheckpointException) as error:  # torch raises many kinds
            problem = _reason(error)
        if problems := [one for one in self.team.gather(problem) if one]:
            earlier = f"; {points[-2].name} before it may be whole" if len(points) > 1 else ""
            raise CheckpointError(
                f"{newest}: cannot go on from it ({problems[0]}); delete it to start again without it{earlier}"
            )
        torch.set_rng_state(state["random"])
        return dict(counters)

    def drop(self, out: Path) -> None:
        """Remove all points: the stage is finished."""
        if self.team.leads:
            shutil.rmtree(out / FOLDER, ignore_errors=True)


def _state(model: VisionLanguageModel, optimizer: Optimizer) -> dict[str, Any]:
    """All that goes on from a point, by name; the very tensors, which reading fills."""
    return {
        "model": dict(model.named_parameters()),
        "optimizer": optimizer.tensors(),
        "random": torch.get_rng_state(),
    }


def _own_bytes(state: dict[str, Any], team: Team) -> int:
    """Bytes of this process's part; what is the same everywhere is the leader's."""
    tensors = [*state["model"].values(), *state["optimizer"].values()]
    return sum(local(tensor).nbytes for tensor in tensors if team.leads or local(tensor) is not tensor)


def _points(out: Path) -> list[Path]:
    """Whole points, oldest first."""
    return sorted(path for path in (out / FOLDER).glob("step-*") if (path / ".metadata").is_file())


def _there(path: Path) -> Path:
    """The nearest folder that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def _reason(error: BaseException) -> str:
    """What went wrong, in the words of the first process it went wrong in."""
    failures = getattr(error, "failures", None)
    if isinstance(failures, dict) and failures:
        first = next(iter(failures.values()))
        error = first[0] if isinstance(first, tuple) else first
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:200] or type(error).__name__


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
