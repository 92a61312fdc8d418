"""A tiny multimodal reward model on held-out pairs of the embedded world, beside always choosing the longer answer.

    mimovl run recipes/tiny.yaml --out runs/tiny          makes the checkpoint it starts from
    python benchmarks/reward_model.py [--out DIR] [--set A.B=VALUE …]

Trains ``recipes/reward-tiny.yaml`` (or goes on, or reads what is finished), reads the folder back through
``mimovl.reward``, and scores the held-out pairs once more as a router would: the better answer must get the higher
score in [0, 1]. Pairs of equal scores count as errors. The last line is JSON; ``ratio`` is the accuracy over that of
always choosing the longer answer, both on the pairs whose length tells nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from mimovl.data import PairFolder
from mimovl.pipeline.reward_train import train_reward_model
from mimovl.reward import load_reward_model

RECIPE = Path(__file__).parent.parent / "recipes" / "reward-tiny.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--out", type=Path, default=Path("runs/reward-tiny"))
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE")
    arguments = parser.parse_args()
    started = time.monotonic()
    report = train_reward_model(arguments.recipe, arguments.out, arguments.set)
    trained = time.monotonic() - started
    model = load_reward_model(arguments.out / "model")
    heldout = PairFolder(arguments.out / "pairs" / "heldout", ties=False)
    pairs = [heldout[number] for number in range(len(heldout))]
    started = time.monotonic()
    better = model.score(pairs, [pair.chosen for pair in pairs])
    worse = model.score(pairs, [pair.rejected for pair in pairs])
    scoring = time.monotonic() - started
    right = [one > other for one, other in zip(better, worse, strict=True)]
    if abs(sum(right) / len(right) - report["accuracy"]["value"]) > 1e-3:
        raise SystemExit(f"scored again {sum(right) / len(right):.4f}, reported {report['accuracy']['value']:.4f}")
    if not all(0 <= score <= 1 for score in [*better, *worse]):
        raise SystemExit("a score lies outside [0, 1]")
    fair, adversarial = report["by_set"]["fair"], report["by_set"]["longer_wrong"]
    result = {
        "benchmark": "reward_model",
        "pairs": report["pairs"],
        "accuracy": fair["accuracy"]["value"],
        "interval": fair["accuracy"]["interval"],
        "always_longer": fair["always_longer"]["value"],
        "accuracy_where_the_longer_is_wrong": adversarial["accuracy"]["value"],
        "expected_calibration_error": report["calibration"]["expected_calibration_error"]["value"],
        "taste_for_length": report["length"]["taste_for_length"]["value"],
        "seconds_training": round(trained, 1),
        "conversations_per_second": round(2 * len(pairs) / scoring, 1),
        "ratio": round(fair["accuracy"]["value"] / max(fair["always_longer"]["value"], 1e-9), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
