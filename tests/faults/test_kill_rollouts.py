"""Reinforcement learning with a rollout queue, killed for real (SIGKILL) in mid-step: it goes on and ends the same."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.rl.test_trainer import TIMES

TRAINS = """
import sys, time
from pathlib import Path
from mimovl.data import Processor
from mimovl.model import load_checkpoint
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, train_policy
from mimovl.types import Outcome, Verdict
from tests import tiny

def is_three(sample, text):
    time.sleep(0.02 * (len(text) % 4))
    right = text.endswith("3")
    return Verdict(float(right), Outcome.CORRECT if right else Outcome.WRONG)

start, out = map(Path, sys.argv[1:])
config = RLConfig.model_validate({
    "tasks": {"counting": 1}, "thinking": {"counting": 0}, "steps": 4, "groups": 6, "samples": 6, "max_tokens": 12,
    "slots": 24, "train": ["language"], "learning_rate": {"language": 3e-3}, "save_seconds": 1e-6, "easy_share": 0.1,
    "rollout": {"continuous": True, "asynchronous_rewards": True, "early_termination": True}})
train_policy(load_checkpoint(start), Processor.load(start), tiny.questions("world/counting", 8), config, out,
             router=RewardRouter({"counting": is_three}))
"""


def train(start: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", TRAINS, str(start), str(out)], stderr=subprocess.PIPE)


def killed_when(start: Path, out: Path, version: int, groups: int) -> None:
    """Run until the queue of a step holds so many finished groups, or that step is past."""
    process, queue = train(start, out), out / "resume" / "queue.pt"
    try:
        deadline = time.monotonic() + 600
        while True:
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read().decode()
            try:
                state = torch.load(queue, weights_only=True)
            except FileNotFoundError:
                continue
            if (state["version"], len(state["finished"])) >= (version, groups):
                break
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def figures(out: Path) -> list[dict]:
    written = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in written]


def test_killed_in_the_middle_of_rollouts_again_and_again_it_ends_like_a_run_that_was_not(
    tiny_trained: Path, tmp_path: Path
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    for version, groups in ((0, 2), (1, 4), (2, 1)):
        killed_when(tiny_trained, part, version, groups)
    (part / "resume" / "queue.partial").write_bytes(b"half")
    for out in (whole, part):
        process = train(tiny_trained, out)
        _, messages = process.communicate(timeout=600)
        assert process.returncode == 0, messages.decode()
    assert figures(part) == figures(whole) and len(figures(whole)) == 4
    weights = "model/model.safetensors"
    assert (part / weights).read_bytes() == (whole / weights).read_bytes()
    assert (part / "rollouts.jsonl").read_bytes() == (whole / "rollouts.jsonl").read_bytes()
