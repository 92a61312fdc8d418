"""Keys and values of running sequences in pages: fixed pieces of a pool, taken and given back one by one.

A sequence holds whole pages only as long as it needs them, so memory follows what is written and not what might be. The
full pages of a prompt belong to its group and are read by all its samples; what a prompt leaves of its last page
is copied to each sample, which goes on writing there (copy on write).

Legend: Y layers, G pages, T tokens of a page, K key/value heads, D head dimension.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import torch

from mimovl.model import LanguageConfig

__all__ = ["PagePool"]


class PagePool:
    """Pages of keys and values; the pool grows when they run out.

    Args:
        config: layers, heads and head dimension.
        page_tokens: tokens of a page.
        dtype: of keys and values.
        device: where they live.
    """

    def __init__(self, config: LanguageConfig, page_tokens: int, *, dtype: torch.dtype, device: torch.device) -> None:
        shape = (config.num_layers, 0, page_tokens, config.num_kv_heads, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        """Shape (Y, G, T, K, D)."""
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.page_tokens = page_tokens
        self.used = 0
        """Pages taken."""
        self.high = 0
        """One past the last page taken; attention reads the pool up to here."""
        self._free: list[int] = []
        self._taken: list[bool] = []

    def take(self, count: int) -> list[int]:
        """Pages of zeros to write to, the first free ones, so that what is in use stays together.

        What is masked has weight zero, but zero times what is no number is none either.
        """
        if len(self._free) < count:
            self._grow(count - len(self._free))
        pages = [heapq.heappop(self._free) for _ in range(count)]
        for page in pages:
            self._taken[page] = True
        for page in pages:
            self.keys[:, page].zero_()
            self.values[:, page].zero_()
        self.used += count
        self.high = max(self.high, *(page + 1 for page in pages)) if pages else self.high
        return pages

    def release(self, pages: Iterable[int]) -> None:
        """Give pages back."""
        for page in pages:
            assert self._taken[page], f"page {page} is free already"
            self._taken[page] = False
            heapq.heappush(self._free, page)
            self.used -= 1
        while self.high and not self._taken[self.high - 1]:
            self.high -= 1

    def write(self, pages: list[int], keys: torch.Tensor, values: torch.Tensor) -> None:
        """Fill pages from their start with consecutive tokens, shape (Y, tokens, K, D); the last may not be filled."""
        size = self.page_tokens
        for number, page in enumerate(pages):
            piece = slice(number * size, (number + 1) * size)
            self.keys[:, page, : keys[:, piece].shape[1]] = keys[:, piece]
            self.values[:, page, : values[:, piece].shape[1]] = values[:, piece]

    def read(self, pages: list[int], tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first so many keys and values of pages, shape (Y, tokens, K, D) each, copied to the CPU's memory."""
        keys, values = (
            stored[:, pages].flatten(1, 2)[:, :tokens].to("cpu", copy=True) for stored in (self.keys, self.values)
        )
        return keys, values

    def compact(self) -> dict[int, int]:
        """Move the last pages into holes once a fifth of the pool is holes; returns where each moved page went."""
        if 4 * self.high <= 5 * self.used or self.high < 16:
            return {}
        moved: dict[int, int] = {}
        for page in range(self.high - 1, self.used - 1, -1):
            if self._taken[page]:
                self._taken[page] = False
                moved[page] = target = heapq.heappop(self._free)
                self._taken[target] = True
                heapq.heappush(self._free, page)
        sources, targets = list(moved), list(moved.values())
        for stored in (self.keys, self.values):
            stored[:, targets] = stored[:, sources]
        self.high = self.used
        return moved

    def _grow(self, count: int) -> None:
        old = self.keys.shape[1]
        new = old + max(count, old // 2, 32)
        for name in ("keys", "values"):
            stored: torch.Tensor = getattr(self, name)
            grown = stored.new_zeros((stored.shape[0], new, *stored.shape[2:]))
            grown[:, :old] = stored
            setattr(self, name, grown)
        self._taken += [False] * (new - old)
        for page in range(old, new):
            heapq.heappush(self._free, page)
