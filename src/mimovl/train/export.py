"""A finished stage whose parameters are divided, as a Hugging Face folder: put together tensor by tensor.

All processes pass through the same tensors in the same order; the leader writes, reads back and compares
(``model.save_checkpoint``). If it cannot go on, it still takes part until the last tensor, so that nobody waits for
ever, and then all raise the same error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from mimovl.errors import CheckpointError
from mimovl.model import VisionLanguageModel
from mimovl.team import Team
from mimovl.train.checkpoint import write_finished

__all__ = ["finish_sharded"]


def finish_sharded(
    out: Path, model: VisionLanguageModel, side_files: Mapping[str, bytes], done: dict[str, Any], *, team: Team
) -> None:
    """Write the stage's checkpoint, then the word that it is done; all wait for that.

    Args:
        out: the stage's folder.
        model: divided among the team.
        side_files: tokenizer, processor and template.
        done: what ``done.json`` will say.
        team: every process of it calls this.

    Raises:
        CheckpointError: it could not be written; in every process.
    """
    tensors = _whole_tensors(model)
    problem = ""
    if team.leads:
        try:
            write_finished(out, model, side_files, done, whole=lambda _: next(tensors))
        except (CheckpointError, OSError) as error:
            problem = str(error)
    for _ in tensors:
        pass
    if problem := team.broadcast(problem):
        raise CheckpointError(problem)


def _whole_tensors(model: VisionLanguageModel) -> Iterator[torch.Tensor]:
    """Every parameter in the order they are written; each is gathered from all processes when it is asked for."""
    for parameter in model.parameters():
        tensor = parameter.detach()
        yield tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
