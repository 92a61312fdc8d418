"""A reward model's recipe that runs in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def recipe(start: Path | str, **changes: Any) -> dict[str, Any]:
    """Two sources of the world, ties among them, a few steps from a tiny checkpoint."""
    return {
        "name": "reward-micro",
        "purpose": "See that every step works.",
        "seed": 5,
        "start": str(start),
        "pairs": {
            "world": {
                "world": {"chinese_share": 0},
                "ties": 0.3,
                "longer_wrong": 0.3,
                "train": {"world/counting": 8, "world/attributes": 4},
                "calibration": {"world/counting": 6},
                "heldout": {"world/counting": 6, "world/attributes": 4},
            }
        },
        "stage": {
            "name": "reward",
            "train": ["projector", "language", "reward"],
            "learning_rate": {"projector": 1e-3, "language": 1e-3, "reward": 2e-3},
            "mixture": {"world/counting": 2, "world/attributes": 1},
            "steps": 4,
            "length": 512,
            "packs": 2,
            "save_seconds": 1e-6,
            "optimizer": {"name": "muon"},
        },
        **changes,
    }
