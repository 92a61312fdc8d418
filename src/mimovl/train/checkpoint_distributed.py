"""Resume points of many processes: torch's distributed checkpoints, written behind the training's back.

    out/resume/step-0000120/        a whole point: every process's part, counters.json, and digests.json of all of them
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
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.checkpoint.storage import WriteResult

from mimovl.atomic import sync
from mimovl.errors import CheckpointError
from mimovl.model import VisionLanguageModel
from mimovl.team import Team
from mimovl.train.checkpoint import drop_points
from mimovl.train.disk import free_bytes, refusal, what_to_do
from mimovl.train.low_precision import local
from mimovl.train.optimizer import Optimizer

__all__ = ["DistributedCheckpoints"]

FOLDER = "resume"
COUNTERS = "counters.json"
DIGESTS = "digests.json"
METADATA = ".metadata"
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
        writer = _Writer(partial, single_file_per_rank=True, sync_files=True)
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
        problem, free = "", 0
        try:
            yield
        except (Exception, CheckpointException) as error:  # the latter is no Exception
            problem, free = _reason(error), free_bytes(partial)
        problems = [one for one in self.team.gather((problem, free)) if one[0]]
        if not problems:
            return
        if self.team.leads:
            shutil.rmtree(partial, ignore_errors=True)
        problem, free = problems[0]
        whole = _points(out)
        raise CheckpointError(
            f"{partial.parent / partial.name[1:].removesuffix('.partial')}: could not be saved ({problem}); it takes "
            f"{size:,} bytes, beside what was written of them {free:,} are free; "
            + (f"{whole[-1].name} is whole: " if whole else "")
            + what_to_do(problem)
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
        newest, earlier = points[-1], f"; {points[-2].name} before it may be whole" if len(points) > 1 else ""
        state = _state(model, optimizer)
        counters: dict[str, Any] = {}
        checks: list[Callable[[], object]] = [  # one after the other: torch's reading is done by all or none
            lambda: counters.update(_checked(newest, state, self.team)),
            lambda: load(state, storage_reader=FileSystemReader(newest), process_group=self._group),
        ]
        for check in checks:
            problem = ""
            try:
                check()
            except (Exception, CheckpointException) as error:  # torch raises many kinds
                problem = _reason(error)
            if problems := [one for one in self.team.gather(problem) if one]:
                raise CheckpointError(
                    f"{newest}: cannot go on from it ({problems[0]}); delete it to start again without it{earlier}"
                )
        torch.set_rng_state(state["random"])
        return counters

    def drop(self, out: Path) -> None:
        """Remove all points: the stage is finished."""
        if self.team.leads:
            drop_points(out)


@dataclass(frozen=True)
class _Written(WriteResult):
    """A tensor that was written, and what its file came to."""

    digest: str


class _Writer(FileSystemWriter):
    """Torch's, which also keeps size and checksum of every file: each process reads back its own, one lists all."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> torch.futures.Future[list[WriteResult]]:
        """Write this process's part."""
        try:
            results = super().write_data(plan, planner).wait()
        except RuntimeError as error:
            raise refusal(error) from None
        names = {one.storage_data.relative_path for one in results}
        digests = {name: _digest(Path(self.path, name)) for name in names}
        written: torch.futures.Future[list[WriteResult]] = torch.futures.Future()
        written.set_result(
            [
                _Written(one.index, one.size_in_bytes, one.storage_data, digests[one.storage_data.relative_path])
                for one in results
            ]
        )
        return written

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """List what all have written."""
        super().finish(metadata, results)
        listed = [one for part in results for one in part]
        digests = {one.storage_data.relative_path: one.digest for one in listed if isinstance(one, _Written)}
        digests |= {name: _digest(Path(self.path, name)) for name in (COUNTERS, METADATA)}
        _write(Path(self.path, DIGESTS), json.dumps(digests).encode())


def _digest(path: Path) -> str:
    """Size and checksum of a file: enough to notice damage, and faster than any disk."""
    size = checksum = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 22):
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
    return f"{size} bytes of checksum {checksum:08x}"


def _checked(point: Path, state: dict[str, Any], team: Team) -> dict[str, Any]:
    """A point's counters, once its files are found to be whole and of this training; files are shared out to be read.

    Raises:
        CheckpointError: they are not; says which and how.
    """
    if (point / DIGESTS).is_file():  # an older mimovl wrote none
        digests = _json(point / DIGESTS)
        for name in team.share(sorted(digests)):
            if not (point / name).is_file():
                raise CheckpointError(f"{name} is missing")
            if (found := _digest(point / name)) != digests[name]:
                raise CheckpointError(f"{name} is damaged: it has {found}, was written as {digests[name]}")
    counters = _json(point / COUNTERS)
    step = counters.get("step")
    if point.name != f"step-{str(step).zfill(7)}":
        raise CheckpointError(f"{COUNTERS} says step {step}, the folder {point.name}")
    wanted = {"random", *(f"{part}.{name}" for part in ("model", "optimizer") for name in state[part])}
    held = FileSystemReader(point).read_metadata().state_dict_metadata.keys()
    for names, what in ((wanted - held, "lacks"), (held - wanted, "has, beside what is trained here,")):
        if names:
            raise CheckpointError(
                f"it {what} {len(names)} tensors, the first is {min(names)}: the model, or what is trained, is another"
            )
    return counters


def _json(path: Path) -> dict[str, Any]:
    """An object in a file of a point."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path.name}: {error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path.name} holds no object")
    return found


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
    return sorted(path for path in (out / FOLDER).glob("step-*") if (path / METADATA).is_file())


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
