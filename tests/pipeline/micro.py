"""A whole recipe that runs in seconds, from a tiny checkpoint."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import yaml

from mimovl.pipeline import progress


def recipe(start: Path | str, **changes: Any) -> dict[str, Any]:
    """Two stages, reinforcement learning, an evaluation after each."""
    everything = {"vision": 1e-3, "projector": 1e-3, "language": 1e-4}
    return {
        "name": "micro",
        "purpose": "See that every step works.",
        "seed": 3,
        "start": str(start),
        "data": {
            "world": {"clip_seconds": [4, 6], "clip_event_seconds": [1, 3]},
            "train": {"world/caption": 6, "world/counting": 10, "world/clip": 4},
            "long": {"items": {"world/counting": 2}, "join": 3},
            "heldout": {"world/counting": 4, "world/arithmetic": 2},
            "prompts": {"world/counting": 6, "world/attributes": 3},
        },
        "stages": [
            {
                "name": "projector",
                "train": ["projector"],
                "learning_rate": {"projector": 1e-3},
                "mixture": {"world/caption": 1},
                "steps": 2,
                "length": 320,
                "save_seconds": 1e-6,
            },
            {
                "name": "general",
                "train": list(everything),
                "learning_rate": everything,
                "mixture": {"world/counting": 2, "world/clip": 1, "long/counting": 1},
                "steps": 4,
                "length": 512,
                "packs": 2,
                "save_seconds": 1e-6,
                "optimizer": {"name": "muon"},
            },
        ],
        "rl": {
            "tasks": {"counting": 3, "attributes": 1},
            "steps": 3,
            "groups": 4,
            "samples": 6,
            "max_tokens": 10,
            "thinking": {"counting": 0, "attributes": 0},
            "train": ["language"],
            "learning_rate": {"language": 1e-3},
            "dynamic_sampling": False,
            "save_seconds": 1e-6,
        },
        "evaluate": {"questions": {"projector": 1, "general": 1}, "modes": ["no_think"]},
        **changes,
    }


def write(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSONL file."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def ask_to_end(monkeypatch: Any, title: str, step: int) -> None:
    """Send this process SIGTERM once a step of a run has come so far."""
    update = progress.StepProgress.update

    def asks(self: progress.StepProgress, done: float, total: float, text: str) -> None:
        update(self, done, total, text)
        if self.title == title and done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(progress.StepProgress, "update", asks)


CLOCK = {
    *("tokens_per_second", "images_per_second", "mfu", "peak", "data_wait", "memory_mb"),
    *(
        "seconds",
        "seconds_generate",
        "seconds_update",
        "seconds_monitors",
        "groups_started",
        "idle",
        "empty_slots",
        "waste",
    ),
}
"""Figures that no two runs share."""


def figures(out: Path) -> dict[str, list[dict[str, Any]]]:
    """All that a run measured, but for what depends on the clock, by file."""
    files = sorted([*out.glob("*/metrics.jsonl"), *out.glob("*/rollouts.jsonl"), *out.glob("evaluate/*/answers.jsonl")])
    return {
        path.relative_to(out).as_posix(): [
            {name: value for name, value in line.items() if name not in CLOCK} for line in lines(path)
        ]
        for path in files
    }
