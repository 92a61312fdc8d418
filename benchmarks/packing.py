"""Packing an index of lengths: ours, one pass with a window, beside TRL's best fit decreasing.

    python benchmarks/packing.py

Correctness comes first: every sample in exactly one pack, no pack too long, and a packer stopped half-way and restored
makes the same packs. Then density (tokens over room in the packs) and samples per CPU second, one thread, both sides
in turn, the best of three. The last line is JSON; ``ratio`` is our speed over TRL's where our density is not lower,
on the mix where we gain least.

TRL is run as `trl.pack_dataset` runs it, on 1000 samples at a time, the same number our window holds, and once more on
the whole index in one piece, which is its densest and which no stream allows. Only its decision is timed: its own code
runs until the packs are known and is stopped before it copies tokens, and the filter of empty samples, which copies
too, is left out. Both are in TRL's favour.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mimovl.data.pack_index import WINDOW, PackerState, WindowPacker, pack

TRL = "trl==1.16.0"
TRL_BATCH = 1000  # of datasets.map, which pack_dataset calls without one


@dataclass(frozen=True)
class Kind:
    """Samples of one kind: visual tokens log-uniform between two bounds, text tokens log-normal."""

    share: float
    """Part of the samples."""
    visual: tuple[int, int] | None
    """Fewest and most visual tokens (28x28 pixels each; a video's frames together)."""
    text_median: int
    text_sigma: float


# The paper gives the lengths of a stage and the largest picture and video (Table 1, section 4.1), not the mixture or
# its lengths. The shares and the text lengths are therefore ours: captions and short answers before, long documents
# and long reasoning in the 32K stage. A sample is cut to the pack's length, and 16 tokens is the shortest.
MIXES: dict[int, dict[str, Kind]] = {
    8192: {
        "text": Kind(0.25, None, 500, 1.0),
        "image": Kind(0.65, (256, 4096), 150, 1.0),
        "video": Kind(0.10, (512, 6144), 200, 1.0),
    },
    32768: {
        "text": Kind(0.40, None, 1500, 1.2),
        "image": Kind(0.45, (256, 4096), 600, 1.2),
        "video": Kind(0.15, (2048, 16384), 400, 1.0),
    },
}


def draw_lengths(max_length: int, samples: int, seed: int = 0) -> list[int]:
    """Lengths drawn from the mix of ``max_length``."""
    rng = np.random.default_rng([seed, max_length])
    kinds = list(MIXES[max_length].values())
    which = rng.choice(len(kinds), samples, p=[kind.share for kind in kinds])
    tokens = np.zeros(samples)
    for number, kind in enumerate(kinds):
        member = which == number
        tokens[member] = rng.lognormal(math.log(kind.text_median), kind.text_sigma, member.sum())
        if kind.visual:
            tokens[member] += np.exp(rng.uniform(*np.log(kind.visual), member.sum()))
    return np.clip(tokens, 16, max_length).astype(int).tolist()


def density(lengths: list[int], packs: list[list[int]], max_length: int) -> float:
    return sum(lengths) / (max_length * len(packs))


def check(lengths: list[int], packs: list[list[int]], max_length: int) -> None:
    """Stop unless every sample is in exactly one pack and no pack is too long."""
    if sorted(itertools.chain(*packs)) != list(range(len(lengths))):
        raise SystemExit("a sample is lost or packed twice")
    if (most := max(sum(lengths[index] for index in chosen) for chosen in packs)) > max_length:
        raise SystemExit(f"a pack has {most} tokens, it holds {max_length}")


def check_restore(lengths: list[int], packs: list[list[int]], max_length: int) -> None:
    """Stop unless a packer saved half-way as JSON text and restored makes the remaining packs."""
    first, made = WindowPacker(max_length), []
    for index, length in enumerate(lengths[: len(lengths) // 2]):
        made += [full] if (full := first.add(index, length)) else []
    state = first.state()
    saved = json.loads(json.dumps([state.num_added, state.waiting]))
    second = WindowPacker(max_length, state=PackerState(saved[0], tuple(map(tuple, saved[1]))))
    for index in range(saved[0], len(lengths)):
        made += [full] if (full := second.add(index, lengths[index])) else []
    if [*made, *second.finish()] != packs:
        raise SystemExit("a restored packer made other packs")


class _Known(Exception):
    """TRL's packs are known."""


class _Compute:
    """pyarrow.compute as TRL sees it here: no copy of the tokens."""

    def __init__(self, compute: Any) -> None:
        self._compute = compute

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compute, name)

    def filter(self, column: Any, mask: Any) -> Any:
        return column  # no sample is empty

    def take(self, *_: Any) -> Any:
        raise _Known


def trl_packer(batch: int) -> Callable[[list[int], int], list[list[int]]] | None:
    """TRL's decision on ``batch`` samples at a time; None where TRL is not installed."""
    try:
        import pyarrow
        import trl.data_utils
    except ImportError:
        return None
    if not isinstance(trl.data_utils.pc, _Compute):
        trl.data_utils.pc = _Compute(trl.data_utils.pc)

    def decide(lengths: list[int], max_length: int) -> list[list[int]]:
        packs: list[list[int]] = []
        ends = np.cumsum([0, *lengths])
        column = pyarrow.LargeListArray.from_arrays(ends, pyarrow.nulls(ends[-1]))  # nulls take no memory
        for start in range(0, len(lengths), batch):
            table = pyarrow.table({"input_ids": column.slice(start, batch)})
            try:
                trl.data_utils._pack_bfd(table, max_length)
            except _Known as known:
                trace = known.__traceback__
                while trace and trace.tb_frame.f_code.co_name != "_pack_bfd":
                    trace = trace.tb_next
                bins = trace.tb_frame.f_locals["bins"]
                packs += [[start + int(index) for index in one["ids"]] for one in bins]
        return packs

    return decide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()

    whole = arguments.samples
    sides: dict[str, Callable[[list[int], int], list[list[int]]] | None] = {
        "ours": pack,
        "trl": trl_packer(TRL_BATCH),
        "trl_whole": trl_packer(whole),
    }
    result: dict[str, Any] = {"benchmark": "packing", "samples": whole, "window": WINDOW, "trl_batch": TRL_BATCH}
    ratios = []
    for max_length in MIXES:
        lengths = draw_lengths(max_length, whole)
        print(f"{max_length} tokens a pack, {whole} samples of {np.mean(lengths):.0f} tokens on average")
        best = dict.fromkeys(sides, math.inf)
        dense = {}
        for _, (name, packer) in itertools.product(range(arguments.repeats), sides.items()):
            if packer is None:
                continue
            began = time.process_time()
            packs = packer(lengths, max_length)
            best[name] = min(best[name], time.process_time() - began)
            if name not in dense:
                check(lengths, packs, max_length)
                if name == "ours":
                    check_restore(lengths, packs, max_length)
                dense[name] = density(lengths, packs, max_length)
        row: dict[str, Any] = {}
        for name in dense:
            speed = whole / best[name]
            row |= {f"{name}_density": round(dense[name], 5), f"{name}_samples_per_s": round(speed)}
            print(f"  {name:10s} density {dense[name]:.5f}  {speed:10,.0f} samples/s")
        row["density_ratio"] = round(dense["ours"] / dense["trl"], 5) if "trl" in dense else None
        if "trl" in dense and dense["ours"] >= dense["trl"]:
            ratios.append(best["trl"] / best["ours"])
        result[str(max_length)] = row
    if sides["trl"] is None:
        print(f"TRL is not installed, so there is no ratio; run: pip install torch '{TRL}'")
    result["ratio"] = round(min(ratios), 2) if len(ratios) == len(MIXES) else None
    print(json.dumps(result))


if __name__ == "__main__":
    main()
