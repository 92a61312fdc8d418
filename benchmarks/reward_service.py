"""The reward service on loopback: rewards a second, latency at half that load, and what faults cost.

    python benchmarks/reward_service.py [--seconds 10] [--batch 64]
    python benchmarks/reward_service.py --faults [--seconds 60]

``mimovl reward serve`` runs as a user starts it; the load comes from this process, on the same processors. Items are
rule rewards of six kinds, right and wrong; every reward is compared with that of the router in this process: all once
before anything is timed, and where any was wrong or failed under load, the exit code is 1 and there is no last line.

Load: as many rewards as the service gives to eight callers with batches of ``--batch``; then batches of 16 sent by the
clock, whatever becomes of those before, at half of 2,000 rewards a second and at half of what was just reached. Latency
counts from the moment a batch was due, so a stall is paid by all that had to wait for it. ``ratio`` is the service's
rewards a second over those of the router in this process, one core without HTTP.

Faults: a tenth of the requests carries an item that crashes its worker, leaves, loops, sleeps, eats memory or raises,
among good ones; every five seconds a worker is killed. Good items must all come back, right; the last line says how
many were lost or wrong, and the exit code is 1 where any was. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from mimovl.reward import RewardRouter
from mimovl.reward.client import AsyncRemoteRewards
from mimovl.reward.schema import item_of
from mimovl.types import Gold, Outcome, Sample
from tests.reward.poison import FUNCTIONS
from tests.reward.server import Server

CALLERS = 8
AIM, LATENCY_BATCH = 2000, 16
POISON = ("crash", "leave", "spin", "sleep", "devour", "explode")
KILL_SECONDS = 5.0

Pair = tuple[Sample, str]


def pairs(count: int) -> list[Pair]:
    """Rule rewards of six kinds: samples with completions, a third of them wrong, thoughts of a few hundred words."""
    draw = random.Random(0)
    made: list[Pair] = []
    for n in range(count):
        a, b, wrong = draw.randrange(1, 50), draw.randrange(1, 50), draw.random() < 1 / 3
        thought = "<think>" + " ".join(f"step {k}: look at part {k} again." for k in range(draw.randrange(20, 80)))
        other = a + 1 if wrong else a
        gold, answer = [
            (Gold("count", a), f"There are {other}."),
            (Gold("number", a / b), rf"\boxed{{{other / b!r}}}"),
            (Gold("math", rf"\frac{{{a}}}{{{b}}}"), rf"\boxed{{\frac{{{2 * other}}}{{{2 * b}}}}}"),
            (Gold("choice", "B"), "C" if wrong else "The answer is B."),
            (Gold("box", [a, b, a + 40, b + 40]), f'[{{"bbox_2d":[{other},{b},{other + 40},{b + 40}]}}]'),
            (Gold("span", [a, a + 9]), f"[00:{other:02d},00:{other + 9:02d}]"),
        ][n % 6]
        made.append((Sample(f"item-{n}", (), task=gold.kind, gold=gold), f"{thought}</think>{answer}"))
    return made


def scores(made: list[Pair]) -> list[float]:
    samples, texts = zip(*made, strict=True)
    return [verdict.score for verdict in RewardRouter().score_many(samples, texts)]


def bodies(made: list[Pair], expected: list[float], batch: int) -> list[tuple[bytes, list[float]]]:
    """Requests with the rewards they should bring."""
    return [
        (json.dumps({"items": [item_of(*pair) for pair in made[n : n + batch]]}).encode(), expected[n : n + batch])
        for n in range(0, len(made), batch)
    ]


async def post(client: httpx.AsyncClient, body: bytes, expected: list[float]) -> bool:
    """Whether the rewards are as they should be."""
    response = await client.post("/v1/rewards", content=body, headers={"Content-Type": "application/json"})
    return response.status_code == 200 and [one["score"] for one in response.json()["rewards"]] == expected


async def throughput(url: str, requests: list[tuple[bytes, list[float]]], seconds: float) -> tuple[float, int]:
    """Rewards a second to callers that ask again as soon as they are answered, and how many requests failed."""
    done = failed = 0
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        started = time.perf_counter()

        async def caller(place: int) -> None:
            nonlocal done, failed
            while time.perf_counter() - started < seconds:
                body, expected = requests[place % len(requests)]
                right = await post(client, body, expected)
                done, failed, place = done + len(expected) * right, failed + (not right), place + CALLERS

        await asyncio.gather(*map(caller, range(CALLERS)))
        return done / (time.perf_counter() - started), failed


async def latency(url: str, requests: list[tuple[bytes, list[float]]], rate: float, seconds: float) -> dict[str, float]:
    """Milliseconds to answer requests that come by the clock, ``rate`` rewards a second."""
    taken: list[float] = []
    failed = 0
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        started = time.perf_counter()

        async def one(number: int, due: float) -> None:
            nonlocal failed
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            failed += not await post(client, *requests[number % len(requests)])
            taken.append((time.perf_counter() - due) * 1000)

        count = max(2, int(seconds * rate / LATENCY_BATCH))
        await asyncio.gather(*(one(n, started + 0.1 + n * LATENCY_BATCH / rate) for n in range(count)))
    quantiles = statistics.quantiles(taken, n=100, method="inclusive")
    return {"rate": rate, "p50_ms": round(quantiles[49], 1), "p99_ms": round(quantiles[98], 1), "failed": failed}


async def check(url: str, requests: list[tuple[bytes, list[float]]]) -> None:
    """Ask for every reward once.

    Raises:
        SystemExit: some are not those of the router in this process.
    """
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        right = [await post(client, *request) for request in requests]
    if not all(right):
        raise SystemExit(
            f"{right.count(False)} of {len(right)} requests failed or brought other rewards than the router"
        )


async def load(url: str, seconds: float, batch: int) -> dict[str, object]:
    made = pairs(1920)
    expected = scores(made)
    started = time.perf_counter()
    scores(made)
    alone = len(made) / (time.perf_counter() - started)
    large, small = bodies(made, expected, batch), bodies(made, expected, LATENCY_BATCH)
    await check(url, large)
    await throughput(url, large, min(2.0, seconds))  # connections, caches of the workers
    rate, failed = await throughput(url, large, seconds)
    print(f"{rate:8.0f} rewards/s to {CALLERS} callers with batches of {batch}; {failed} requests failed or were wrong")
    found = [await latency(url, small, one, seconds) for one in (AIM / 2, rate / 2)]
    for one in found:
        print("{p50_ms:8.1f} ms p50, {p99_ms:.1f} ms p99 at {rate:.0f} rewards/s; {failed} failed".format(**one))
    if wrong := failed + sum(int(one["failed"]) for one in found):
        raise SystemExit(f"{wrong} requests failed or brought other rewards than the router under load")
    print(f"{alone:8.0f} rewards/s of the router in one process")
    figures = {"rewards_per_s": round(rate), "router_per_s": round(alone), "ratio": round(rate / alone, 2)}
    return {**figures, "failed": 0, "latency": found}


async def faults(server: Server, seconds: float, batch: int) -> dict[str, object]:
    made = pairs(1920)
    expected = scores(made)
    counts: Counter[str] = Counter()
    started, draw = time.monotonic(), random.Random(1)

    async def caller(client: AsyncRemoteRewards, place: int) -> None:
        while time.monotonic() - started < seconds:
            start = place * batch % (len(made) - batch)
            asked, wanted = list(made[start : start + batch]), list(expected[start : start + batch])
            poisoned = draw.random() < 0.1
            if poisoned:
                where, task = draw.randrange(batch), POISON[counts["poison"] % len(POISON)]
                asked[where], counts["poison"] = (Sample("poison", (), task=task), "x"), counts["poison"] + 1
            samples, texts = zip(*asked, strict=True)
            verdicts = await client.score_many(samples, texts)
            for (sample, _), verdict, score in zip(asked, verdicts, wanted, strict=True):
                if sample.id == "poison":
                    counts["poison_graded"] += verdict.outcome is not Outcome.NOT_GRADED
                    continue
                counts["good"] += 1
                counts["lost"] += verdict.outcome is Outcome.NOT_GRADED
                counts["wrong"] += verdict.outcome is not Outcome.NOT_GRADED and verdict.score != score
            place += CALLERS

    async def killer() -> None:
        while time.monotonic() - started < seconds - KILL_SECONDS / 2:
            await asyncio.sleep(KILL_SECONDS)
            if workers := server.workers():
                os.kill(draw.choice(workers), signal.SIGKILL)
                counts["killed"] += 1

    async with AsyncRemoteRewards(server.url) as client:
        await asyncio.gather(*(caller(client, place) for place in range(CALLERS)), killer())
    took = time.monotonic() - started
    ends = [line for line in httpx.get(server.url + "/metrics").text.splitlines() if "worker_ends_total{" in line]
    print(*ends, sep="\n")
    names = ("good", "lost", "wrong", "poison", "poison_graded", "killed")
    return {"seconds": round(took, 1), **{name: counts[name] for name in names}, "per_s": round(counts["good"] / took)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the reward service.")
    parser.add_argument("--faults", action="store_true", help="poison and killed workers in place of clean load")
    parser.add_argument("--seconds", type=float, help="10 of each load; 60 of faults")
    parser.add_argument("--batch", type=int, default=64, help="items of a request")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2, help="grading processes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        functions = "".join(f"  {task}: {FUNCTIONS[task]}\n" for task in POISON) if arguments.faults else "  {}\n"
        (folder / "service.yaml").write_text(
            f"workers: {arguments.workers}\nitem_seconds: 2.0\nitem_cpu_seconds: 0.5\nworker_memory_mb: 512\n"
            f"functions:\n{functions}",
            encoding="utf-8",
        )
        with Server(folder, "--config", str(folder / "service.yaml")) as server:
            if arguments.faults:
                result = asyncio.run(faults(server, arguments.seconds or 60.0, arguments.batch))
            else:
                result = asyncio.run(load(server.url, arguments.seconds or 10.0, arguments.batch))
            assert server.stop() == 0, server.output()
    print(json.dumps({"benchmark": "reward_service", "workers": arguments.workers, **result}))
    if lost := {name: result[name] for name in ("lost", "wrong") if result.get(name)}:
        raise SystemExit(f"good items were harmed: {lost}")


if __name__ == "__main__":
    main()
