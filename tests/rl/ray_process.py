"""Code on a local Ray cluster, in a process of its own because Ray fills one with warnings."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

BEGIN = """
import json, os, signal, sys, threading, time
from pathlib import Path
import ray, torch
torch.set_num_threads(1)
ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level="warning")
from mimovl.data import Processor
from mimovl.generate import Engine
from mimovl.model import load_checkpoint
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, train_policy
from mimovl.rl.cluster import Places, train_on_ray
from mimovl.rl.on_ray import RayEngine
from mimovl.rl.ray_rewards import RayRewards
from mimovl.types import Outcome, Request, SamplingParams, Verdict
from tests import tiny
from tests.rl.test_trainer import is_three
start, out = map(Path, sys.argv[1:])
"""


def run(code: str, start: Path, out: Path) -> dict:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'mimovl[ray]'")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(start), str(out)], capture_output=True, env=environment, timeout=900
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return json.loads(done.stdout.decode().splitlines()[-1])
