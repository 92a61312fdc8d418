"""Share of the machine's own matrix-product rate that a training step reaches: 100M parameters, packs of 8K tokens.

    python benchmarks/matmul_share.py [--steps 2] [--length 8192] [--threads 2] [--profile]

The peer is torch.mm on two large square matrices, in the same process and on the same threads, timed before the first
step and after each; a step is compared with the mean of its two neighbours, so a machine that slows down slows both.
A first step, for which all memory is new, is not counted.
The step is the trainer's: loss of a packed batch, backward, clipping, AdamW, everything trained, float32, no activation
checkpointing. Its operations are those of ``mimovl.plan``: matrix products and attention of pairs that exist, nothing
for norms, activations or the optimizer, so 100 % cannot be reached.

The pack holds pictures of 256 to 4,096 visual tokens and texts, as in benchmarks/packing.py, cut to fill it exactly.
First, the matrix products counted are compared with those that torch's own counter sees in a step.
The last line is JSON; ``ratio`` is the median share.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from mimovl.data import Encoded, VisualSpan, collate, mrope_positions
from mimovl.heap import keep_freed_memory
from mimovl.model import VisionLanguageModel, build_model, preset
from mimovl.plan import PARTS, Load, count_flops
from mimovl.train import Optimizer, OptimizerConfig, language_model_loss
from mimovl.types import IGNORE_INDEX, PackedBatch

SIDE = 2048
"""Of the square matrices: 48 MiB, beyond any cache, 17 GFLOP."""
COUNTED = 1e-3
"""Largest difference of the two counts, relative."""
CONFIG = preset("small").with_vocabulary(
    4096, image_token_id=4000, video_token_id=4001, vision_start_token_id=4002, vision_end_token_id=4003
)


def draw_pack(length: int, seed: int = 0) -> PackedBatch:
    """One pack, filled to the last token; three samples of four have a picture, half of a text carries loss."""
    rng = np.random.default_rng(seed)
    samples: list[Encoded] = []
    left = length
    while left:
        visual = int(np.exp(rng.uniform(*np.log((256, 4096))))) if rng.random() < 0.75 else 0
        text = int(np.clip(rng.lognormal(np.log(150 if visual else 500), 1.0), 16, 4096))
        rows = max(2, round((visual * rng.uniform(0.5, 2)) ** 0.5)) if visual else 0
        columns = max(2, visual // rows) if rows else 0
        if rows * columns + text + 2 > left:
            rows, columns, text = 0, 0, min(left, text + visual)
        tokens = rng.integers(0, 4000, text).tolist()
        visuals = []
        if rows:
            visuals = [VisualSpan(1, (1, 2 * rows, 2 * columns), 0.0)]
            placed = [CONFIG.image_token_id] * (rows * columns)
            tokens = [CONFIG.vision_start_token_id, *placed, CONFIG.vision_end_token_id, *tokens]
        labels = torch.full((len(tokens),), IGNORE_INDEX)
        labels[-1 - text // 2 : -1] = torch.tensor(tokens[len(tokens) - text // 2 :])
        pixels = [torch.from_numpy(rng.standard_normal((4 * rows * columns, 1176), dtype=np.float32))] if rows else []
        positions = mrope_positions(len(tokens), visuals, CONFIG)
        grids = [visual.grid_thw for visual in visuals]
        samples.append(Encoded(str(left), "mixed", torch.tensor(tokens), positions, labels, pixels, grids))
        left -= len(tokens)
    return collate(samples, visual_token_ids=(CONFIG.image_token_id, CONFIG.video_token_id))


def matmul_rate(seconds: float = 1.0) -> float:
    """Operations a second of torch.mm over about so long."""
    one, other, out = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE), torch.empty(SIDE, SIDE)
    torch.mm(one, other, out=out)
    started, times = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds or not times:
        torch.mm(one, other, out=out)
        times += 1
    return times * 2.0 * SIDE**3 / elapsed


def step(model: VisionLanguageModel, optimizer: Optimizer, batch: PackedBatch) -> float:
    """One step as the trainer makes it; its loss."""
    loss = language_model_loss(model, batch)
    mean = loss.total / loss.num_tokens
    mean.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(mean.detach())


def check_count(model: VisionLanguageModel, optimizer: Optimizer, length: int) -> None:
    """Stop where our count of matrix products and torch's differ; of a short pack, attention left out on both sides."""
    batch = draw_pack(length, seed=1)
    with FlopCounterMode(display=False) as counter:
        step(model, optimizer, batch)
    seen = sum(flops for name, flops in counter.get_flop_counts()["Global"].items() if "attention" not in str(name))
    load = Load.of_batch(batch, CONFIG)
    linear = count_flops(CONFIG, Load(load.tokens, 0, load.labels, load.patches), PARTS)
    counted = sum(part.model for part in linear.values())
    print(f"matrix products of a short pack: {counted / 1e9:.2f} GFLOP counted, {seen / 1e9:.2f} seen by torch")
    if abs(counted / seen - 1) > COUNTED:
        sys.exit(f"the counts differ by {abs(counted / seen - 1):.1%}, more than {COUNTED:.0%}; nothing is timed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="print where one more step spends its time")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as the trainer does
    model = build_model(CONFIG, seed=0).train()
    optimizer = Optimizer(dict(model.named_children()), dict.fromkeys(PARTS, 1e-4), OptimizerConfig())
    check_count(model, optimizer, min(512, args.length))
    batch = draw_pack(args.length)
    load = Load.of_batch(batch, CONFIG)
    parts = count_flops(CONFIG, load, PARTS)
    flops = sum(part.model for part in parts.values())
    size = sum(model.num_parameters().values())
    shares = {name: round(part.model / flops, 3) for name, part in parts.items()}
    print(f"{size / 1e6:.0f} M parameters; {batch.num_tokens} tokens, {len(batch.grid_thw)} pictures, {shares}")
    step(model, optimizer, batch)
    matmul, seconds = [matmul_rate()], []
    for number in range(args.steps):
        started = time.perf_counter()
        loss = step(model, optimizer, batch)
        seconds.append(time.perf_counter() - started)
        matmul.append(matmul_rate())
        rates = f"{flops / seconds[-1] / 1e9:.1f} GFLOP/s beside {matmul[-1] / 1e9:.1f}"
        print(f"step {number + 1}: loss {loss:.3f}, {seconds[-1]:.2f} s, {rates}")
    if args.profile:
        with torch.profiler.profile() as profile:
            step(model, optimizer, batch)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))
    ratios = [
        flops / taken / ((before + after) / 2)
        for taken, before, after in zip(seconds, matmul[:-1], matmul[1:], strict=True)
    ]
    report = {
        "benchmark": "matmul_share",
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "step_gflops_per_s": round(statistics.median(flops / taken for taken in seconds) / 1e9, 1),
        "matmul_gflops_per_s": round(statistics.median(matmul) / 1e9, 1),
        "tokens_per_s": round(batch.num_tokens / statistics.median(seconds), 1),
        "parameters": size,
        "pictures": len(batch.grid_thw),
        **vars(args),
        "torch": torch.__version__,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
