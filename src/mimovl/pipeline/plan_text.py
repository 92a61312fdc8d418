"""A plan as lines for a terminal: a table of the stages, then the memory of each and what was assumed."""

from __future__ import annotations

from collections.abc import Iterator

from mimovl.pipeline.plan import RunPlan, StagePlan
from mimovl.plan import PARTS, num_parameters
from mimovl.train.fsdp import needs_sharding

__all__ = ["plan_text"]

_GIB = 1024.0**3


def plan_text(plan: RunPlan) -> str:
    """The whole plan."""
    return "\n".join(_lines(plan))


def _lines(plan: RunPlan) -> Iterator[str]:
    counts = num_parameters(plan.config)
    parts = ", ".join(f"{part} {_count(counts[part])}" for part in PARTS)
    yield f"{plan.recipe.name}: {_count(sum(counts[part] for part in PARTS))} parameters ({parts}), from {plan.origin}"
    yield (
        f"{plan.gpus} × {plan.gpu.name} ({plan.gpu.bfloat16:,.0f} TFLOP/s in bfloat16, {plan.gpu.memory:.1f} GiB, "
        f"{plan.gpu.usable:.1f} usable), {plan.mfu:.0%} model FLOPs utilisation"
    )
    yield ""
    yield from _table(plan)
    for stage in plan.stages:
        yield ""
        yield from _stage(stage, plan)
    yield ""
    yield from _assumptions(plan)


def _table(plan: RunPlan) -> Iterator[str]:
    rows = [("stage", "trained", "tokens", "steps", "GiB a GPU", "", "tokens/s", "time", "cost")]
    for entry in plan.stages:
        rows.append(
            (
                entry.stage.name,
                "+".join(entry.stage.train),
                _count(entry.tokens),
                f"{entry.stage.steps:,}",
                f"{entry.memory.total / _GIB:.1f}",
                "fits" if entry.fits else "DOES NOT FIT",
                _count(entry.tokens_per_second),
                _time(entry.days),
                _money(entry.cost),
            )
        )
    days, cost = (sum(getattr(entry, field) for entry in plan.stages) for field in ("days", "cost"))
    tokens = sum(entry.tokens for entry in plan.stages)
    rows.append(("all", "", _count(tokens), "", "", "", "", _time(days), _money(cost)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            text.ljust(width) if column in (0, 1, 5) else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _stage(entry: StagePlan, plan: RunPlan) -> Iterator[str]:
    memory, parallel = entry.memory, entry.parallel
    yield f"{entry.stage.name}: {entry.tokens_at_once:,.0f} tokens at once on a GPU, {_spread(entry)}"
    yield (
        f"  memory      {_gib(memory.total)} = parameters {_gib(memory.parameters)} + gradients "
        f"{_gib(memory.gradients)} + optimizer {_gib(memory.optimizer)} + gathered {_gib(memory.gathered)} + "
        f"activations {_gib(memory.activations)} + loss or one block {_gib(memory.workspace)}"
    )
    kinds = ", ".join(f"{how} {_gib(size)}" for how, size in entry.activations.items())
    yield f"  checkpoints {parallel.activation_checkpointing} here; activations with each kind: {kinds}"
    logits = 4.0 * entry.tokens_at_once * entry.workload.label_share * entry.config.language.vocab_size
    yield f"  logits      never held as a whole; they would be {_gib(logits)}"
    total = sum(work.model for work in entry.flops.values())
    shares = ", ".join(f"{part} {work.model / total:.0%}" for part, work in entry.flops.items())
    repeats = entry.executed_share - plan.mfu > 0.005
    again = f"; with what is computed again {entry.executed_share:.0%} of the peak" if repeats else ""
    yield f"  work        {total / 1e9:,.2f} GFLOP a token ({shares}){again}"
    if entry.executed_share > 1:
        yield f"  impossible  {plan.mfu:.0%} utilisation and what is computed again is more than the peak; lower --mfu"
    yield f"  reading     {_reading(entry)}"
    if parallel.dtype == "float32":
        peaks = f"{plan.gpu.float32:,.0f} TFLOP/s, that of bfloat16 {plan.gpu.bfloat16:,.0f}"
        yield f"  precision   float32, whose peak is {peaks}; change it with parallel.dtype"
    if entry.idle > 0.01:
        refused = ", and training refuses it" if needs_sharding(parallel) else ""
        yield (
            f"  idle        {entry.idle:.0%} of the time{refused}: a step has {entry.stage.packs} packs for "
            f"{plan.gpus} GPUs; give more packs, or a number that divides"
        )
    if not entry.fits:
        yield f"  DOES NOT FIT {_gib(plan.gpu.usable * _GIB)}: {_cure(entry, plan)}"


def _reading(entry: StagePlan) -> str:
    """How samples reach a GPU, and the main memory of the packs that wait for it."""
    loading, vision = entry.stage.loading, entry.config.vision
    pixels = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * vision.merge_unit * 4
    pack = entry.stage.length * entry.workload.visual_share * pixels
    if loading is None:
        return (
            f"by one thread, pack after pack ({_gib(pack)} of pixels each), while the GPU waits; "
            "give the stage a loading section"
        )
    who = f"{loading.workers} processes" if loading.workers else "a thread"
    return f"by {who} a GPU, {loading.ahead} packs ahead: {_gib(loading.ahead * pack)} of pixels in main memory"


def _cure(entry: StagePlan, plan: RunPlan) -> str:
    if entry.changes:
        return f"it would with parallel: {{{', '.join(entry.changes)}}}"
    return (
        f"no setting of parallel makes it fit {plan.gpus} × {plan.gpu.name}; take more GPUs, GPUs with more memory, "
        f"or a length below {entry.stage.length}"
    )


def _spread(entry: StagePlan) -> str:
    parallel = entry.parallel
    words = [f"fsdp {parallel.fsdp}", f"computes in {parallel.dtype}"]
    narrow = [
        name
        for name, dtype in (
            ("parameters", parallel.parameter_dtype),
            ("gradients", parallel.gradient_dtype),
            ("optimizer states", parallel.optimizer_dtype),
        )
        if dtype == "bfloat16"
    ]
    if narrow:
        words.append(f"{', '.join(narrow)} in bfloat16")
    if parallel.context_parallel > 1:
        words.append(f"a pack over {parallel.context_parallel} GPUs")
    return ", ".join(words)


def _assumptions(plan: RunPlan) -> Iterator[str]:
    price = f"${plan.price:,.2f} an hour and GPU"
    assumed = " (ASSUMED: give yours with --price-per-hour)" if plan.price_assumed else ""
    yield f"assumed: {price}{assumed}; communication is part of the utilisation stated with --mfu"
    for entry in plan.stages:
        load, own = entry.workload, "its workload section" if entry.stage.workload else "no workload section: defaults"
        sample = "one sample a pack" if load.sample_tokens is None else f"samples of {load.sample_tokens:,} tokens"
        yield (
            f"assumed of {entry.stage.name} ({own}): {load.visual_share:.0%} visual tokens, pictures of "
            f"{load.picture_tokens:,} tokens, {sample}, loss on {load.label_share:.0%}"
        )
    yield f"not reckoned: {', '.join(plan.left_out)}"


def _count(number: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:,.0f}"


def _gib(number: float) -> str:
    return f"{number / _GIB:.1f} GiB" if number >= 0.05 * _GIB else f"{number / 1024**2:.0f} MiB"


def _time(days: float) -> str:
    if days >= 1:
        return f"{days:,.1f} days"
    return f"{days * 24:.1f} hours" if days >= 1 / 24 else f"{days * 1440:.1f} minutes"


def _money(dollars: float) -> str:
    return f"${dollars:,.0f}" if dollars >= 10 else f"${dollars:.2f}"
