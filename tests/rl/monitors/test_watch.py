from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from mimovl.rl.monitors import ALERTS_FILE, MonitorsConfig, Watch
from mimovl.types import SamplingParams
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
