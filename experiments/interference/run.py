"""Interference: single-task RL, plain mixing and ours, each task given equal samples (MiMo-VL §5, its open question).

    python -m experiments.interference.run [--run runs/tiny] [--out runs/interference] [--seeds 3] [--steps 60]

Four tasks of unlike length: sums and visual reasoning think long, counting and grounding shortly. A policy of its own
for each (``single``), one for all with equal weights as in the report (``plain``), and one for all with our answer
(``ours``): budgets by task, advantages on the task's own scale, and PCGrad (Yu et al. 2020). A task gets the same
prompts an update in every arm. ``--arms`` adds ours with one part left in each.

Writes results.json, index.html and figure-N.svg: held-out reward by task and arm with 95 % intervals, and answer
lengths. The last line is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.arms import Arm, Start, arguments, ask, run, selected, train
from experiments.figures import dots, page
from experiments.intervals import Interval, interval
from mimovl.rl.monitors.heldout import choose_questions
from mimovl.store import Dataset
from mimovl.types import Sample

TASKS = ("arithmetic", "visual_reasoning", "counting", "grounding")
PROMPTS = 6
"""Prompts of each task an update."""
BUDGETS = {"visual_reasoning": 96, "counting": 64, "grounding": 64}
OURS: dict[str, Any] = {"budgets": BUDGETS, "scale": "task", "interference": {"method": "pcgrad"}}
COMMON: dict[str, Any] = {
    "samples": 8,
    "dynamic_sampling": False,
    "max_tokens": 160,
    "learning_rate": {"vision": 2e-5, "projector": 5e-5, "language": 1.2e-4},
    "final": 0.05,
    "monitors": {"enabled": False},
}
MIXED = ("plain", "ours")


def arms(extra: bool) -> list[Arm]:
    """A single-task arm for each task, the mixed ones, and if wanted ours in parts."""
    tasks = dict.fromkeys(TASKS, 1.0)
    together = {"tasks": tasks, "groups": PROMPTS * len(TASKS)}
    measured = {"interference": {"every": 5}}
    found = [Arm(f"single-{task}", f"{task} alone", {"tasks": {task: 1.0}, "groups": PROMPTS}) for task in TASKS]
    found += [Arm("plain", "plain mixing", {**together, **measured}), Arm("ours", "ours", {**together, **OURS})]
    if extra:
        found += [Arm(f"only-{part}", f"only {part}", {**together, part: value}) for part, value in OURS.items()]
    return found


def compare(
    answers: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], before: Sequence[Mapping[str, Any]], field: str
) -> dict[str, dict[str, Interval]]:
    """A field's mean by arm and task.

    Args:
        answers: by arm, for each seed the answers to all questions; of single-task arms those of their task.
        before: those of the checkpoint all started from.
        field: reward or length.

    Returns:
        ``start``, ``single``, and each mixed arm → task → interval.
    """
    table: dict[str, dict[str, Interval]] = {"start": {}, "single": {}}
    for task in TASKS:
        table["start"][task] = interval([[one[field] for one in before if one["task"] == task]])
        for arm, seeds in answers.items():
            name = "single" if arm == f"single-{task}" else arm
            if name == "single" or not arm.startswith("single-"):
                rows = [[one[field] for one in said if one["task"] == task] for said in seeds]
                table.setdefault(name, {})[task] = interval(rows)
    return table


def differences(
    answers: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], one: str, other: str
) -> dict[str, Interval]:
    """Reward of one arm less that of another, question by question; ``single`` is each task's own arm."""
    found = {}
    for task in TASKS:
        rows = []
        for first, second in zip(answers[_arm(one, task)], answers[_arm(other, task)], strict=True):
            pairs = [[said["reward"] for said in side if said["task"] == task] for side in (first, second)]
            rows.append([a - b for a, b in zip(*pairs, strict=True)])
        found[task] = interval(rows)
    return found


def _arm(name: str, task: str) -> str:
    return f"single-{task}" if name == "single" else name


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not trained, ask what is not asked, draw."""
    assert __doc__
    parser = arguments(__doc__.splitlines()[0], Path("runs/interference"), steps=60)
    parser.add_argument("--arms", action="store_true", help="also ours with one part at a time")
    chosen = parser.parse_args(argv)
    wanted = selected(arms(chosen.arms), chosen.only)
    start = Start.of(chosen.run)
    questions: list[Sample] = choose_questions(Dataset.open(start.heldout), TASKS, chosen.questions * len(TASKS))
    limits: dict[str, Any] = {"temperature": 1.0, "max_tokens": COMMON["max_tokens"]}
    before = ask(start.checkpoint, questions, chosen.out / "start.json", **limits)
    answers: dict[str, list[list[dict[str, Any]]]] = {}
    cosines: list[Mapping[str, float]] = []
    for arm in wanted:
        for seed in range(chosen.seeds):
            lines = train(arm, {**COMMON, "steps": chosen.steps}, seed, start, chosen.out)
            if arm.name == "plain":
                cosines += [line["gradient_cosines"] for line in lines if "gradient_cosines" in line]
            folder = chosen.out / arm.name / f"seed-{seed}"
            mine = [one for one in questions if one.task in arm.changes["tasks"]]
            answers.setdefault(arm.name, []).append(ask(folder / "model", mine, folder / "answers.json", **limits))
    if not chosen.only:
        _write(chosen.out, answers, before, cosines, chosen.steps, chosen.seeds)


def _write(
    out: Path,
    answers: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    before: Sequence[Mapping[str, Any]],
    cosines: Sequence[Mapping[str, float]],
    steps: int,
    seeds: int,
) -> None:
    rewards, lengths = (compare(answers, before, field) for field in ("reward", "length"))
    compared = (("plain", "single"), ("ours", "single"), ("ours", "plain"))
    gaps = {f"{one} − {other}": differences(answers, one, other) for one, other in compared}
    pairs = sorted({pair for line in cosines for pair in line})
    known = {pair: [line[pair] for line in cosines if pair in line] for pair in pairs}
    results = {
        "steps": steps,
        "seeds": seeds,
        "rollouts_of_a_task": steps * PROMPTS * COMMON["samples"],
        "reward": {arm: {task: value.json() for task, value in row.items()} for arm, row in rewards.items()},
        "length": {arm: {task: value.json() for task, value in row.items()} for arm, row in lengths.items()},
        "difference": {name: {task: value.json() for task, value in row.items()} for name, row in gaps.items()},
        "gradient_cosine": {pair: sum(values) / len(values) for pair, values in known.items()},
    }
    (out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    figures = [
        dots(title, TASKS, [(arm, list(row.values())) for arm, row in table.items()], y_label=unit)
        for title, table, unit in (
            ("Held-out reward by task", rewards, "mean reward"),
            ("Answer length by task", lengths, "tokens"),
        )
    ]
    rows = [["difference of rewards", *TASKS]]
    for name, gap in gaps.items():
        rows.append([name, *(f"{v.value:+.3f} [{v.low:+.3f}, {v.high:+.3f}]" for v in gap.values())])
    lede = (
        f"{steps} updates, {seeds} seeds, {PROMPTS} prompts of each task an update, {COMMON['samples']} rollouts each. "
        "Dots are means over seeds and held-out questions with 95 % intervals, small dots single seeds."
    )
    page("Single-task RL, plain mixing and ours at equal samples", lede, figures, rows, out / "index.html")
    print(json.dumps({"difference": results["difference"]["ours − plain"], "out": str(out / "index.html")}))


if __name__ == "__main__":
    run(main)
