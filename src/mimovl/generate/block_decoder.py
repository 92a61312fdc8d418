"""Decoding on CUDA: by block table, the step recorded as a CUDA graph for a few batch sizes and replayed.

A step of a small batch is hundreds of short kernels, and launching them takes longer than running them; a graph
launches them at once. Sequences are padded to the next recorded size with rows that write to a page nobody reads.

Written against torch 2.13 and **not run on a GPU here**; the tests run the same code on the CPU without recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mimovl.generate.page_pool import PagePool
from mimovl.generate.paged_attention import TableAttention
from mimovl.generate.sequence import Running
from mimovl.model import VisionLanguageModel

__all__ = ["BlockDecoder"]


@dataclass(slots=True)
class _Recorded:
    """Inputs and outputs of one batch size, and the graph between them (None where nothing is recorded)."""

    tokens: torch.Tensor
    positions: torch.Tensor
    table: torch.Tensor
    lengths: torch.Tensor
    logits: torch.Tensor
    graph: torch.cuda.CUDAGraph | None


class BlockDecoder:
    """Logits of the next token of running sequences.

    Args:
        model: shared with whoever trains it; an update in place needs no new recording.
        pool: of prompts and samples.
        slots: most sequences at once.
    """

    def __init__(self, model: VisionLanguageModel, pool: PagePool, slots: int) -> None:
        self.model, self.pool, self.slots = model, pool, slots
        (self.spare,) = pool.take(1)
        """Where padding rows write."""
        self._recorded: dict[tuple[int, int, int], _Recorded] = {}

    def logits(self, running: Sequence[Running]) -> torch.Tensor:
        """Shape (running, V); the new token's keys and values are written to each sequence's last page."""
        rows = min(self.slots, 1 << (len(running) - 1).bit_length())
        pages = [[*sequence.group.pages, *sequence.own] for sequence in running]
        width = 1 << (max(map(len, pages)) - 1).bit_length()
        # Another pool lies elsewhere in memory: what was recorded with the old one is of no use.
        key = (rows, width, self.pool.keys.data_ptr())
        if key not in self._recorded:
            self._recorded = {other: kept for other, kept in self._recorded.items() if other[2] == key[2]}
            self._recorded[key] = self._record(rows, width)
        step = self._recorded[key]
        padding = rows - len(running)
        step.tokens.copy_(torch.tensor([sequence.tokens[-1] for sequence in running] + [0] * padding))
        step.positions.copy_(torch.tensor([sequence.position for sequence in running] + [0] * padding).expand(3, -1))
        step.lengths.copy_(torch.tensor([sequence.length for sequence in running] + [0] * padding, dtype=torch.int32))
        full = [row + [self.spare] * (width - len(row)) for row in pages] + [[self.spare] * width] * padding
        step.table.copy_(torch.tensor(full, dtype=torch.int32))
        if step.graph:
            step.graph.replay()
        else:
            step.logits = self._forward(step)
        return step.logits[: len(running)]

    def _forward(self, step: _Recorded) -> torch.Tensor:
        language = self.model.language
        attention = TableAttention(self.pool, step.table, step.lengths)
        hidden = language(language.embed_tokens(step.tokens), step.positions, attention)
        return self.model.logits(hidden)

    def _record(self, rows: int, width: int) -> _Recorded:
        device = self.model.device
        step = _Recorded(
            torch.zeros(rows, dtype=torch.long, device=device),
            torch.zeros(3, rows, dtype=torch.long, device=device),
            torch.full((rows, width), self.spare, dtype=torch.int32, device=device),
            torch.zeros(rows, dtype=torch.int32, device=device),
            torch.zeros(0, device=device),
            None,
        )
        if device.type == "cuda":
            self._forward(step)  # kernels are chosen and libraries set up before anything is recorded
            torch.cuda.synchronize(device)
            step.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(step.graph):
                step.logits = self._forward(step)
        return step
