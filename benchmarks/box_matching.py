"""Matching many boxes: the similarity matrix in one numpy expression, beside a Python loop over all pairs.

    python benchmarks/box_matching.py [--boxes 500]

Both sides choose partners with ``scipy.optimize.linear_sum_assignment``; what differs is how the matrix of GIoU is
made, which is where a loop spends its time. Correctness first: equal matrices, equal sums, on several sizes and with
unusable boxes among them; on small cases the sum equals that of trying every permutation. The last line is JSON;
``ratio`` is the loop's time over ours for the whole matching, the best of three each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import time

import numpy as np
from scipy.optimize import linear_sum_assignment

from mimovl.verify.box import Box, giou_to_unit, match_boxes


def loop_match(given: list[Box | None], gold: list[Box]) -> list[float]:
    """What one writes without thinking of speed: two loops, then the assignment."""
    matrix = [[0.0 if one is None else loop_giou(one, two) for one in given] for two in gold]
    rows, columns = linear_sum_assignment(np.array(matrix), maximize=True)
    partners = [0.0] * len(gold)
    for row, column in zip(rows, columns, strict=True):
        partners[row] = matrix[row][column]
    return partners


def loop_giou(one: Box, two: Box) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1]) - shared
    around = (max(one[2], two[2]) - min(one[0], two[0])) * (max(one[3], two[3]) - min(one[1], two[1]))
    return float(giou_to_unit(shared / union - (around - union) / around))


def draw(rng: random.Random, count: int, unusable: float = 0.0) -> list[Box | None]:
    boxes: list[Box | None] = []
    for _ in range(count):
        x, y, w, h = rng.uniform(0, 1900), rng.uniform(0, 1000), rng.uniform(5, 300), rng.uniform(5, 300)
        boxes.append(None if rng.random() < unusable else (x, y, x + w, y + h))
    return boxes


def check(rng: random.Random) -> None:
    for size, other in ((1, 1), (1, 5), (7, 3), (40, 60)):
        given, gold = draw(rng, size, 0.1), [box for box in draw(rng, other) if box]
        ours, theirs = match_boxes(given, gold, metric="giou"), loop_match(given, gold)
        if abs(sum(ours) - sum(theirs)) > 1e-9:
            raise SystemExit(f"{size} against {other}: {sum(ours)} and {sum(theirs)}")
    for _ in range(20):
        given, gold = [box for box in draw(rng, 5) if box], [box for box in draw(rng, 5) if box]
        best = max(
            sum(loop_giou(one, two) for one, two in zip(order, gold, strict=True))
            for order in itertools.permutations(given)
        )
        if abs(best - sum(match_boxes(given, gold, metric="giou"))) > 1e-9:
            raise SystemExit("the matching is not the best one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    rng = random.Random(0)
    check(rng)
    gold = [box for box in draw(rng, arguments.boxes) if box]
    # predictions as a detector gives them: near the gold boxes, in another order
    given: list[Box | None] = [tuple(side + rng.gauss(0, 4) for side in box) for box in gold]  # type: ignore[misc]
    rng.shuffle(given)
    best = {"ours": math.inf, "loop": math.inf}
    for _ in range(arguments.repeats):
        for name, match in (("loop", loop_match), ("ours", lambda a, b: match_boxes(a, b, metric="giou"))):
            start = time.process_time()
            match(given, gold)
            best[name] = min(best[name], time.process_time() - start)
    for name, seconds in best.items():
        print(f"  {name:5s} {1000 * seconds:9.2f} ms for {arguments.boxes} against {arguments.boxes} boxes")
    result = {
        "benchmark": "box_matching",
        "boxes": arguments.boxes,
        "ours_ms": round(1000 * best["ours"], 2),
        "loop_ms": round(1000 * best["loop"], 2),
        "ratio": round(best["loop"] / best["ours"], 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
