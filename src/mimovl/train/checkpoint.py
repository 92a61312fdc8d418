"""Resume points and finished steps: what lets a killed training go on exactly where it stood.

    save_training      resume/resume.pt: parameters, optimizer, counters, random state; atomic
    resume_training    goes back to it
    finish_step        the checkpoint, then done.json, then the resume point goes
    drop_points        what a kill between the last two has left

The new file is complete on disk before the old one goes, so a kill at any moment leaves one that is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mimovl.errors import CheckpointError
from mimovl.model import VisionLanguageModel, save_checkpoint
from mimovl.team import ALONE, Team
from mimovl.train.disk import free_bytes, refusal, what_to_do
from mimovl.train.optimizer import Optimizer

__all__ = [
    "drop_points",
    "finish_step",
    "is_finished",
    "resume_training",
    "save_training",
    "write_finished",
]

RESUME_FILE = "resume/resume.pt"
DONE_FILE = "done.json"


def save_training(out: Path, modules: Mapping[str, nn.Module], optimizer: Optimizer, counters: dict[str, Any]) -> None:
    """Replace the step's resume point.

    Args:
        out: the step's folder.
        modules: whatever holds parameters, by name.
        optimizer: of those parameters.
        counters: plain numbers, lists and tensors that say how far the step is.

    Raises:
        CheckpointError: the disk is full or refuses; an earlier point stays.
    """
    path = out / RESUME_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "optimizer": optimizer.state_dict(),
        "counters": counters,
        "random": torch.get_rng_state(),
    }
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch's word for a full disk
        free = free_bytes(path)  # with the unfinished file in the way
        partial.unlink(missing_ok=True)
        reason = str(refusal(error)).splitlines()[0][:120]
        raise CheckpointError(
            f"{path}: could not be saved ({reason}), {free:,} bytes are free; what was saved before is whole: "
            f"{what_to_do(reason)}"
        ) from None
    partial.replace(path)


def resume_training(out: Path, modules: Mapping[str, nn.Module], optimizer: Optimizer) -> dict[str, Any] | None:
    """Go back to the step's resume point; None if it has none.

    Raises:
        CheckpointError: it is there but cannot be read, or is of another model.
    """
    path = out / RESUME_FILE
    if not path.is_file():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        counters: dict[str, Any] = state["counters"]
    except Exception as error:  # torch raises many kinds
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[:2])[:200] or type(error).__name__
        raise CheckpointError(f"{path}: cannot go on from it ({reason}); delete it to start this step again") from None
    return counters


def finish_step(
    out: Path,
    model: VisionLanguageModel,
    side_files: Mapping[str, bytes],
    done: dict[str, Any],
    *,
    team: Team = ALONE,
) -> None:
    """Write the step's checkpoint, then the word that it is done, and drop the resume point; all wait for that."""
    if team.leads:
        write_finished(out, model, side_files, done)
    team.wait()


def write_finished(
    out: Path,
    model: VisionLanguageModel,
    side_files: Mapping[str, bytes],
    done: dict[str, Any],
    *,
    whole: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> None:
    """What the leader does to finish a step; ``whole`` puts divided parameters together."""
    for abandoned in out.glob(".model.partial-*"):  # a kill while a checkpoint was being written
        shutil.rmtree(abandoned, ignore_errors=True)
    model.side_files = dict(side_files)
    save_checkpoint(model, out / "model", whole=whole)
    partial = out / f".{DONE_FILE}.partial"
    partial.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    partial.replace(out / DONE_FILE)
    (out / RESUME_FILE).unlink(missing_ok=True)


def drop_points(out: Path) -> None:
    """Remove a finished step's resume points."""
    shutil.rmtree(out / "resume", ignore_errors=True)


def is_finished(out: Path) -> bool:
    """Whether a step has nothing left to do."""
    return (out / DONE_FILE).is_file()
