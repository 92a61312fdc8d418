"""All pairs of 64-bit hashes within 8 bits: ours beside faiss's exact binary range search.

    python -m venv peers && peers/bin/pip install -e '.[curate,benchmarks]'
    peers/bin/python benchmarks/near_duplicates.py
    peers/bin/python benchmarks/near_duplicates.py --hashes 10000000 --faiss-queries 0

Random hashes with planted neighbours at 0 to 10 bits. Ours joins all with all in a process of its own, whose peak of
memory is read; recall is checked first, against every pair compared on a tenth. faiss compares a sample of the hashes
with all of them, single-threaded, and its time for all is that times the share left out: its work per query is
constant. CPU seconds. The last line is JSON; ``ratio`` is faiss's seconds over ours.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time

import numpy as np
import numpy.typing as npt

from mimovl.curate.near_duplicates import iter_pairs

RADIUS = 8


def draw(count: int) -> npt.NDArray[np.uint64]:
    """Random hashes; a twentieth are others with up to ten bits flipped."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    planted = count // 20
    copies = hashes[:planted].copy()
    flips = rng.integers(0, 11, planted)
    places = rng.permuted(np.tile(np.arange(64, dtype=np.uint64), (planted, 1)), axis=1)
    for flip in range(10):
        copies[flips > flip] ^= np.uint64(1) << places[flips > flip, flip]
    hashes[count - planted :] = copies
    return hashes


def near_copies(count: int) -> int:
    """Planted neighbours within the radius."""
    hashes, planted = draw(count), count // 20
    return int((np.bitwise_count(hashes[:planted] ^ hashes[count - planted :]) <= RADIUS).sum())


def join(count: int, scratch: str | None) -> tuple[float, float, int, float]:
    """CPU and wall seconds, pairs, peak megabytes of this process."""
    hashes = draw(count)
    start, wall = time.process_time(), time.perf_counter()
    found = sum(len(block) for block in iter_pairs(hashes, RADIUS, scratch=scratch))
    seconds = time.process_time() - start, time.perf_counter() - wall
    return *seconds, found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def recall(count: int) -> tuple[int, int]:
    """Pairs found by ours and pairs there are, from comparing every pair.

    Raises:
        SystemExit: they are not the same.
    """
    hashes = draw(count)
    ours = {(int(i), int(j)) for block in iter_pairs(hashes, RADIUS) for i, j, _ in block}
    there = set()
    for begin in range(0, count, 64):
        one, two = np.nonzero(np.bitwise_count(hashes[begin : begin + 64, None] ^ hashes[None]) <= RADIUS)
        there |= {(int(i) + begin, int(j)) for i, j in zip(one, two, strict=True) if i + begin < j}
    if ours != there:
        raise SystemExit(
            f"of {len(there):,} pairs within {RADIUS} bits among {count:,} hashes ours misses {len(there - ours):,}, "
            f"and names {len(ours - there):,} that are further apart"
        )
    return len(ours & there), len(there)


def faiss_seconds(count: int, queries: int) -> float:
    """Seconds of faiss for all queries, from some."""
    import faiss

    faiss.omp_set_num_threads(1)
    rows = draw(count).view(np.uint8).reshape(count, 8)
    index = faiss.IndexBinaryFlat(64)
    index.add(rows)
    start = time.process_time()
    index.range_search(rows[:queries], RADIUS + 1)
    return (time.process_time() - start) * count / queries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--check", type=int, default=100_000, help="hashes of the recall check")
    parser.add_argument("--faiss-queries", type=int, default=2_000, help="0 leaves faiss out")
    parser.add_argument("--scratch", help="folder for sorted copies: memory stays bounded")
    arguments = parser.parse_args()
    ours, there = recall(arguments.check)
    print(f"  recall on {arguments.check:,}: {ours} of {there}")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, wall, found, memory = pool.apply(join, (arguments.hashes, arguments.scratch))
    print(f"  ours  {seconds:9.2f} s CPU ({wall:.2f} s wall), {found:,} pairs, at most {memory:.0f} MB in all")
    if found < (planted := near_copies(arguments.hashes)):
        raise SystemExit(f"ours found {found:,} pairs among {arguments.hashes:,} hashes, of {planted:,} planted ones")
    result: dict[str, object] = {
        "benchmark": "near_duplicates",
        "hashes": arguments.hashes,
        "pairs": found,
        "ours_s": round(seconds, 2),
        "ours_wall_s": round(wall, 2),
        "peak_mb": round(memory),
        "recall": ours / there,
    }
    if arguments.faiss_queries:
        theirs = faiss_seconds(arguments.hashes, arguments.faiss_queries)
        print(f"  faiss {theirs:9.2f} s CPU, from {arguments.faiss_queries:,} queries")
        result |= {"faiss_s": round(theirs, 1), "ratio": round(theirs / seconds, 1)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
