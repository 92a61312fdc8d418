"""Engines in actors, some of them killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rl.ray_process import BEGIN, run

MODEL = """
from dataclasses import replace
from mimovl.model import build_model
# Widths are multiples of 32, as in every preset: else a tensor's last numbers are rounded otherwise (decisions/0017).
shape = replace(tiny.config(), vision=replace(tiny.config().vision, intermediate_size=64))
processor = Processor.fresh(tiny.tokenizer(), shape)
model = build_model(processor.config, seed=0).eval()  # its answers are long
"""

ENGINES = (
    BEGIN
    + MODEL
    + """
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

MOVES = (
    BEGIN
    + MODEL
    + """# Every third group is short, and there are three actors: one runs dry early.
asked = [Request(sample, SamplingParams(1.0, max_tokens=5 if n % 3 == 0 else 600, seed=n), 4)
         for n, sample in enumerate(tiny.questions("world/counting", 9))]
own = Engine(model, processor, slots=36).generate(asked)
engine = RayEngine(model, processor, engines=3, slots=36)
pids = engine.processes()
said = {}
for kill in (False, True):
    tickets = [engine.submit(request) for request in asked]
    before, found, killed = engine.moved, {}, not kill
    while len(found) < 36:
        for done in engine.step():
            assert (done.ticket, done.sample) not in found
            found[done.ticket, done.sample] = done.completion
        if not killed and engine.moved > before:
            os.kill(pids[0], signal.SIGKILL)  # the one that has just taken samples
            killed = True
    said[f"same_{kill}"] = all(
        found[ticket, n] == one for ticket, group in zip(tickets, own) for n, one in enumerate(group))
    said[f"moved_{kill}"] = engine.moved - before
said["redone"] = engine.redone
tickets = [engine.submit(request) for request in asked]
before = engine.moved
while engine.moved == before:
    engine.step()
for ticket in tickets:
    engine.cancel(ticket)
again = engine.submit(asked[0])
found = []
while len(found) < 4:
    found += engine.step()
said["after"] = all(one.ticket == again for one in found)
print(json.dumps(said))
"""
)


def test_without_the_extra_the_line_to_install_it_is_said() -> None:
    code = "import sys\nsys.modules['ray'] = None\nfrom mimovl.rl.on_ray import ray_library\nray_library()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "run: pip install 'mimovl[ray]'" in done.stderr


@pytest.mark.engines
def test_engines_in_actors_answer_as_the_embedded_one_does_even_when_one_of_them_is_killed(
    tiny_trained: Path, tmp_path: Path
) -> None:
    result = run(ENGINES, tiny_trained, tmp_path)
    assert result["same"] and result["redone"] >= 1


@pytest.mark.engines
def test_samples_move_to_an_actor_that_has_run_dry_and_go_on_as_they_would_have_even_when_it_is_killed(
    tiny_trained: Path, tmp_path: Path
) -> None:
    said = run(MOVES, tiny_trained, tmp_path)
    assert said["same_False"] and said["moved_False"] >= 4
    assert said["same_True"] and said["moved_True"] >= 4 and said["redone"] >= 1
    assert said["after"], "what is cancelled on its way is not heard of again"
