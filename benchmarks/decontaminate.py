"""Benchmark pictures hidden in a training set, in every orientation and re-encoded: how many are found.

    python benchmarks/decontaminate.py

Each of the benchmark's drawn photos is planted eight times, turned and mirrored, smaller, at another quality; the
other training pictures are new. The peer is what pipelines do: an equal hash of the picture as it is. The last line is
JSON; ``ratio`` is the share of leaks found by ours over the share found by equality.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from dedup_quality import jpeg, photo
from PIL import Image

from mimovl.curate.benchmark_items import BenchmarkItem
from mimovl.curate.decontaminate import Probes
from mimovl.curate.grey import turned
from mimovl.curate.signature import sign


def planted(seed: int, orientation: int) -> bytes:
    """A benchmark's photo as a crawler may have met it."""
    pixels = np.asarray(photo(seed).resize((400, 400), Image.Resampling.BICUBIC))
    return jpeg(Image.fromarray(np.ascontiguousarray(turned(pixels, orientation))), 70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probes", type=int, default=300)
    parser.add_argument("--clean", type=int, default=12_000)
    arguments = parser.parse_args()
    probes = Probes(BenchmarkItem("photos", str(seed), (jpeg(photo(seed)),)) for seed in range(arguments.probes))
    leaks = [(seed, turn) for seed in range(arguments.probes) for turn in range(8)]
    signatures, _ = sign(planted(seed, turn) for seed, turn in leaks)
    start = time.process_time()
    found = {row for row, picture, _ in probes.find(signatures) if picture == leaks[row][0]}
    seconds = time.process_time() - start
    equal = np.isin(signatures.hash64[:, 0], probes.signatures.hash64[:, 0])
    clean, _ = sign(jpeg(photo(10**6 + seed)) for seed in range(arguments.clean))
    lost = {row for row, *_ in probes.find(clean)}
    ours, theirs = len(found) / len(leaks), float(equal.mean())
    print(f"  found: ours {ours:.4f}, equal hashes {theirs:.4f} of {len(leaks):,}; clean pictures lost: {len(lost)}")
    result = {
        "benchmark": "decontaminate",
        "leaks": len(leaks),
        "found": round(ours, 4),
        "found_by_equality": round(theirs, 4),
        "found_least_by_orientation": min(
            round(sum(leaks[row][1] == turn for row in found) / arguments.probes, 4) for turn in range(8)
        ),
        "clean": arguments.clean,
        "clean_lost": len(lost),
        "clean_lost_share": round(len(lost) / max(1, arguments.clean), 6),
        "looked_up_per_s": round(len(leaks) / max(seconds, 1e-9)),
        "ratio": round(ours / max(theirs, 1e-9), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
