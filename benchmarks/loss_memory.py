"""Peak memory and time of the loss: chunked (ours) against full logits, and against torch's own chunked form.

    python benchmarks/loss_memory.py [--tokens 2048] [--hidden 256] [--device cpu] [--dtype float32]

First ours, and F.cross_entropy in the same dtype, are compared with F.cross_entropy in float64 on the first tokens.
Then each side computes the weighted loss and the gradients of hidden states and output matrix in a process of its own,
and the results of all tokens are compared before anything is reported. Memory is the peak beyond inputs and those two
gradients, which every side must hold: growth of the resident size on a CPU, of torch's allocations on CUDA.
The last line is JSON; its ``ratio`` is full / ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from mimovl.train.linear_cross_entropy import linear_cross_entropy

VOCABULARY = 151_680
CHUNK = 128
"""Tokens of a chunk of torch's own form, whose default is two at these shapes: that would take minutes."""
CHECKED = 256
"""Tokens compared with float64."""
TOLERANCE = {"float32": 1e-6, "bfloat16": 1e-2}
"""Of the difference from float64, relative, by norm; bfloat16 cannot tell better. Between two sides it is tenfold:
F.cross_entropy in float32 is itself some 5e-6 off where it adds 151,680 terms."""


def total_and_losses(
    side: str, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    if side == "ours":
        return linear_cross_entropy(hidden, weight, targets, weights)
    if side == "full":
        losses = F.cross_entropy(F.linear(hidden, weight).float(), targets, reduction="none")
    else:
        options = torch.nn.LinearCrossEntropyOptions(chunking_method=None, batch_chunk_size=CHUNK)
        losses = F.linear_cross_entropy(hidden, weight, targets, reduction="none", options=options)
    return (losses * weights).sum(), losses.detach()


def inputs(tokens: int, size: int, vocabulary: int, device: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """The same on every side; losses of 0 to about 30."""
    generator = torch.Generator(device).manual_seed(0)
    hidden = torch.randn(tokens, size, generator=generator, device=device)
    weight = torch.randn(vocabulary, size, generator=generator, device=device).mul_(4 / size**0.5)
    targets = torch.randint(vocabulary, (tokens,), generator=generator, device=device)
    weights = torch.rand(tokens, generator=generator, device=device)
    return hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets, weights


def memory(device: str, *, peak: bool) -> int:
    """Bytes in use, now or at most so far; on a CPU as Linux tells."""
    if device != "cpu":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
    # Not getrusage: its peak begins at that of the parent process.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM" if peak else "VmRSS"].split()[0]) * 1024


def measure(args: argparse.Namespace) -> None:
    """Run one side once; its figures go to standard output, its results to a file."""
    dtype = getattr(torch, args.dtype)

    def run(values: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        total, losses = total_and_losses(args.side, *values)
        return losses, *torch.autograd.grad(total, values[:2])

    # Libraries load and allocators settle on a small problem, far below the peak of the large one; its chunks too.
    run(inputs(2 * CHUNK, args.hidden, 2000, args.device, dtype))
    values = inputs(args.tokens, args.hidden, args.vocabulary, args.device, dtype)
    before = memory(args.device, peak=False)
    cpu, wall = time.process_time(), time.perf_counter()
    results = run(values)
    peak = memory(args.device, peak=True)
    seconds = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    gradients = sum(gradient.nbytes for gradient in results[1:])
    torch.save(results, args.results)
    print(json.dumps({"mb": (peak - before - gradients) / 1e6, **seconds}))


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Norm of the difference, relative."""
    return float((one.double() - other.double()).norm() / other.double().norm())


def check(args: argparse.Namespace) -> dict[str, object]:
    """Largest difference from float64 of ours and of full logits, on the first tokens; ours must keep the tolerance."""
    values = inputs(args.tokens, args.hidden, args.vocabulary, args.device, getattr(torch, args.dtype))
    hidden, weight = (value.detach() for value in values[:2])
    targets, weights = (value[:CHECKED] for value in values[2:])

    def run(side: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        one, other = hidden[:CHECKED].to(dtype).requires_grad_(), weight.to(dtype).requires_grad_()
        if side == "ours":
            total, losses = linear_cross_entropy(one, other, targets, weights, chunk_logits=CHUNK * args.vocabulary)
        else:
            losses = F.cross_entropy(F.linear(one, other), targets, reduction="none")
            total = (losses * weights).sum()
        return losses.detach(), *torch.autograd.grad(total, (one, other))

    exact = run("full", torch.float64)
    errors = {}
    for side in ("full", "ours"):
        results = run(side, hidden.dtype)
        errors[side] = max(difference(one, other) for one, other in zip(results, exact, strict=True))
    print("largest relative difference from float64:", errors)
    if not errors["ours"] <= TOLERANCE[args.dtype]:
        sys.exit(f"ours differs from float64 by {errors['ours']}, more than {TOLERANCE[args.dtype]}")
    return {f"{side}_error": error for side, error in errors.items()}


def compare(args: argparse.Namespace) -> dict[str, object]:
    """All sides in turn, ``args.rounds`` times; refuses to report sides that disagree."""
    sides = ["full", "ours", *(["torch"] if hasattr(F, "linear_cross_entropy") else [])]
    figures: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for side in sides:
                command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--results", f"{folder}/{side}.pt"]
                out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                figures[side].append(json.loads(out))
        reference = torch.load(f"{folder}/full.pt", mmap=True)
        for side in sides[1:]:
            results = torch.load(f"{folder}/{side}.pt", mmap=True)
            pairs = zip(("losses", "grad_hidden", "grad_weight"), results, reference, strict=True)
            differences = {name: difference(one, other) for name, one, other in pairs}
            print(f"{side} against full, relative difference:", differences)
            if not max(differences.values()) <= 10 * TOLERANCE[args.dtype]:
                sys.exit(f"{side} differs from full logits by more than {10 * TOLERANCE[args.dtype]}")
    for side, runs in figures.items():
        for name in ("mb", "cpu_s", "wall_s"):
            report[f"{side}_{name}"] = round(statistics.median(run[name] for run in runs), 3)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=sorted(TOLERANCE))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", choices=["full", "ours", "torch"], help=argparse.SUPPRESS)
    parser.add_argument("--results", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        measure(args)
        return
    report = {**check(args), **compare(args)}
    shapes = {name: getattr(args, name) for name in ("tokens", "hidden", "vocabulary", "device", "dtype", "rounds")}
    report.update(shapes, torch=torch.__version__)
    ratio = report["full_mb"] / report["ours_mb"]  # type: ignore[operator]
    print(json.dumps({"benchmark": "loss_memory", "ratio": round(ratio, 2), **report}))


if __name__ == "__main__":
    main()
