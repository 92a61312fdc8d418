"""``mimovl lengths``: tokens of every sample of a dataset, counted from headers and kept in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mimovl.data import Processor, build_index, open_folder, pack

__all__ = ["index_lengths"]

_LISTED = 20


def index_lengths(
    dataset: Path,
    checkpoint: Path,
    *,
    length: int,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Count what is not counted yet.

    Args:
        dataset: a dataset folder, or one of parquet files.
        checkpoint: whose processor will read it.
        length: tokens of a pack.
        workers: processes that count.
        progress: told of (done, total).

    Returns:
        A summary: samples, tokens, how full packs would be, and what is too long or cannot be used.

    Raises:
        UsageError: there is no such folder.
        DataError: it holds no samples, or is damaged.
        CheckpointError: the checkpoint has no usable processor.
    """
    samples = open_folder(dataset)
    index = build_index(samples, Processor.load(checkpoint), dataset, workers=workers, progress=progress)
    too_long = index.longer_than(length)
    usable = [int(tokens) for tokens in index.tokens if 0 < tokens <= length]
    packs = len(pack(usable, length))
    lines = [
        f"{len(index.tokens):,} samples, {int(index.tokens.sum()):,} tokens; counted in {index.seconds:.1f} s, "
        f"{index.rate:,.0f} samples/s with {index.workers} workers",
        f"packs of {length:,} tokens: {packs:,}, {100 * sum(usable) / max(1, packs * length):.1f} % full; "
        f"{len(too_long)} samples are longer, {len(index.problems)} cannot be used",
    ]
    lines += [f"  {samples[number].id}: {index.tokens[number]:,} tokens" for number in too_long[:_LISTED]]
    lines += [f"  {problem}" for problem in list(index.problems.values())[:_LISTED]]
    if (hidden := max(0, len(too_long) - _LISTED) + max(0, len(index.problems) - _LISTED)) > 0:
        lines.append(f"  and {hidden} more")
    return "\n".join(lines)
