import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.evaluate.answers import AnswerLog, as_json, read_answers, write_json


def line(name: str, mode: str = "thinking", **more: object) -> dict[str, object]:
    return {
        "id": name,
        "mode": mode,
        "task": "t",
        "score": 1.0,
        "reward": 1.0,
        "outcome": "CORRECT",
        "cluster": "c",
        **more,
    }


def test_appended_answers_are_read_back(tmp_path: Path) -> None:
    log = AnswerLog(tmp_path / "answers.jsonl")
    log.append([line("a"), line("b", gold=(1, 2))])
    log.append([line("a", "no_think")])
    assert read_answers(log.path) == log.select([("a", "thinking"), ("b", "thinking"), ("a", "no_think")])
    assert log.answers["b", "thinking"]["gold"] == [1, 2]


def test_torn_damaged_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    good = json.dumps(line("a"))
    path.write_text(
        "\n".join([good, "{", "[]", "7", '{"id": "b"}', "[" * 100_000, good.replace("1.0", "0.5"), '{"id"'])
    )
    assert read_answers(path) == [line("a")]


def test_a_new_log_starts_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(line("a")) + '\n{"id": "b", "mo')
    AnswerLog(path).append([line("c")])
    assert [answer["id"] for answer in read_answers(path)] == ["a", "c"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="answers.jsonl"):
        read_answers(tmp_path / "answers.jsonl")


def test_json_is_written_whole_and_knows_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "scores.json", {"a": float("nan")})
    assert json.loads((tmp_path / "scores.json").read_text()) == {"a": 1}


def test_values_become_what_json_reads_back() -> None:
    assert as_json({"a": (1, "\ud800"), "b": Path("x")}) == {"a": [1, "\ud800"], "b": "x"}


def test_a_writer_killed_at_any_moment_loses_no_finished_line(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    code = (
        "import sys; from mimovl.evaluate.answers import AnswerLog\n"
        "log = AnswerLog(sys.argv[1]); i = len(log.answers)\n"
        "while True:\n"
        "    log.append([dict(id=str(i + k), mode='thinking', task='t', score=1.0, reward=1.0, outcome='CORRECT',"
        " cluster='c', text='x' * 3000) for k in range(8)])\n"
        "    i += 8; print(i, flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.03)
        writer.send_signal(signal.SIGKILL)
        finished = max([8, *(int(number) for number in writer.stdout.read().split())])
    ids = [answer["id"] for answer in read_answers(path)]
    assert ids == [str(i) for i in range(len(ids))] and len(ids) >= finished
    AnswerLog(path).append([line("next")])
    assert [answer["id"] for answer in read_answers(path)] == [*ids, "next"]
