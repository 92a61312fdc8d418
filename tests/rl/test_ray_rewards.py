"""Rewards in actors, some of them killed, some of which hang."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rl.ray_process import BEGIN, run

REWARDS = (
    BEGIN
    + """
from mimovl.errors import MimovlError

def pid(sample, text):
    time.sleep(0.2)
    return Verdict(0.5, Outcome.WRONG, str(os.getpid()))

def bad(sample, text):
    if text == "exit":
        sys.exit("enough")
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
try:
    rewards.score(replace(sample, task="bad"), "exit")
except MimovlError as error:
    left = str(error)
print(json.dumps({"answers": [len(one) for one in answers], "redone": rewards.redone, "raised": raised, "left": left}))
"""
)

HANGING = (
    BEGIN
    + """
from mimovl.rl.reward_queue import ThreadedRewards
from mimovl.types import Completion, Sample

def moody(sample, text):
    if sample.id.startswith("hangs"):
        time.sleep(3600)
    return Verdict(0.5, Outcome.WRONG)

samples = tiny.questions("world/counting", 1)
from dataclasses import replace
rewards = RayRewards(RewardRouter({"counting": moody}), workers=2, seconds=5.0)
made = ThreadedRewards(rewards, workers=2, seconds=5.0, tries=1)
said = []
for names in (["good"], ["hangs 1", "hangs 2"], ["good 1", "good 2", "good 3"]):
    made.seconds = 5.0 if "hangs 1" in names else 100.0  # new actors may take their time to begin
    for key, name in enumerate(names):
        made.submit(key, replace(samples[0], id=name), [Completion("a", "stop", (1,), (0.0,))] * 2)
    found = []
    while len(found) < len(names):
        made.wait(0.1)
        found += made.poll()
    said.append([one.failure.reason if one.failure else "ok" for one in found])
made.close()
print(json.dumps({"said": said}))
"""
)


@pytest.mark.engines
def test_a_reward_worker_that_is_killed_is_replaced_and_every_reward_comes(tiny_trained: Path, tmp_path: Path) -> None:
    result = run(REWARDS, tiny_trained, tmp_path)
    assert result["answers"] == [5, 5, 5, 5] and result["redone"] >= 1 and result["raised"] == "gone"
    assert result["left"] == "SystemExit: enough"


@pytest.mark.engines
def test_rewards_that_hang_cost_their_own_groups_and_no_others(tiny_trained: Path, tmp_path: Path) -> None:
    said = run(HANGING, tiny_trained, tmp_path)["said"]
    assert said == [["ok"], ["reward-timeout"] * 2, ["ok"] * 3]
