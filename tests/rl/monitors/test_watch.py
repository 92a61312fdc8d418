from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from mimovl.generate import Engine
from mimovl.model import load_checkpoint
from mimovl.rl import RLConfig, train_policy, trainer
from mimovl.rl.monitors import ALERTS_FILE, MonitorsConfig, Watch
from mimovl.rl.prompts import PromptSource
from mimovl.team import ALONE
from mimovl.types import SamplingParams
from tests import tiny
from tests.rl.monitors.making import group


def watch(out: Path, step: int = 0, state=None, **changes: object) -> Watch:
    out.mkdir(exist_ok=True)
    config = MonitorsConfig.model_validate({"window": 2, "again": 5, **changes})
    return Watch(config, out, dtype="float32", sampling=SamplingParams(), step=step, state=state)


HEALTHY = {"entropy": 0.3, "logprob_gap": 1e-7}
SICK = {"entropy": 0.3, "logprob_gap": 1e-3}
GROUPS = [group(["a b c"] * 4, [0, 1, 1, 0], id=str(n)) for n in range(4)]


def written(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / ALERTS_FILE).read_text().splitlines()]


def test_a_healthy_training_says_nothing_and_writes_no_file(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    one = watch(tmp_path)
    assert [one.look(number, GROUPS, HEALTHY) for number in range(1, 12)] == [{}] * 11
    one.close()
    assert not caplog.records and not list(tmp_path.iterdir())


def test_an_alert_is_in_the_log_in_the_metrics_and_in_a_file_with_examples(tmp_path, caplog) -> None:
    one = watch(tmp_path / "5-morl", examples=1)
    sick = [group(["1, 2, 3, 4, 5. " * 6] * 8, id="x"), *(group(["1, 2, 3, 4, 5. " * 6] * 8, answer=n) for n in (1, 2))]
    with caplog.at_level(logging.WARNING, "mimovl.rl"):
        found = one.look(1, sick, HEALTHY)
    one.close()
    assert [alert["monitor"] for alert in found["alerts"]] == ["counting", "counting"] or found["alerts"][0][
        "monitor"
    ] == "counting"
    assert "5-morl, update 1, counting: 100% of the answers count" in caplog.text
    first = written(tmp_path / "5-morl")[0]
    assert (first["step"], first["monitor"], first["task"]) == (1, "counting", "counting")
    assert first["value"] == 1.0 and first["limit"] == 0.1
    [example] = first["groups"]
    assert example["completions"][0]["text"].startswith("1, 2, 3") and example["media"]


def test_a_failure_that_lasts_is_said_again_only_after_a_while(tmp_path) -> None:
    one = watch(tmp_path)
    said = [number for number in range(1, 14) if one.look(number, GROUPS, SICK)]
    one.close()
    assert said == [1, 6, 11] == [line["step"] for line in written(tmp_path)]


def test_after_a_kill_it_goes_on_and_forgets_the_alerts_of_updates_that_are_made_again(tmp_path) -> None:
    one = watch(tmp_path / "part")
    one.look(1, GROUPS, SICK)
    state = json.loads(json.dumps(one.state_dict()))
    one.look(6, GROUPS, SICK)
    one.close()
    assert [line["step"] for line in written(tmp_path / "part")] == [1, 6]
    again = watch(tmp_path / "part", step=1, state=state)
    assert [line["step"] for line in written(tmp_path / "part")] == [1]
    assert [number for number in range(2, 8) if again.look(number, GROUPS, SICK)] == [6]
    again.close()


def test_a_monitor_that_is_switched_off_says_nothing(tmp_path) -> None:
    one = watch(tmp_path, gap=None)
    assert one.look(1, GROUPS, SICK) == {}
    one.close()


def test_processes_that_do_not_write_leave_no_file(tmp_path) -> None:
    (tmp_path / ALERTS_FILE).write_text('{"step": 9}\n')
    config = MonitorsConfig()
    Watch(config, tmp_path, dtype="float32", sampling=SamplingParams(), writes=False).close()
    assert (tmp_path / ALERTS_FILE).read_text() == '{"step": 9}\n'


def test_one_failure_of_a_monitor_does_not_hide_another(tmp_path) -> None:
    """Answers that run away against the limit at first, and collapse within the while of the first alert."""
    one = watch(tmp_path, again=100, counting=None, blanked=None, spread=None, language=None)
    said = []
    for number in range(1, 31):
        length = 20 if number <= 4 else 100 if number <= 12 else 1
        groups = [group(["a"] * 4, lengths=[length] * 4, cut=length == 100)]
        said += [(alert["monitor"], alert["kind"]) for alert in one.look(number, groups, HEALTHY).get("alerts", ())]
    one.close()
    assert said == [("lengths", "longer"), ("lengths", "cut"), ("lengths", "shorter")]
    assert [line["kind"] for line in written(tmp_path)] == ["longer", "cut", "shorter"]


def test_what_was_said_before_alerts_had_kinds_is_remembered(tmp_path) -> None:
    one = watch(tmp_path, step=3, state={"given": {"gap ": 3}, "monitors": {}})
    assert one.look(4, GROUPS, SICK) == {} and one.look(8, GROUPS, SICK)["alerts"]
    one.close()


def test_a_trained_task_without_heldout_questions_is_named(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    config = MonitorsConfig.model_validate({"heldout": {"questions": 4}})
    for heldout, missing in ((tiny.questions("world/counting", 4), "ocr"), ([], "counting, ocr")):
        caplog.clear()
        Watch(
            config, tmp_path, dtype="float32", sampling=SamplingParams(), heldout=heldout, tasks=["counting", "ocr"]
        ).close()
        assert f"the held-out monitor asks nothing about {missing}:" in caplog.text


def test_a_training_asks_held_out_prompts_as_it_asks_its_own(tmp_path) -> None:
    settings = {"tasks": {"counting": 1}, "thinking": {"counting": 0}, "budgets": {"counting": 8}, "steps": 1}
    monitors = {"heldout": {"questions": 4}}
    rates = {"train": ["language"], "learning_rate": {"language": 1e-3}}
    config = RLConfig.model_validate({**settings, **rates, "monitors": monitors, "min_spread": 0.2})
    questions, engine = tiny.questions("world/counting", 8), Engine(tiny.model(), tiny.processor())
    one = trainer._watch(config, questions, engine, trainer._Counters(), tmp_path, ALONE, 0)
    assert one is not None and one._heldout is not None
    [own] = PromptSource(questions, config, seed=0).draw(0, 1)
    for request in one._heldout.requests:
        assert (request.thinking, request.sampling.max_tokens) == (own.thinking, own.sampling.max_tokens) == (False, 8)
        assert request.sampling.temperature == own.sampling.temperature
    assert len(one._heldout.requests) == 4 and one._monitors["spread"].min_spread == 0.2  # type: ignore[attr-defined]


@pytest.mark.parametrize("own", [True, False])
def test_a_training_says_whether_its_own_engine_samples(tiny_trained, tmp_path, monkeypatch, own: bool) -> None:
    said = []
    monkeypatch.setattr(Watch, "ask", lambda *_, same_draws, **__: said.append(same_draws))
    model, rates = load_checkpoint(tiny_trained), {"train": ["language"], "learning_rate": {"language": 1e-3}}
    config = RLConfig.model_validate(
        {
            "tasks": {"counting": 1},
            "steps": 1,
            "groups": 2,
            "samples": 2,
            "max_tokens": 4,
            "dynamic_sampling": False,
            **rates,
        }
    )
    other = None if own else Engine(model, tiny.processor())
    train_policy(model, tiny.processor(), tiny.questions("world/counting", 4), config, tmp_path, rollouts=other)
    assert said == [own]
