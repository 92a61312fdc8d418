from __future__ import annotations

import html.parser
import json
import math
import re
import shutil
from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.report import write_report
from mimovl.report.run_directory import read_run
from mimovl.report.write import render
from tests.report.run_directory import write_json, write_lines

HOSTILE = "</script><script>alert(1)</script> ]]> --> <img src=x onerror=alert(2)> \"' &amp; {{ 7*7 }} \ud800 \x00"
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Balance(html.parser.HTMLParser):
    """Checks that every element is closed, and keeps what a page could load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.loads.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]} at {self.getpos()}"
        self.open.pop()


def page(run_dir: Path) -> str:
    return write_report(run_dir).read_text("utf-8")


@pytest.fixture(scope="module")
def finished_page(finished_run: Path) -> str:
    return page(finished_run)


def parsed(text: str) -> Balance:
    parser = Balance()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def test_a_finished_run_gives_a_whole_page(finished_page: str) -> None:
    text = finished_page
    parsed(text)
    assert 'class="empty"' not in text and 'class="unfinished"' not in text
    assert text.count("<section ") == 11
    assert "MORL minus stage 4" in text


def test_the_page_loads_nothing_from_elsewhere(finished_page: str) -> None:
    found = parsed(finished_page)
    assert found.loads
    assert all(load.startswith(("data:image/", "#")) for load in found.loads)
    style_and_script = re.sub(r"data:image/[^\"]*", "", finished_page)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", style_and_script)


def test_its_policy_lets_only_its_own_script_run(finished_page: str) -> None:
    text = finished_page
    assert "default-src 'none'" in text.replace("&#39;", "'")
    assert re.search(r"script-src (&#39;|')sha256-[\w+/=]{44}", text)
    assert text.count("<script>") == 1 and not parsed(text).handlers


def test_it_is_small_and_leaves_nothing_beside_it(finished_run: Path) -> None:
    path = write_report(finished_run)
    assert path.stat().st_size < 5_000_000
    assert not list(finished_run.glob(".report*"))


def test_nothing_a_model_or_a_file_says_becomes_markup(own_run: Path) -> None:
    for path in own_run.glob("evaluate/*/answers.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line.update({name: HOSTILE for name in ("completion", "prompt", "language", "rule", "answer", "task")})
            line["gold"] = {"kind": HOSTILE, "answer": HOSTILE}
        write_lines_ascii(path, lines)
    rollouts = own_run / "5-morl" / "rollouts.jsonl"
    lines = [json.loads(line) for line in rollouts.read_text().splitlines()]
    for line in lines:
        line.update(prompt=f"<think>{HOSTILE}", task=HOSTILE, sample_id=HOSTILE)
        for completion in line["completions"]:
            completion.update(text=f"<think>{HOSTILE}</think>{HOSTILE}", outcome=HOSTILE)
    write_lines_ascii(rollouts, lines)
    metrics = {"step": 1, "loss": 1.0, "loss_by_source": {HOSTILE: 1.0}, "reward_by_task": {HOSTILE: 1.0}}
    for folder in ("1-projector", "5-morl"):
        write_lines_ascii(own_run / folder / "metrics.jsonl", [metrics, {**metrics, "step": 2}])
    counts = {"counts": {HOSTILE: 3}, "dropped": {HOSTILE: 1}}
    run = {"name": HOSTILE, "purpose": HOSTILE, "finished": HOSTILE, "torch": HOSTILE, "machine": {"cpu": HOSTILE}}
    (own_run / "run.json").write_text(json.dumps({**run, "data": counts, "seconds": {HOSTILE: 1.0}}))
    (own_run / "recipe.yaml").write_text(f"# {HOSTILE[:-3]}\n")
    score = {"score": 0.5, "interval": [0.4, 0.6], "n": 3, "metric": HOSTILE, "mode": HOSTILE}
    score["thinking"] = {**score, "outcomes": {HOSTILE: 3, "CORRECT": 1}, "mean_tokens": 4}
    (own_run / "evaluate" / "5-morl" / "scores.json").write_text(json.dumps({HOSTILE: score}))
    text = page(own_run)
    found = parsed(text)
    assert found.elements.count("script") == 1 and not found.handlers
    assert all(load.startswith(("data:image/", "#")) for load in found.loads)
    assert "alert(1)" in text and "49" not in re.findall(r"&amp; (\d+)", text)


def write_lines_ascii(path: Path, lines: list[dict[str, object]]) -> None:
    """With lone surrogates as escapes, as a JSON writer leaves them."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    "left_out",
    [
        "run.json", "recipe.yaml", "data", "1-projector", "5-morl", "5-morl/rollouts.jsonl", "5-morl/metrics.jsonl",
        "5-morl/done.json", "evaluate", "evaluate/5-morl", "evaluate/5-morl/scores.json",
        "evaluate/5-morl/answers.jsonl", "evaluate/5-morl/summary.json", "evaluate/4-long-context/answers.jsonl",
    ],
)  # fmt: skip
def test_any_part_may_be_missing(own_run: Path, left_out: str) -> None:
    path = own_run / left_out
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    parsed(page(own_run))


def test_any_part_may_be_damaged(own_run: Path) -> None:
    for path in [*own_run.rglob("*.json"), *own_run.rglob("*.jsonl"), own_run / "recipe.yaml"]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    text = page(own_run)
    parsed(text)
    assert "is not readable JSON and was left out." in text


@pytest.mark.parametrize("value", [[], {}, "x", 7, None, [1, [2]], {"a": {"b": []}}])
def test_any_json_file_may_hold_something_else(own_run: Path, value: object) -> None:
    for path in own_run.rglob("*.json"):
        if path.parent.name != "heldout":
            write_json(path, value)
    for path in own_run.rglob("*.jsonl"):
        write_lines(path, [value, {"step": 1}, {"step": value, "loss": value}])  # type: ignore[list-item]
    parsed(page(own_run))


def test_an_unfinished_run_says_where_it_stands(own_run: Path) -> None:
    info = json.loads((own_run / "run.json").read_text())
    del info["finished"]
    write_json(own_run / "run.json", info)
    (own_run / "5-morl" / "done.json").unlink()
    for name in ("evaluate/5-morl", "5-morl/model"):
        shutil.rmtree(own_run / name, ignore_errors=True)
    text = page(own_run)
    assert "This run is not finished: MORL stands at step 30 of 30." in text


def test_an_empty_run_is_a_page_of_what_is_to_come(tmp_path: Path) -> None:
    text = page(tmp_path)
    parsed(text)
    assert "training has not begun" in text
    assert text.count('class="empty"') >= 8


def test_a_missing_run_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give the folder that `mimovl run"):
        write_report(tmp_path / "nowhere")


def test_machine_paths_stay_out_of_the_page(finished_run: Path, finished_page: str) -> None:
    assert str(finished_run.parent) not in finished_page


@pytest.mark.parametrize(("field", "value"), [("task", 3), ("score", 10**400), ("score", "high"), ("reward", math.nan)])
def test_answers_that_make_no_sense_are_noted_or_shown_and_do_not_stop_the_report(
    own_run: Path, field: str, value: object
) -> None:
    file = own_run / "evaluate" / "5-morl" / "answers.jsonl"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(first), field: value}), *rest]) + "\n")
    page = render(read_run(own_run))
    assert field == "task" or f"cannot be compared: answers.jsonl: {field} of" in html.unescape(page)
