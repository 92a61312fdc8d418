"""Ten thousand nasty answers: none may hang, crash, leave [0, 1] or make memory grow.

    python benchmarks/grader_pathology.py [--inputs 10000]

Answers are drawn from families that break graders: towers of powers, factorials, braces nested a hundred thousand deep,
a megabyte of anything, NaN boxes, lone surrogates, Python and TeX that asks for work, unfinished thoughts, JSON bombs.
Four in ten go to the grader of math, the others to any. Math may ask Math-Verify, whose processes are counted too.
Correctness first: golden answers get 1 before and after, so that nothing was broken on the way.

Limits: 2 seconds an answer, no exception, and the memory of this process and its workers at the end at
most 64 MB above what it was after the first tenth. Seconds are those of the CPU, of this process and its workers
together, so that a busy machine does not hang in their place; by the clock they are printed as well. The last line is
JSON; ``ratio`` is the limit over the slowest answer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimovl.types import Outcome
from mimovl.verify import KINDS, grade
from mimovl.verify.math_pool import shared_pool

LIMIT_SECONDS = 2.0
LIMIT_GROWTH_MB = 64.0
MEGABYTE = 1 << 20

GOLDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "choice": ("B", {"choices": ["red", "blue", "7"]}),
    "number": ("7", {}),
    "math": (r"\frac{\sqrt{3}}{2}", {}),
    "box": ([[1, 2, 30, 40], [50, 2, 70, 40]], {}),
    "point": ([1, 2, 30, 40], {}),
    "count": (3, {}),
    "span": ([3.0, 7.0], {}),
    "text": ("red circle", {"metric": "edit"}),
    "action": ({"action": "click", "bbox": [1, 2, 30, 40]}, {}),
    "json": ({"a": [1, 2]}, {"metric": "fields"}),
    "format": (["boxed", "json", "boxes", "action", "span", "thought"], {}),
    "repetition": (0.2, {}),
    "length": (100, {"slack": 50}),
}
GOLDEN = {
    "choice": "B",
    "number": r"\boxed{7}",
    "math": r"\boxed{\sin 60^\circ}",
    "box": "[[1,2,30,40],[50,2,70,40]]",
    "point": "[5,5]",
    "count": "three",
    "span": "[00:03,00:07]",
    "text": "red circle",
    "action": '{"action":"click","start_point":[5,5]}',
    "json": '{"a":[1,2]}',
    "repetition": "nothing twice",
    "length": "short",
}


def powers(rng: random.Random) -> str:
    """Huge powers, factorials, binomials and roots of them."""
    base, times = rng.randint(2, 99), rng.randint(1, 12)
    return rng.choice(
        [
            "^{".join([str(base)] * times) + "}" * (times - 1),
            f"{base}**" * times + str(rng.randint(1, 10**9)),
            f"{base}^{{{rng.randint(10**3, 10**12)}}}",
            f"({base}+x)^{{{rng.randint(50, 10**6)}}}",
            f"{rng.randint(10**3, 10**9)}!",
            "!" * times + f"{base}" + "!" * times,
            rf"\binom{{{rng.randint(10**4, 10**12)}}}{{{rng.randint(10**3, 10**9)}}}",
            rf"\sqrt[{rng.randint(2, 10**6)}]{{{rng.randint(10**10, 10**60)}}}",
            rf"\frac{{1}}{{{base}^{{{rng.randint(10**3, 10**8)}}}}}",
            f"1e{rng.randint(1, 10**9)}",
            "9" * rng.randint(1, 100_000),
            r"\sqrt{" * times + f"{base}+x" + "}" * times,
            "(" + "+".join(f"x_{{{i}}}" for i in range(rng.randint(2, 60))) + f")^{rng.randint(2, 90)}",
        ]
    )


def nesting(rng: random.Random) -> str:
    """Brackets of every kind, open, closed and crossed."""
    depth = rng.choice([10, 40, 100, 1000, 100_000])
    opener, closer = rng.choice([("{", "}"), ("(", ")"), ("[", "]"), (r"\{", r"\}"), (r"\frac{1}{", "}"), ("|", "|")])
    middle = rng.choice(["1", "x", "", ",", "1,2,30,40"])
    closed = rng.choice([depth, depth - 1, depth // 2, 0, depth + 1])
    return opener * depth + middle + closer * closed


PIECES = ["a", "1", "1,", "1 ", "-", "^", "\\", "$", "`", "*", "\n", " ", "三", "½", "²", "{", "[1,2,30,40],"]
PIECES += ["00:03 - ", "the answer is ", "A or B, ", r"\boxed{", r"\frac{1}{2}", "<think></think>", '{"a":', "=1"]
PIECES += ["x+", "√", "|", r"\pm ", r"\cup ", "(1,2)", "< x ", " and ", "cm ", "/", "1/", "!", ":", "_", "one hundred "]


def long_text(rng: random.Random) -> str:
    """Up to a megabyte of a short piece."""
    piece = rng.choice(PIECES)
    return piece * (rng.choice([1000, 20_000, 250_000, MEGABYTE]) // len(piece))


def coordinates(rng: random.Random) -> str:
    """Boxes, points and spans of NaN, infinities, absurd and missing numbers."""
    values = [
        "NaN",
        "Infinity",
        "-1e999",
        "1e300",
        "0",
        "-0.0",
        "30",
        "",
        "null",
        "'1'",
        "٣",
        "1_000",
        "0x10",
        "1e-400",
    ]
    count = rng.choice([1, 2, 3, 4, 5, 40])
    inner = ",".join(rng.choice(values) for _ in range(count))
    return rng.choice(
        [
            f"[{inner}]",
            f'[{{"bbox_2d":[{inner}],"label":"x"}}]' * rng.choice([1, 3, 300]),
            f'{{"action":"click","start_point":[{inner}]}}',
            f"[{inner.replace(',', ':')}, 00:07]",
            f"x1={inner}, y1={inner}, x2={inner}, y2={inner}",
        ]
    )


def unicode_text(rng: random.Random) -> str:
    """Any code points: surrogates, controls, marks upon marks, right-to-left, digits of all scripts."""
    ranges = [(0, 0x20), (0x300, 0x36F), (0x600, 0x6FF), (0x2000, 0x2FFF), (0xD800, 0xDFFF), (0xFF00, 0xFFEF)]
    ranges += [(0x1D400, 0x1D7FF), (0x1F300, 0x1F6FF), (0x4E00, 0x9FFF), (0xE0000, 0xE007F)]
    low, high = rng.choice(ranges)
    return "".join(chr(rng.randint(low, high)) for _ in range(rng.choice([1, 10, 300, 30_000])))


def code(rng: random.Random) -> str:
    """Text that asks to be run or to be worked on."""
    return rng.choice(
        [
            "__import__('os').system('sleep 60')",
            "[x for x in range(10**10)]",
            "().__class__.__bases__[0].__subclasses__()",
            "lambda: 1" * rng.randint(1, 50),
            rf"\int_0^{{{rng.randint(1, 99)}}} e^{{-x^2}}\sin({rng.randint(1, 9)}x) dx",
            rf"\sum_{{n=1}}^{{\infty}} \frac{{1}}{{n^{{{rng.randint(2, 40)}}}}}",
            rf"\prod_{{k=1}}^{{{rng.randint(10, 10**9)}}} (k^2+1)",
            rf"\lim_{{n\to\infty}} (1+\frac{{1}}{{n}})^{{{rng.randint(1, 99)}n}}",
            r"\cos(\cos(\cos(\cos(x^x^x))))",
            rf"x^{{{rng.randint(30, 99)}}}+x^{{{rng.randint(3, 29)}}}-{rng.randint(2, 99)}=0",
            r"\def\a{\a\a}\a",
            rf"\begin{{pmatrix}}{'&'.join(['x'] * rng.randint(2, 80))}\end{{pmatrix}}^{{{rng.randint(2, 99)}}}",
            r"\tan^{-1}(\sqrt{x^2+\ln(\sin(\sqrt[7]{x})+i)})" * rng.randint(1, 5),
            "(a" + "+".join(f"a?{i}" for i in range(30)) + "*)+" * rng.randint(1, 30) + "b",
            '{"a":' * rng.choice([10, 1000, 100_000]) + "1",
            "[" * rng.choice([10, 1000, 100_000]) + "1" + "]" * 10,
        ]
    )


def thoughts(rng: random.Random) -> str:
    """Thoughts and boxes, finished or not, around something nasty."""
    pieces = ["<think>", "</think>", r"\boxed{", "}", "<|im_end|>", "the answer is ", "答案是", "$", "```json\n", "```"]
    inner = rng.choice([powers, nesting, coordinates, code])(rng)[:2000]
    return "".join(rng.choice([*pieces, inner]) for _ in range(rng.randint(2, 30)))


FAMILIES: tuple[Callable[[random.Random], str], ...] = (
    powers,
    nesting,
    long_text,
    coordinates,
    unicode_text,
    code,
    thoughts,
)


def draw(rng: random.Random) -> tuple[str, str]:
    """A kind and a completion."""
    text = rng.choice(FAMILIES)(rng)
    if rng.random() < 0.5:
        text = r"<think>hm</think>\boxed{" + text + "}"
    return ("math" if rng.random() < 0.4 else rng.choice(KINDS)), text


def memory_mb() -> float:
    """Resident memory of this process and of all that descends from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    total, waiting = 0, [os.getpid()]
    while waiting:
        one = waiting.pop()
        waiting.extend(children.get(one, []))
        try:
            # proportional share: forked workers do not count their common pages twice
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:
            continue
    return total / 1024


def cpu_seconds() -> float:
    """CPU time of this process and of its workers, those that ended included."""
    ticks, waiting = 0, [process._process.pid for process in shared_pool()._processes if process._process]
    while waiting:
        one = waiting.pop()
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))  # user, system, and those of children that ended
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def check_golden() -> None:
    for kind, answer in GOLDEN.items():
        gold, options = GOLDS[kind]
        if (score := grade(kind, answer, gold, **options).score) != 1:
            raise SystemExit(f"{kind}: the golden answer got {score}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    shared_pool().start()
    check_golden()
    rng = random.Random(arguments.seed)
    slowest: list[tuple[float, str, str]] = []
    crashes: list[tuple[str, str, str]] = []
    outcomes: Counter[str] = Counter()
    asked = hangs = 0
    slowest_by_clock = 0.0
    early = memory_mb()
    began = time.perf_counter()
    for number in range(arguments.inputs):
        kind, text = draw(rng)
        gold, options = GOLDS[kind]
        start, spent = time.perf_counter(), cpu_seconds()
        try:
            verdict = grade(kind, text, gold, **options)
        except Exception as error:  # the very thing that must not happen
            crashes.append((kind, text[:80], repr(error)[:200]))
            continue
        clock, seconds = time.perf_counter() - start, cpu_seconds() - spent
        slowest_by_clock = max(slowest_by_clock, clock)
        hangs += seconds > LIMIT_SECONDS
        asked += verdict.rule.startswith("Math-Verify")
        outcomes[verdict.outcome] += 1
        if not 0 <= verdict.score <= 1 or (verdict.score and verdict.outcome not in (Outcome.CORRECT, Outcome.WRONG)):
            crashes.append((kind, text[:80], f"impossible verdict {verdict}"))
        slowest = sorted([*slowest, (seconds, kind, text[:60])], reverse=True)[:5]
        if number == arguments.inputs // 10:
            early = memory_mb()
        if sys.stderr.isatty() and number % 100 == 0:
            print(f"\r  {number} of {arguments.inputs}", end="", file=sys.stderr, flush=True)
    total = time.perf_counter() - began
    growth = memory_mb() - early
    check_golden()
    for seconds, kind, text in slowest:
        print(f"  {seconds:6.3f} s  {kind:10s} {text!r}")
    for kind, text, error in crashes[:20]:
        print(f"  crash of {kind}: {text!r}: {error}")
    print(f"  {dict(outcomes)}; Math-Verify was asked {asked} times; memory grew by {growth:.1f} MB")
    result = {
        "benchmark": "grader_pathology",
        "inputs": arguments.inputs,
        "hangs": hangs,
        "crashes": len(crashes),
        "memory_growth_mb": round(growth, 1),
        "slowest_cpu_s": round(slowest[0][0], 3),
        "slowest_by_clock_s": round(slowest_by_clock, 3),
        "seconds": round(total, 1),
        "ratio": round(LIMIT_SECONDS / slowest[0][0], 2) if not crashes and growth <= LIMIT_GROWTH_MB else None,
    }
    print(json.dumps(result))
    if hangs or crashes or growth > LIMIT_GROWTH_MB:
        sys.exit(1)


if __name__ == "__main__":
    main()
