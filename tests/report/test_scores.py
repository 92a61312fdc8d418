from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.evaluate import Difference, compare_answers
from mimovl.report.run_directory import Checkpoint, Run, read_run
from mimovl.report.scores import (
    checkpoint_label,
    compared,
    measure_text,
    score_table,
    verdict_class,
    verdict_sentence,
)


def checkpoint(name: str, **scores: float) -> Checkpoint:
    full = {task: {"score": value, "interval": [value - 0.1, value + 0.1], "n": 50} for task, value in scores.items()}
    return Checkpoint(name, Path(name), full, {})


def difference(low: float, high: float, *, higher_is_better: bool = True) -> Difference:
    return Difference(0.5, 0.6, (low + high) / 2, (low, high), 100, higher_is_better)


def test_reinforcement_learning_is_compared_with_the_stage_before_it() -> None:
    names = ["1-projector", "4-long-context", "5-morl"]
    before, after = compared(Run(Path("x"), checkpoints=[checkpoint(name, ocr=0.5) for name in names]))
    assert before is not None and after is not None
    assert (before.name, after.name) == ("4-long-context", "5-morl")


def test_without_it_the_last_checkpoint_is_compared_with_the_first() -> None:
    names = ["0-base", "1-photos", "2-more"]
    before, after = compared(Run(Path("x"), checkpoints=[checkpoint(name, ocr=0.5) for name in names]))
    assert before is not None and after is not None
    assert (before.name, after.name) == ("0-base", "2-more")


def test_an_unfinished_evaluation_is_no_checkpoint_yet() -> None:
    run = Run(Path("x"), checkpoints=[checkpoint("1-a", ocr=0.5), checkpoint("2-b")])
    before, after = compared(run)
    assert before is None and after is not None and after.name == "1-a"
    assert compared(Run(Path("x"))) == (None, None)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (difference(0.01, 0.2), "better"),
        (difference(-0.2, -0.01), "worse"),
        (difference(-0.1, 0.1), "none"),
        (difference(-0.2, -0.01, higher_is_better=False), "better"),
        (None, ""),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(one: Difference | None, expected: str) -> None:
    assert verdict_class(one) == expected


def test_the_table_holds_the_mean_reward_and_every_task(finished_run: Path) -> None:
    run = read_run(finished_run)
    before, after = compared(run)
    assert before is not None and after is not None
    table = score_table(before, after, compare_answers(before.answers, after.answers))
    assert (table.before, table.after) == ("Stage 4", "MORL")
    assert table.rows[0].total and table.rows[0].name == "Mean reward"
    assert len(table.rows) == 13
    for row in table.rows:
        assert [mark.kind for mark in row.marks] == ["before", "after"]
        assert row.difference[0] in "+−0" and " to " in row.difference_interval
    grounding = next(row for row in table.rows if row.name == "Grounding")
    assert grounding.detail.startswith("Acc@0.5, not thinking, n = 8, recall@0.5 ")


def test_the_sentence_says_what_changed_by_how_much_and_how_sure(finished_run: Path) -> None:
    run = read_run(finished_run)
    before, after = compared(run)
    assert before is not None and after is not None
    comparison = compare_answers(before.answers, after.answers)
    text = "".join(piece for piece, _ in verdict_sentence(before, after, comparison))
    assert text.startswith("MORL ") and "mean reward on held-out questions over stage 4" in text
    assert "paired 95 % interval" in text


def test_one_checkpoint_is_told_without_a_comparison() -> None:
    only = Checkpoint("1-projector", Path("x"), {"ocr": {"score": 0.5}}, {"mean_reward": {"score": 0.41}})
    assert "".join(piece for piece, _ in verdict_sentence(None, only, None)) == (
        "After stage 1 the mean reward on held-out questions is 41.0\u202f%."
    )
    table = score_table(None, only, None)
    assert table.before == "" and [row.difference for row in table.rows] == ["", ""]
    assert verdict_sentence(None, None, None) == []


def test_scores_of_nonsense_are_dashes() -> None:
    broken = Checkpoint("1-a", Path("x"), {"ocr": 3, "text": {"score": "x", "interval": [1]}}, {"mean_reward": 7})
    assert [row.now for row in score_table(None, broken, None).rows] == ["–", "–"]


def test_labels_and_measures_are_words() -> None:
    assert [checkpoint_label(name) for name in ("5-morl", "4-long-context", "0-base", "odd")] == [
        "MORL", "Stage 4", "Base", "Odd",
    ]  # fmt: skip
    assert measure_text("mean_absolute_error", 0.416) == "mean absolute error 0.42"
    assert measure_text("recall@0.5", 0.712) == "recall@0.5 71.2\u202f%"
