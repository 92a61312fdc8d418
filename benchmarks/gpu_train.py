"""Model FLOPs utilisation of a training step, against the machine's own matrix products in the same run.

    python benchmarks/gpu_train.py                                              a small model, on whatever is there
    python benchmarks/gpu_train.py --preset mimo-vl-7b --layers 12 --blocks 8 --packs 4     the 7B shape on one GPU
    python benchmarks/gpu_train.py --preset small --dtype float32               the 100M model, on a CPU too

One process, FSDP2 with one shard: the very path of ``mimovl train`` with ``parallel: {dtype: bfloat16}``, and whole
steps: gradients of ``--packs`` packs, clipping, AdamW. Packs are made up: samples of one length, a picture in each,
half of the text labelled. Before anything is timed, the loss of a short pack is compared with that of the plain model
in float32 of the same weights. FLOPs are those of ``mimovl.plan`` (what checkpointing repeats does not count). The last
line is JSON; its ``ratio`` is utilisation / 0.39, the best published by torchtitan for blocks of this size on GPUs of
this kind (33 to 39 %); on a CPU, whose peak nobody publishes, it is the share of the measured matrix products / 0.6,
our own aim.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from mimovl.model import ModelConfig, build_model, preset
from mimovl.plan import Load, count_flops
from mimovl.train import StageConfig, language_model_loss
from mimovl.train.checkpoint_distributed import DistributedCheckpoints
from mimovl.train.distributed import joined, own_device
from mimovl.train.fsdp import ShardedSpread
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.peak import machine_peak
from mimovl.types import IGNORE_INDEX, PackedBatch

PUBLISHED, AIM = 0.39, 0.6
WARM = 3
"""Steps that compile and fill allocators before those that are timed."""
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}


def shape(args: argparse.Namespace) -> ModelConfig:
    """The preset with so many of its layers and blocks."""
    config = preset(args.preset)
    layers, depth = args.layers or config.language.num_layers, args.blocks or config.vision.depth
    full = tuple(number for number in config.vision.full_attention_blocks if number < depth)
    return replace(
        config,
        vision=replace(config.vision, depth=depth, full_attention_blocks=full),
        language=replace(config.language, num_layers=layers),
    )


def pack(config: ModelConfig, length: int, sample: int, side: int, seed: int) -> PackedBatch:
    """Samples of one length, each a picture of side × side tokens and text of which half is labelled."""
    generator = torch.Generator().manual_seed(seed)
    merge, vision = config.vision.spatial_merge_size, config.vision
    visual = side * side
    bounds = [*range(0, length, sample), length]
    starts = [start for start, end in zip(bounds, bounds[1:], strict=False) if end - start > visual + 1]
    tokens = torch.randint(256, config.language.vocab_size // 2, (length,), generator=generator)
    positions = torch.cat([torch.arange(end - start) for start, end in zip(bounds, bounds[1:], strict=False)])
    index = torch.cat([torch.arange(start, start + visual) for start in starts])
    labels = tokens.roll(-1)
    labels[torch.rand(length, generator=generator) < 0.5] = IGNORE_INDEX
    labels[index] = IGNORE_INDEX
    return PackedBatch(
        tokens=tokens,
        positions=positions.expand(3, -1).contiguous(),
        cu_seqlens=torch.tensor(bounds, dtype=torch.int32),
        labels=labels,
        loss_weights=torch.ones(length),
        patches=torch.randn(len(starts) * visual * vision.merge_unit, vision.patch_dim, generator=generator),
        grid_thw=torch.tensor([[1, side * merge, side * merge]] * len(starts)),
        visual_index=index,
        sources=["made"] * (len(bounds) - 1),
    )


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the best of a few large matrix products."""
    size = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10 if device.type == "cuda" else 5):
        wait(device)
        started = time.perf_counter()
        one @ other
        wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def show_profile(rows: int, work: Callable[[], object]) -> None:
    """The operations that take the GPU longest."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        work()
    print(found.key_averages().table(sort_by="self_device_time_total", row_limit=rows, max_name_column_width=70))


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cuda = torch.cuda.is_available()
    parser.add_argument("--preset", default="small" if cuda else "tiny")
    parser.add_argument("--layers", type=int, help="decoder layers; all of the preset if not given")
    parser.add_argument("--blocks", type=int, help="blocks of the vision tower; all if not given")
    parser.add_argument("--length", type=int, default=8192 if cuda else 1024)
    parser.add_argument("--sample", type=int, default=2048 if cuda else 256, help="tokens of a sample")
    parser.add_argument("--side", type=int, default=24 if cuda else 6, help="side of its picture in tokens")
    parser.add_argument("--dtype", default="bfloat16" if cuda else "float32", choices=sorted(TOLERANCE))
    parser.add_argument("--parameters", default="float32", choices=sorted(TOLERANCE), help="kept in, with their states")
    parser.add_argument("--checkpointing", default="selective", choices=["none", "selective", "full"])
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=cuda)
    parser.add_argument("--packs", type=int, default=1, help="whose gradients add up before each update")
    parser.add_argument("--micro-packs", type=int, default=1, help="of them computed at once")
    parser.add_argument("--profile", type=int, default=0, help="print so many of the operations that take longest")
    parser.add_argument("--steps", type=int, default=10 if cuda else 3)
    args = parser.parse_args()
    with joined() as team:
        device = own_device()
        config = shape(args)
        plain = build_model(config, seed=0, device=device).train()
        short = pack(config, 2 * args.sample, args.sample, args.side, seed=1).to(device)
        with torch.no_grad():
            expected = float(language_model_loss(plain, short).total)
        parallel = ParallelConfig(
            fsdp="full",
            dtype=args.dtype,
            activation_checkpointing=args.checkpointing,
            micro_packs=args.micro_packs,
            compile=args.compile,
            parameter_dtype=args.parameters,
            gradient_dtype=args.parameters,
            optimizer_dtype=args.parameters,
        )
        rates = dict.fromkeys(("vision", "projector", "language"), 1e-5)
        stage = StageConfig(
            name="bench", train=tuple(rates), learning_rate=rates, mixture={"made": 1}, steps=1, length=args.length
        )
        spread = ShardedSpread(
            team,
            parallel,
            stage,
            device=device,
            weights=None,
            checkpoints=DistributedCheckpoints(team),
            tell=lambda text: print(text, file=sys.stderr),
        )
        model = spread.prepare(plain, stage)
        optimizer = spread.optimizer(dict(model.named_children()), stage)

        loss = spread.loss(model, short, language_model_loss)
        loss.total.backward()
        for parameter in model.parameters():
            parameter.grad = None
        error = abs(float(loss.total.detach()) - expected) / expected
        print(f"loss of a short pack: {error:.1e} from the plain model's in float32")
        if not error <= TOLERANCE[args.dtype]:
            sys.exit(f"it differs by more than {TOLERANCE[args.dtype]}")

        def step(number: int) -> float:
            """A whole step; its FLOPs."""
            batches = [
                pack(config, args.length, args.sample, args.side, seed=2 + args.packs * number + place)
                for place in range(args.packs)
            ]
            loads = (Load.of_batch(batch, config) for batch in batches)
            parts = [part for load in loads for part in count_flops(config, load).values()]
            labels = sum(int((batch.labels != IGNORE_INDEX).sum()) for batch in batches)
            wait(device)
            began = time.perf_counter()
            for batch, last in spread.batches(batches):
                loss = spread.loss(model, batch, language_model_loss)
                spread.backward(loss.total / labels, last=last)
            spread.gradients(optimizer, seen=True)
            optimizer.step()
            wait(device)
            if number >= WARM:
                seconds.append(time.perf_counter() - began)
            return sum(part.model for part in parts)

        seconds: list[float] = []
        operations = [step(number) for number in range(args.steps + WARM)][-1]
        if args.profile:
            show_profile(args.profile, lambda: step(0))
        peak = matmul_peak(device, getattr(torch, args.dtype))
    median = statistics.median(seconds)
    speed = operations / median
    name = torch.cuda.get_device_name() if cuda else "cpu"
    report: dict[str, object] = {
        "benchmark": "gpu_train",
        "device": name,
        "torch": torch.__version__,
        "preset": args.preset,
        "layers": config.language.num_layers,
        "blocks": config.vision.depth,
        "length": args.length,
        "dtype": args.dtype,
        "checkpointing": args.checkpointing,
        "compile": args.compile,
        "step_s": round(median, 4),
        "packs": args.packs,
        "micro_packs": args.micro_packs,
        "tokens_per_s": round(args.packs * args.length / median, 1),
        "tflops": round(speed / 1e12, 3),
        "matmul_tflops": round(peak / 1e12, 3),
        "of_matmul": round(speed / peak, 4),
        "loss_error": error,
    }
    if cuda:
        report["memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        mfu = machine_peak(device, getattr(torch, args.dtype)).utilisation(operations, median)
        report |= {"mfu": round(mfu, 4), "ratio": round(mfu / PUBLISHED, 3)}
    else:
        report["ratio"] = round(speed / peak / AIM, 3)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
