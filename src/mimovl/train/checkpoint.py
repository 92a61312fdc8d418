"""Resume points: everything a killed training needs to go on exactly where it stood, written atomically.

A resume point is one file in ``resume/``; the new one is complete on disk before the old one goes.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import CheckpointError

__all__ = ["load_resume_point", "random_state", "restore_random_state", "save_resume_point"]

FILE = "resume.pt"


def random_state() -> dict[str, Any]:
    """States of the global random generators."""
    return {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}


def restore_random_state(state: dict[str, Any]) -> None:
    """Undo :func:`random_state`."""
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])


def save_resume_point(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's resume point; a kill at any moment leaves the old or the new one, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{FILE}.partial"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / FILE)


def load_resume_point(folder: Path) -> dict[str, Any] | None:
    """The folder's resume point, or None if there is none.

    Raises:
        CheckpointError: it is there but cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=False, map_location="cpu")
    except Exception as error:  # torch raises many kinds
        raise CheckpointError(f"{path}: cannot be read ({error}); delete it to start this step again") from None
    return state
