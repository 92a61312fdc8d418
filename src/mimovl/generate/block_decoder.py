"""Decoding on CUDA: by block table, the step recorded as a CUDA graph for a few batch sizes and replayed.

A step of a small batch is hundreds of short kernels, and launching them takes longer than running them; a graph
launches them at once. Sequences are padded to the next recorded size with rows that write to a page nobody reads.
All that a step is told goes to the GPU in one copy.

The tests run the same code on the CPU without recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mimovl.generate.page_pool import PagePool
from mimovl.generate.paged_attention import TableAttention
from mimovl.generate.sequence import Running
from mimovl.model import VisionLanguageModel

__all__ = ["BlockDecoder"]

TOKEN, POSITION, LENGTH, PAGES = range(4)
"""Columns of what a step is told of each sequence; its pages are the last ones."""


@dataclass(slots=True)
class _Recorded:
    """Inputs and outputs of one batch size, and the graph between them (None where nothing is recorded)."""

    told: torch.Tensor
    """Shape (rows, 3 + pages), int32."""
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
        counts = [len(sequence.group.pages) + len(sequence.own) for sequence in running]
        width = 1 << (max(counts) - 1).bit_length()
        # Another pool lies elsewhere in memory: what was recorded with the old one is of no use.
        key = (rows, width, self.pool.keys.data_ptr())
        if key not in self._recorded:
            self._recorded = {other: kept for other, kept in self._recorded.items() if other[2] == key[2]}
            self._recorded[key] = self._record(rows, width)
        step = self._recorded[key]
        step.told.copy_(torch.from_numpy(self._told(running, rows, width)))
        if step.graph:
            step.graph.replay()
        else:
            step.logits = self._forward(step.told)
        return step.logits[: len(running)]

    def _told(self, running: Sequence[Running], rows: int, width: int) -> np.ndarray:
        told = np.zeros((rows, PAGES + width), np.int32)
        told[:, PAGES:] = self.spare
        for row, sequence in zip(told, running, strict=False):
            row[:PAGES] = sequence.tokens[-1], sequence.position, sequence.length
            shared = PAGES + len(sequence.group.pages)
            row[PAGES:shared] = sequence.group.pages
            row[shared : shared + len(sequence.own)] = sequence.own
        return told

    def _forward(self, told: torch.Tensor) -> torch.Tensor:
        language = self.model.language
        attention = TableAttention(self.pool, told[:, PAGES:], told[:, LENGTH])
        positions = told[:, POSITION].long().expand(3, -1)
        hidden = language(language.embed_tokens(told[:, TOKEN]), positions, attention)
        return self.model.logits(hidden)

    def _record(self, rows: int, width: int) -> _Recorded:
        device = self.model.device
        told = torch.from_numpy(self._told((), rows, width)).to(device)
        step = _Recorded(told, torch.zeros(0, device=device), None)
        if device.type == "cuda":
            self._forward(told)  # kernels are chosen and libraries set up before anything is recorded
            torch.cuda.synchronize(device)
            step.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(step.graph):
                step.logits = self._forward(told)
        return step
