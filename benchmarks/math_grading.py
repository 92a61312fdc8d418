"""Math grading: how often it errs and how fast it is, ours beside Math-Verify alone.

    python benchmarks/math_grading.py [--rounds 3]

Accuracy: the pairs of kind math of tests/verify/gold, each labelled by hand. A false positive is a wrong answer that
gets the score, a false negative a right one that does not. Math-Verify is given the text after the thought, so that
unfinished thoughts are not counted against it, and tried with its defaults and with the settings of MiMo-VL's suite;
the better of the two is the peer. Every pair that ours gets wrong is printed.

Speed: the same mixed answers, in turn, the best of so many rounds. Ours by ``grade_many`` with its worker processes,
which were started before and have nothing kept from an earlier round; Math-Verify by ``parse`` and ``verify`` in a loop
in this process, as its own documentation has it, after one unmeasured round. The last line is JSON; ``ratio`` is our
pairs a second over Math-Verify's.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

from mimovl.types import Outcome
from mimovl.verify import Item, grade_many
from mimovl.verify.answer import split_thought
from mimovl.verify.math_pool import shared_pool

GOLD = Path(__file__).parent.parent / "tests" / "verify" / "gold"


def labelled() -> list[dict[str, Any]]:
    lines = [line for file in sorted(GOLD.glob("*.jsonl")) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row for row in map(json.loads, lines) if row["kind"] == "math"]


def errors(rows: list[dict[str, Any]], accepted: list[bool]) -> tuple[list[int], list[int]]:
    """Places of false positives and of false negatives."""
    right = [row["label"] == "CORRECT" for row in rows]
    pairs = list(enumerate(zip(right, accepted, strict=True)))
    return [n for n, (label, said) in pairs if said and not label], [
        n for n, (label, said) in pairs if label and not said
    ]


def math_verify_loop(rows: list[dict[str, Any]]) -> list[bool]:
    """The peer as its users call it."""
    from math_verify import parse, verify

    accepted = []
    for row in rows:
        gold = parse("\\boxed{" + str(row["gold"]) + "}")
        answer = parse(split_thought(row["completion"]) or "")
        accepted.append(bool(verify(gold, answer)))
    return accepted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows = labelled()
    items = [Item(row["kind"], row["completion"], row["gold"], row["options"]) for row in rows]
    pool = shared_pool()
    pool.start()

    verdicts = grade_many(items)
    ours = errors(rows, [verdict.outcome is Outcome.CORRECT for verdict in verdicts])
    pairs = [(str(row["gold"]), split_thought(row["completion"]) or "") for row in rows]
    peers = {}
    for rule in ("alone", "suite"):
        peers[rule] = errors(rows, [said == "equal" for said in pool.compare_many(pairs, rule=rule)])
    best = min(peers, key=lambda rule: len(peers[rule][0]) + len(peers[rule][1]))
    for name, (positives, negatives) in {"ours": ours, **peers}.items():
        print(f"  {name:6s} false positives {len(positives):3d}  false negatives {len(negatives):3d}  of {len(rows)}")
    lenient = [n for n, row in enumerate(rows) if not row["options"]]
    without = [[sum(n in lenient for n in places) for places in side] for side in (ours, peers[best])]
    print(f"  on the {len(lenient)} pairs without a tolerance or a unit asked for, which Math-Verify cannot be told:")
    print(f"    ours {without[0]}, Math-Verify {without[1]} false positives and negatives")
    for what, places in (("false positive", ours[0]), ("false negative", ours[1])):
        for place in places:
            row, verdict = rows[place], verdicts[place]
            print(f"  ours, {what}: {row['completion']!r} for {row['gold']!r} ({row['reason']}; {verdict.rule})")

    quickest = {"ours": math.inf, "math_verify": math.inf}
    math_verify_loop(rows)
    for _ in range(arguments.rounds):
        pool.forget()
        start = time.perf_counter()
        grade_many(items)
        quickest["ours"] = min(quickest["ours"], time.perf_counter() - start)
        start = time.perf_counter()
        math_verify_loop(rows)
        quickest["math_verify"] = min(quickest["math_verify"], time.perf_counter() - start)
    speed = {name: len(rows) / seconds for name, seconds in quickest.items()}
    rules = sum(not verdict.rule.startswith("Math-Verify") for verdict in verdicts)
    print(f"  {rules} of {len(rows)} pairs decided without Math-Verify")
    for name, value in speed.items():
        print(f"  {name:12s} {value:8.0f} pairs/s")
    fewer = len(ours[0]) < len(peers[best][0]) and len(ours[1]) < len(peers[best][1])
    result = {
        "benchmark": "math_grading",
        "pairs": len(rows),
        "ours": {"false_positives": len(ours[0]), "false_negatives": len(ours[1])},
        "math_verify": {"false_positives": len(peers[best][0]), "false_negatives": len(peers[best][1])},
        "pairs_per_s": {name: round(value) for name, value in speed.items()},
        "ratio": round(speed["ours"] / speed["math_verify"], 2) if fewer else None,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
