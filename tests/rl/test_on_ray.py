"""Reinforcement learning on a local Ray cluster, a process of its own because Ray fills one with warnings."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rl.test_trainer import TIMES

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
from mimovl.rl.on_ray import RayEngine, RayRewards, train_on_ray
from mimovl.types import Outcome, Request, SamplingParams, Verdict
from tests import tiny
from tests.rl.test_trainer import is_three
start, out = map(Path, sys.argv[1:])
"""

ENGINES = (
    BEGIN
    + """
model, processor = load_checkpoint(start), Processor.load(start)
asked = [Request(sample, SamplingParams(1.0, max_tokens=400, seed=n), 4)
         for n, sample in enumerate(tiny.questions("world/counting", 8))]
engine = RayEngine(model, processor, engines=2, slots=16)
with torch.no_grad():
    model.language.norm.weight.mul_(0.05)  # parameters as after an update, and answers that are long
engine.refresh(model)
victim = engine.processes()[0]
tickets = [engine.submit(request) for request in asked]
found, killed = {}, False
while len(found) < 32:
    for done in engine.step():
        assert (done.ticket, done.sample) not in found
        found[done.ticket, done.sample] = done.completion
    if not killed:
        os.kill(victim, signal.SIGKILL)
        killed = True
own = Engine(model, processor, slots=16).generate(asked)
same = all(found[ticket, n] == one for ticket, group in zip(tickets, own) for n, one in enumerate(group))
print(json.dumps({"same": same, "redone": engine.redone}))
"""
)

REWARDS = (
    BEGIN
    + """
def pid(sample, text):
    time.sleep(0.2)
    return Verdict(0.5, Outcome.WRONG, str(os.getpid()))

def bad(sample, text):
    raise OSError("gone")

rewards = RayRewards(RewardRouter({"counting": pid, "bad": bad}), workers=2)
sample = tiny.questions("world/counting", 1)[0]
answers = []
threads = [threading.Thread(target=lambda: answers.append(rewards.score_many([sample] * 5, ["a"] * 5)))
           for _ in range(4)]
victim = int(rewards.score(sample, "a").answer)
for thread in threads:
    thread.start()
time.sleep(0.4)
os.kill(victim, signal.SIGKILL)
for thread in threads:
    thread.join()
from dataclasses import replace
try:
    rewards.score(replace(sample, task="bad"), "a")
except OSError as error:
    raised = str(error)
print(json.dumps({"answers": [len(one) for one in answers], "redone": rewards.redone, "raised": raised}))
"""
)

TRAINING = (
    BEGIN
    + """
config = RLConfig.model_validate({
    "tasks": {"counting": 1}, "thinking": {"counting": 0}, "steps": 3, "groups": 4, "samples": 4, "max_tokens": 10,
    "slots": 16, "train": ["language"], "learning_rate": {"language": 3e-3}, "save_seconds": 1e-6,
    "rollout": {"continuous": True, "asynchronous_rewards": True, "early_termination": True}})
prompts = tiny.questions("world/counting", 8)

def kill_trainer():
    queue = out / "ray" / "resume" / "queue.pt"
    while True:
        try:
            state = torch.load(queue, weights_only=True)
        except Exception:
            time.sleep(0.01)
            continue
        if state["version"] >= 1:
            break
    import psutil
    for process in psutil.Process().children(recursive=True):
        if process.name().startswith("ray::_train"):
            process.kill()
            (out / "killed").write_text("yes")

threading.Thread(target=kill_trainer, daemon=True).start()
router = RewardRouter({"counting": is_three})
train_on_ray(start, prompts, config, out / "ray", engines=2, reward_workers=2, router=router)
train_policy(load_checkpoint(start), Processor.load(start), prompts, config, out / "own", router=router)
print(json.dumps({"killed": (out / "killed").exists()}))
"""
)


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


def test_without_the_extra_the_line_to_install_it_is_said() -> None:
    code = (
        "import sys\nsys.modules['ray'] = None\nfrom pathlib import Path\nfrom mimovl.rl.on_ray import RayRewards\n"
        "from mimovl.reward import RewardRouter\nRayRewards(RewardRouter(), workers=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "run: pip install 'mimovl[ray]'" in done.stderr


@pytest.mark.engines
def test_engines_in_actors_answer_as_the_embedded_one_does_even_when_one_of_them_is_killed(
    tiny_trained: Path, tmp_path: Path
) -> None:
    result = run(ENGINES, tiny_trained, tmp_path)
    assert result["same"] and result["redone"] >= 1


@pytest.mark.engines
def test_a_reward_worker_that_is_killed_is_replaced_and_every_reward_comes(tiny_trained: Path, tmp_path: Path) -> None:
    result = run(REWARDS, tiny_trained, tmp_path)
    assert result["answers"] == [5, 5, 5, 5] and result["redone"] >= 1 and result["raised"] == "gone"


@pytest.mark.engines
def test_training_placed_on_ray_loses_its_trainer_and_ends_like_one_in_this_process(
    tiny_trained: Path, tmp_path: Path
) -> None:
    result = run(TRAINING, tiny_trained, tmp_path)
    assert result["killed"]
    written = [
        [
            {name: value for name, value in json.loads(line).items() if name not in TIMES | {"logprob_gap"}}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("ray", "own")
    ]
    assert written[0] == written[1] and len(written[0]) == 3
    # Parameters that were sent lie at other addresses, which may change a last bit of a recorded log-probability.
    gaps = [json.loads(line)["logprob_gap"] for line in (tmp_path / "ray" / "metrics.jsonl").read_text().splitlines()]
    assert max(gaps) < 1e-6
    weights = "model/model.safetensors"
    assert (tmp_path / "ray" / weights).read_bytes() == (tmp_path / "own" / weights).read_bytes()
