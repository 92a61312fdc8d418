"""A training placed on a local Ray cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline import micro
from tests.rl.ray_process import BEGIN, run
from tests.rl.test_trainer import TIMES

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
train_on_ray(start, prompts, config, out / "ray", Places(2, 2), router=router)
train_policy(load_checkpoint(start), Processor.load(start), prompts, config, out / "own", router=router)
print(json.dumps({"killed": (out / "killed").exists()}))
"""
)


CLUSTER = (
    BEGIN
    + """
ray.shutdown()
from mimovl.errors import UsageError
from mimovl.pipeline.rl import reinforce
from mimovl.rl.cluster import Places, joined_cluster
messages = []
for address, places in (("127.0.0.1:1", Places()), ("local", Places(1, 1, {"num_gpus": 1}))):
    try:
        with joined_cluster(address, places):
            pass
    except UsageError as error:
        messages.append(str(error))
reinforce(out / "micro.yaml", out / "out", start=start, cluster="local", places=Places(2, 2))
left = not ray.is_initialized()
changes = ["data.max_pixels=3136", "rl.monitors={heldout: {questions: 4}}"]
reinforce(out / "micro.yaml", out / "small", changes, start=start)
reinforce(out / "micro.yaml", out / "small-ray", changes, start=start, cluster="local", places=Places(2, 2))
print(json.dumps({"messages": messages, "left": left}))
"""
)


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


@pytest.mark.engines
def test_the_command_places_a_recipe_on_a_cluster_and_leaves_it_again(
    micro_run: Path, tiny_trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "micro.yaml").write_bytes((micro_run.parent / "micro.yaml").read_bytes())
    result = run(CLUSTER, micro_run / "2-general" / "model", tmp_path)
    assert "--ray 127.0.0.1:1: no Ray cluster answers there" in result["messages"][0] and result["left"]
    assert "1 engines, 1 reward workers and the trainer want 1 GPUs, the cluster has 0" in result["messages"][1]
    logs = [folder / "metrics.jsonl" for folder in (tmp_path / "out" / "1-morl", micro_run / "3-morl")]
    rewards = [[json.loads(line)["reward"] for line in log.read_text().splitlines()] for log in logs]
    assert rewards[0] == rewards[1] and len(rewards[0]) == 3
    # Pictures of another size, and a monitor that asks held-out questions.
    names = ("small", "small-ray")
    logs = [micro.lines(tmp_path / name / "1-morl" / "metrics.jsonl") for name in names]
    seen = [[(line["reward"], line["loss"], line.get("heldout_reward")) for line in log] for log in logs]
    assert seen[0] == seen[1] and seen[0][0][2] is not None
    assert [one[0] for one in seen[0]] != rewards[0]
