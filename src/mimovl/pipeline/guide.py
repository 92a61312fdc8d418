"""Attention guidance: while the base's decoder learns to read, a few heads are told where to look.

Which patches a box surrounds and which words of a question name a colour or a shape is known, so two things need not be
found by chance: the heads that carry coordinates to the tongue look, while a box is written, at the patches of that
box; and two early heads look at the naming words of the question while it is answered. The term is minus the logarithm
of the attention that falls on the right places (guided attention: Mi et al., 2016; Liu et al., 2016). With it single
boxes are found as often after 1.5 million tokens as without after eight (docs/log.md).

Legend: N tokens of a pack, H query heads, K key/value heads, D head dimension, J guided positions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from mimovl.data import Tokenizer
from mimovl.model import Attention, LanguageConfig
from mimovl.types import PackedBatch

__all__ = ["Guide"]

QUESTION_LAYER = 1
_QUESTION_SHARE = 0.3
"""Weight of the question's words relative to the boxes."""
_EVERY = 3
"""One in so many tokens of an answer is guided to its question."""
_ADJECTIVES, _NOUNS = ("colour", "size", "place"), ("shape", "label")


class Guide:
    """Watches the attention of a forward pass and says how far it is from where it should be.

    Args:
        config: of the decoder.
        tokenizer: its tokenizer.
        vocabulary: attribute name to its values.
        box_columns: where a patch's classes hold the four coordinates of its box.
        weight: of a guided position against a labelled token.
    """

    def __init__(
        self,
        config: LanguageConfig,
        tokenizer: Tokenizer,
        vocabulary: Mapping[str, Sequence[str]],
        box_columns: Sequence[int],
        weight: float,
    ) -> None:
        self.weight = weight
        self.layer = config.num_layers // 2
        """The layer of the number readers, see ``AttributeModel.start_from_words``."""
        self._shared = config.num_heads // config.num_kv_heads
        self._heads = (config.num_heads // 2, config.num_heads // 2 + 1)
        self._columns = list(box_columns)
        self._begin, self._comma = tokenizer.id("<|im_start|>"), tokenizer.encode(",")[0]
        self._numbers = torch.full((config.vocab_size,), -1)
        for token, number in tokenizer.numbers().items():
            self._numbers[token] = int(number)
        self._names = [torch.zeros(config.vocab_size, dtype=torch.bool) for _ in range(2)]
        words = [_tokens(tokenizer, vocabulary, names) for names in (_ADJECTIVES, _NOUNS)]
        for names, own, others in zip(self._names, words, reversed(words), strict=True):
            names[sorted(own - others)] = True
        self._seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def watch(self, attention: Attention) -> Attention:
        """The same attention, with queries and keys of the guided layers kept."""

        def watched(layer: int, q_NHD: torch.Tensor, k_NKD: torch.Tensor, v_NKD: torch.Tensor) -> torch.Tensor:
            if layer in (self.layer, QUESTION_LAYER):
                self._seen[layer] = (q_NHD, k_NKD)
            return attention(layer, q_NHD, k_NKD, v_NKD)

        return watched

    def loss(self, batch: PackedBatch) -> torch.Tensor | None:
        """Weighted sum over the guided positions of the last pass; None where there are none."""
        terms = [self.weight * term for term in self._look(self.layer, self.boxes(batch), batch)]
        share = self.weight * _QUESTION_SHARE
        terms += [share * term for term in self._look(QUESTION_LAYER, self.questions(batch), batch)]
        self._seen.clear()
        return torch.stack(terms).sum() if terms else None

    def boxes(self, batch: PackedBatch) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Boxes that are written where a patch of the same picture has that very box.

        Yields:
            Query head; positions before its coordinate, shape (J,); visual tokens to look at, shape (J, N) bool.
        """
        if batch.num_tokens < 8 or not len(batch.visual_index):
            return
        number, comma = self._numbers[batch.tokens], batch.tokens == self._comma
        start = torch.arange(1, batch.num_tokens - 6)
        written = batch.labels[start - 1] >= 0
        for place in range(4):
            written &= number[start + 2 * place] >= 0
        for place in (1, 3, 5):
            written &= comma[start + place]
        start = start[written]
        box = torch.stack([number[start + 2 * place] for place in range(4)], dim=1)
        unit = len(batch.patches) // len(batch.visual_index)
        shown = batch.patches[:, self._columns].long().view(-1, unit, 4)
        segment = torch.searchsorted(batch.cu_seqlens, torch.arange(batch.num_tokens), right=True)
        same = (shown[None] == box[:, None, None]).all(-1).any(-1)
        same &= segment[batch.visual_index][None] == segment[start][:, None]
        same &= batch.visual_index[None] < start[:, None]
        found = same.any(1)
        start, same = start[found], same[found]
        if len(start):
            where = torch.zeros(len(start), batch.num_tokens, dtype=torch.bool)
            where[:, batch.visual_index] = same
            for head in range(4):
                yield head, start - 1 + 2 * head, where

    def questions(self, batch: PackedBatch) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Tokens of answers whose question names something; as :meth:`boxes`, head by head and turn by turn."""
        turns = [*(batch.tokens == self._begin).nonzero().flatten().tolist(), batch.num_tokens]
        bounds = batch.cu_seqlens.tolist()
        for asked, answered, end in zip(turns, turns[1:], turns[2:], strict=False):
            segment = bisect_right(bounds, answered)
            if bounds[segment - 1] > asked:
                continue  # the first turn of a sample
            inside = torch.arange(answered, min(end, bounds[segment]))
            positions = inside[batch.labels[inside] >= 0][::_EVERY].contiguous()
            for head, names in zip(self._heads, self._names, strict=True):
                where = torch.zeros(batch.num_tokens, dtype=torch.bool)
                where[asked:answered] = names[batch.tokens[asked:answered]]
                if len(positions) and where.any():
                    yield head, positions, where.expand(len(positions), -1)

    def _look(
        self, layer: int, guided: Iterable[tuple[int, torch.Tensor, torch.Tensor]], batch: PackedBatch
    ) -> Iterator[torch.Tensor]:
        """Minus the logarithm of the attention on the right places, summed over a head's positions."""
        q_NHD, k_NKD = self._seen[layer]
        bounds = batch.cu_seqlens.tolist()
        for head, positions, where in guided:
            first = bounds[bisect_right(bounds, int(positions[0])) - 1]
            last = int(positions[-1]) + 1
            keys = torch.arange(first, last)
            scores = q_NHD[positions, head] @ k_NKD[first:last, head // self._shared].T / q_NHD.shape[-1] ** 0.5
            segment_start = batch.cu_seqlens[torch.searchsorted(batch.cu_seqlens, positions, right=True) - 1]
            hidden = (keys[None] > positions[:, None]) | (keys[None] < segment_start[:, None])
            logs = scores.masked_fill(hidden, -torch.inf).log_softmax(-1)
            yield -logs.masked_fill(~where[:, first:last], -torch.inf).logsumexp(1).sum()


def _tokens(tokenizer: Tokenizer, vocabulary: Mapping[str, Sequence[str]], names: Sequence[str]) -> set[int]:
    """Every token that occurs in the values of some attributes, at the beginning of a line or after a space."""
    values = [value for name in names for value in vocabulary.get(name, ())]
    return {token for value in values for text in (value, f" {value}") for token in tokenizer.encode(text)}
