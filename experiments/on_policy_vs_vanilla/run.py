"""On-policy against vanilla GRPO over training (MiMo-VL §5, figure 7), small.

    python -m experiments.on_policy_vs_vanilla.run [--run runs/tiny] [--out runs/on-policy] [--seeds 3] [--steps 60]

Both sample the same prompts and have equal rollouts. The on-policy arm makes one update of each batch; the vanilla one
as many as there are prompts in pairs, with MiMo-7B's clip (0.2 and 0.28) and no KL. Text and visual reasoning and
counting, always thinking: sums alone are nearly solved where these runs start.

Writes results.json, index.html and figure-1.svg: held-out reward over rollouts, asked every few updates with the same
draws, mean over training seeds with 95 % t intervals. The last line is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.arms import Arm, Start, arguments, run, selected, train
from experiments.figures import Curve, curves, page
from experiments.intervals import Interval, over_seeds

TASKS = ("arithmetic", "visual_reasoning", "counting")
PROMPTS = 18
POINTS = 10
"""Askings over a training, besides the first."""
COMMON: dict[str, Any] = {
    "tasks": {"arithmetic": 0.5, "visual_reasoning": 1.0, "counting": 1.0},
    "groups": PROMPTS,
    "samples": 8,
    "dynamic_sampling": False,
    "max_tokens": 160,
    "learning_rate": {"vision": 2e-5, "projector": 5e-5, "language": 1.2e-4},
}
ARMS = (
    Arm("on-policy", "on-policy", {}),
    Arm("vanilla", "vanilla", {"vanilla": {"updates": PROMPTS // 2, "clip_low": 0.2, "clip_high": 0.28}}),
)


def points(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[tuple[float, Interval]]:
    """Held-out reward over rollouts, of several seeds of one arm.

    Args:
        runs: lines of metrics of each seed; ``heldout_reward`` of a line was asked before its update.
    """
    asked = [[line for line in lines if "heldout_reward" in line] for lines in runs]
    found = []
    for place in range(min(map(len, asked))):
        lines = [one[place] for one in asked]
        prompts = sum(line["groups_sampled"] for line in runs[0] if line["step"] < lines[0]["step"])
        found.append((float(prompts * COMMON["samples"]), over_seeds([line["heldout_reward"] for line in lines])))
    return found


def plateau(curve: Sequence[tuple[float, Interval]]) -> dict[str, float]:
    """Where a curve stands in its middle and at its end: means of the middle and the last third of its points."""
    values = [value.value for _, value in curve]
    third = max(1, len(values) // 3)
    middle, last = float(np.mean(values[third : 2 * third])), float(np.mean(values[-third:]))
    return {"start": values[0], "middle": middle, "last": last, "gain_after_middle": last - middle}


def gains(curve: Sequence[tuple[float, Interval]]) -> list[float]:
    """What each seed gains after the middle third."""
    seeds = range(len(curve[0][1].seeds))
    return [
        plateau([(at, over_seeds([value.seeds[seed]])) for at, value in curve])["gain_after_middle"] for seed in seeds
    ]


def compared(one: Sequence[tuple[float, Interval]], other: Sequence[tuple[float, Interval]]) -> dict[str, Interval]:
    """How far the first curve lies above the second at the end, and gains more after the middle; paired by seed."""
    ends = zip(one[-1][1].seeds, other[-1][1].seeds, strict=True)
    more = zip(gains(one), gains(other), strict=True)
    return {"at_the_end": over_seeds([a - b for a, b in ends]), "of_gains": over_seeds([a - b for a, b in more])}


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not trained, draw."""
    assert __doc__
    chosen = arguments(__doc__.splitlines()[0], Path("runs/on-policy"), steps=60).parse_args(argv)
    wanted = selected(ARMS, chosen.only)
    start = Start.of(chosen.run)
    every = max(1, chosen.steps // POINTS)
    watched = {"every": every, "questions": chosen.questions * len(TASKS)}
    off = dict.fromkeys(("lengths", "counting", "blanked", "entropy", "gap", "language", "spread"))
    common = {**COMMON, "steps": chosen.steps + 1, "monitors": {**off, "heldout": watched}}
    found: list[Curve] = []
    for arm in wanted:
        runs = [train(arm, common, seed, start, chosen.out) for seed in range(chosen.seeds)]
        found.append(Curve(arm.label, points(runs)))
    if chosen.only:
        return
    results = {
        "steps": chosen.steps,
        "seeds": chosen.seeds,
        "curves": {
            line.label: [{"rollouts": rollouts, **value.json()} for rollouts, value in line.points] for line in found
        },
        "summary": {line.label: plateau(line.points) for line in found},
        "gains": {line.label: over_seeds(gains(line.points)).json() for line in found},
        "differences": {name: value.json() for name, value in compared(*(line.points for line in found)).items()},
    }
    (chosen.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    figure = curves("Held-out reward over training", found, x_label="rollouts", y_label="mean reward, sampled")
    rows = [["", "start", "middle third", "last third", "gain after the middle"]]
    for line in found:
        rows.append([line.label, *(f"{value:.3f}" for value in plateau(line.points).values())])
    bands = "Bands are 95 % t intervals over seeds, dots single seeds"
    lede = (
        f"{chosen.steps} batches of {PROMPTS} prompts × {COMMON['samples']} rollouts, {chosen.seeds} seeds. "
        f"{bands if chosen.seeds > 1 else 'One seed has no interval'}; held-out questions are asked with the same "
        "draws each time."
    )
    page("On-policy and vanilla GRPO at equal samples", lede, [figure], rows, chosen.out / "index.html")
    told = {name: results[name] for name in ("summary", "gains", "differences")}
    print(json.dumps({**told, "out": str(chosen.out / "index.html")}))


if __name__ == "__main__":
    run(main)
