"""Prompts computed: encoded, packed into one forward, pictures once each; their keys and values go to pages.

Legend: N tokens of the pack, Y layers, K key/value heads, D head dimension.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from mimovl.data import Encoded, Processor, collate
from mimovl.errors import DataError
from mimovl.generate.paged_attention import RecordingAttention
from mimovl.model import PackedAttention, Segments, VisionLanguageModel
from mimovl.types import Media, MediaKind, PackedBatch, Request

__all__ = ["Prefill", "encode_request"]

_Visual = tuple[str, MediaKind, int, float]
"""What makes the visual tokens of a picture or clip: its bytes' hash, and how they are read."""


def encode_request(request: Request, processor: Processor) -> Encoded:
    """The prompt as tensors.

    Raises:
        DataError: it cannot be encoded, or with ``max_tokens`` is longer than the model's context.
    """
    encoded = processor.encode_prompt(
        request.sample.messages, request.sample.media, id=request.sample.id, thinking=request.thinking
    )
    room = processor.config.language.max_position
    if encoded.num_tokens + request.sampling.max_tokens > room:
        raise DataError(
            f"sample {request.sample.id}: {encoded.num_tokens} prompt tokens and {request.sampling.max_tokens} "
            f"new ones exceed the model's {room} positions"
        )
    return encoded


class Prefill:
    """Computes prompts, and keeps the visual tokens of a picture while prompts that wait will ask for it again.

    Args:
        model: shared with whoever trains it.
    """

    def __init__(self, model: VisionLanguageModel) -> None:
        self.model = model
        self._visual: dict[_Visual, torch.Tensor] = {}
        self._wanted: Counter[_Visual] = Counter()

    def expect(self, request: Request) -> None:
        """A request that will be computed, or :meth:`forget` is told."""
        self._wanted.update(map(_name, _media(request)))

    def forget(self, request: Request) -> None:
        """The request is computed or given up: what nobody waits for is let go, as parameters may change next."""
        for name in map(_name, _media(request)):
            self._wanted[name] -= 1
            if self._wanted[name] <= 0:
                del self._wanted[name]
                self._visual.pop(name, None)

    def run(
        self, requests: Sequence[Request], prompts: Sequence[Encoded]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One packed forward.

        Returns:
            Final hidden states of each prompt's last token, shape (prompts, E); keys and values of all, shape
            (Y, N, K, D) each.
        """
        config = self.model.config
        batch = collate(
            prompts,
            visual_token_ids=(config.image_token_id, config.video_token_id),
            merge_unit=config.vision.merge_unit,
        ).to(self.model.device)
        recorded = RecordingAttention(PackedAttention(Segments(batch.cu_seqlens, batch.bounds), causal=True))
        embedded = self.model.embed(batch, self._pictures(requests, prompts, batch))
        hidden = self.model.language(embedded, batch.positions, recorded)
        ends = batch.cu_seqlens[1:].long() - 1
        return hidden[ends], torch.stack(recorded.keys), torch.stack(recorded.values)

    def _pictures(
        self, requests: Sequence[Request], prompts: Sequence[Encoded], batch: PackedBatch
    ) -> torch.Tensor | None:
        """Visual tokens of the batch; a picture at hand is not encoded again."""
        names = [_name(item) for request in requests for item in _media(request)]
        if not names:
            return None
        grids = [thw for encoded in prompts for thw in encoded.grid_thw]
        pixels = [patches for encoded in prompts for patches in encoded.patches]
        new = {name: place for place, name in enumerate(names) if name not in self._visual}
        if new:
            places = list(new.values())
            grid = torch.tensor([grids[place] for place in places])
            patches = torch.cat([pixels[place] for place in places])
            encoded = self.model.encode(patches.to(self.model.device), grid)
            sizes = (grid.prod(-1) // self.model.config.vision.merge_unit).tolist()
            self._visual.update(zip(new, torch.split(encoded, sizes), strict=True))
        return torch.cat([self._visual[name] for name in names])


def _media(request: Request) -> list[Media]:
    """Pictures and clips in the order the prompt shows them; one that is missing stops the request when encoded."""
    sample = request.sample
    parts = (part for message in sample.messages for part in message.content if part.type != "text")
    return [sample.media[part.media] for part in parts if part.media in sample.media]


def _name(item: Media) -> _Visual:
    return item.sha256, item.kind, item.num_frames, item.fps
