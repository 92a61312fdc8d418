"""The embedded rollout engine: continuous batching on the trainer's own parameters.

    Engine(model, processor).generate(requests)

Waiting prompts are prefilled together as one packed forward, every picture encoded once and every prompt computed
once for all samples of its group; running sequences decode one token a step, and a slot that frees is refilled at
once. No weights are copied: the model given is the model asked, and the log-probabilities recorded are those the
trainer will compute again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from mimovl.data import Encoded, Processor, collate
from mimovl.errors import DataError
from mimovl.generate.kv_cache import CachedAttention, KVCache, RecordingAttention
from mimovl.generate.sampling import draw_tokens, forbid
from mimovl.model import PackedAttention, Segments, VisionLanguageModel
from mimovl.types import Completion, MediaKind, PackedBatch, Request

__all__ = ["Engine"]

_Visual = tuple[str, MediaKind, int, float]
"""What makes the visual tokens of a picture or clip: its bytes' hash, and how they are read."""


@dataclass(slots=True)
class _Sequence:
    """One sample being written."""

    request: int
    sample: int
    uniform: torch.Tensor
    max_tokens: int
    temperature: float
    top_p: float
    position: int
    """Rotary position of the next token, the same on all three axes."""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Engine:
    """Answers requests in one process.

    Args:
        model: shared with whoever trains it.
        processor: of the same checkpoint.
        slots: sequences that run at once.
        prefill_tokens: prompt tokens of one packed prefill.
    """

    def __init__(
        self, model: VisionLanguageModel, processor: Processor, *, slots: int = 128, prefill_tokens: int = 4096
    ) -> None:
        self.model = model
        self.processor = processor
        self.slots = slots
        self.prefill_tokens = prefill_tokens
        self.forbidden = torch.tensor(sorted(model.config.visual_token_ids), device=model.device)
        self.stop_ids = {processor.tokenizer.im_end, processor.tokenizer.end_of_text}
        self.tokens_generated = 0
        self._cache: KVCache | None = None

    @torch.no_grad()
    def generate(
        self, requests: Sequence[Request], *, on_finish: Callable[[int, int], None] | None = None
    ) -> list[list[Completion]]:
        """One list of completions for each request, in order.

        Args:
            requests: prompts with sampling settings; a request's samples differ by their place in the group.
            on_finish: called with (samples finished, samples asked for) as they finish.

        Raises:
            DataError: a request asks for more samples than there are slots, or for none; a prompt with its
                ``max_tokens`` is longer than the model's context, or cannot be encoded.
        """
        for request in requests:
            self._check(request)
        training = self.model.training
        self.model.eval()
        try:
            return self._generate(requests, on_finish)
        finally:
            self.model.train(training)

    def _check(self, request: Request) -> None:
        """Refuse, before any work is done, what cannot be run."""
        name = f"sample {request.sample.id}"
        if not 1 <= request.num_samples <= self.slots:
            raise DataError(
                f"{name}: {request.num_samples} samples are asked for, the engine has {self.slots} slots; "
                "ask for at least one and at most that many, or raise slots"
            )
        if request.sampling.max_tokens < 1:
            raise DataError(f"{name}: max_tokens is {request.sampling.max_tokens}; it must be at least 1")

    def _generate(
        self, requests: Sequence[Request], on_finish: Callable[[int, int], None] | None
    ) -> list[list[Completion]]:
        results: list[list[Completion | None]] = [[None] * request.num_samples for request in requests]
        total, finished = sum(len(group) for group in results), 0
        waiting = deque(enumerate(requests))
        running: list[_Sequence] = []
        visual: dict[_Visual, torch.Tensor] = {}
        last = torch.zeros(0, dtype=torch.long)
        while waiting or running:
            room = self.slots - len(running)
            if waiting and (not running or room >= max(waiting[0][1].num_samples, self.slots // 8)):
                admitted, first = self._admit(waiting, room, len(running), visual)
                running += admitted
                last = torch.cat([last, first])
            else:
                last = self._decode(running, last)
            for place in range(len(running) - 1, -1, -1):
                sequence = running[place]
                stopped = sequence.tokens[-1] in self.stop_ids
                if stopped or len(sequence.tokens) >= sequence.max_tokens:
                    results[sequence.request][sequence.sample] = self._completion(sequence, stopped)
                    last = self._release(running, place, last)
                    finished += 1
            if on_finish:
                on_finish(finished, total)
        return [[completion for completion in group if completion is not None] for group in results]

    # ------------------------------------------------------------ prefill

    def _admit(
        self, waiting: deque[tuple[int, Request]], room: int, active: int, visual: dict[_Visual, torch.Tensor]
    ) -> tuple[list[_Sequence], torch.Tensor]:
        """Prefill as many waiting groups as there is room for, and draw their first tokens."""
        group: list[tuple[int, Request, Encoded]] = []
        used = tokens = 0
        while waiting:
            index, request = waiting[0]
            fits = used + request.num_samples <= room and tokens < self.prefill_tokens
            if group and not fits:
                break
            waiting.popleft()
            encoded = self.processor.encode_prompt(
                request.sample.messages, request.sample.media, id=request.sample.id, thinking=request.thinking
            )
            longest = encoded.num_tokens + request.sampling.max_tokens
            if longest > self.model.config.language.max_position:
                raise DataError(
                    f"sample {request.sample.id}: {encoded.num_tokens} prompt tokens and {request.sampling.max_tokens} "
                    f"new ones exceed the model's {self.model.config.language.max_position} positions"
                )
            group.append((index, request, encoded))
            used += request.num_samples
            tokens += encoded.num_tokens
        need = max(encoded.num_tokens + request.sampling.max_tokens for _, request, encoded in group)
        cache = self._room(need, active)
        config = self.model.config
        batch = collate(
            [encoded for _, _, encoded in group],
            visual_token_ids=(config.image_token_id, config.video_token_id),
            merge_unit=config.vision.merge_unit,
        ).to(self.model.device)
        recorded = RecordingAttention(PackedAttention(Segments(batch.cu_seqlens), causal=True))
        pictures = self._encode_visuals(group, batch, visual)
        hidden = self.model.language(self.model.embed(batch, pictures), batch.positions, recorded)
        ends = batch.cu_seqlens[1:].long() - 1
        logits = forbid(self.model.logits(hidden[ends]), self.forbidden)
        keys, values = torch.stack(recorded.keys), torch.stack(recorded.values)
        sequences: list[_Sequence] = []
        rows: list[int] = []
        bounds = batch.cu_seqlens.tolist()
        for number, (index, request, encoded) in enumerate(group):
            start, end = bounds[number], bounds[number + 1]
            position = int(encoded.positions[:, -1].max()) + 1
            for sample in range(request.num_samples):
                cache.put(active + len(sequences), keys[:, start:end], values[:, start:end])
                sequences.append(self._sequence(index, request, sample, position))
                rows.append(number)
        first, logprobs = self._draw(logits[rows], sequences)
        self._append(sequences, first, logprobs)
        return sequences, first

    def _encode_visuals(
        self, group: list[tuple[int, Request, Encoded]], batch: PackedBatch, visual: dict[_Visual, torch.Tensor]
    ) -> torch.Tensor | None:
        """Visual tokens of the batch; a picture already seen in this call is not encoded again."""
        media = [
            request.sample.media[part.media]
            for _, request, _ in group
            for message in request.sample.messages
            for part in message.content
            if part.type != "text"
        ]
        names: list[_Visual] = [(item.sha256, item.kind, item.num_frames, item.fps) for item in media]
        if not names:
            return None
        grids = [thw for _, _, encoded in group for thw in encoded.grid_thw]
        pixels = [patches for _, _, encoded in group for patches in encoded.patches]
        new = {name: place for place, name in enumerate(names) if name not in visual}
        if new:
            places = list(new.values())
            grid = torch.tensor([grids[place] for place in places])
            patches = torch.cat([pixels[place] for place in places])
            encoded = self.model.encode(patches.to(self.model.device), grid.to(self.model.device))
            sizes = (grid.prod(-1) // self.model.config.vision.merge_unit).tolist()
            visual.update(zip(new, torch.split(encoded, sizes), strict=True))
        return torch.cat([visual[name] for name in names])

    def _room(self, length: int, active: int) -> KVCache:
        """The cache, grown if a sequence needs more positions than it has."""
        old = self._cache
        if old is not None and old.length >= length:
            return old
        length = -(-length // 64) * 64
        language = self.model.config.language
        cache = KVCache(language, self.slots, length, dtype=self.model.dtype, device=self.model.device)
        if old is not None and active:
            cache.keys[:, :active, :, : old.length] = old.keys[:, :active]
            cache.values[:, :active, :, : old.length] = old.values[:, :active]
            cache.lengths[:active] = old.lengths[:active]
        self._cache = cache
        return cache

    def _sequence(self, index: int, request: Request, sample: int, position: int) -> _Sequence:
        sampling = request.sampling
        uniform = torch.zeros(sampling.max_tokens)
        if sampling.temperature > 0:
            generator = torch.Generator().manual_seed((sampling.seed * 1_000_003 + sample) % 2**63)
            uniform = torch.rand(sampling.max_tokens, generator=generator)
        return _Sequence(index, sample, uniform, sampling.max_tokens, sampling.temperature, sampling.top_p, position)

    # ------------------------------------------------------------ decoding

    def _decode(self, running: list[_Sequence], last: torch.Tensor) -> torch.Tensor:
        """One more token for every running sequence."""
        assert self._cache is not None
        device = self.model.device
        position = torch.tensor([sequence.position for sequence in running], device=device).expand(3, -1)
        attention = CachedAttention(self._cache, len(running))
        hidden = self.model.language(self.model.language.embed_tokens(last.to(device)), position, attention)
        self._cache.lengths[: len(running)] += 1
        for sequence in running:
            sequence.position += 1
        tokens, logprobs = self._draw(forbid(self.model.logits(hidden), self.forbidden), running)
        self._append(running, tokens, logprobs)
        return tokens

    def _draw(self, logits: torch.Tensor, sequences: list[_Sequence]) -> tuple[torch.Tensor, torch.Tensor]:
        uniform = torch.stack([sequence.uniform[len(sequence.tokens)] for sequence in sequences]).to(logits.device)
        tokens, logprobs = draw_tokens(
            logits,
            uniform,
            [sequence.temperature for sequence in sequences],
            [sequence.top_p for sequence in sequences],
        )
        return tokens.cpu(), logprobs.cpu()

    def _append(self, sequences: list[_Sequence], tokens: torch.Tensor, logprobs: torch.Tensor) -> None:
        self.tokens_generated += len(sequences)
        for sequence, token, logprob in zip(sequences, tokens.tolist(), logprobs.tolist(), strict=True):
            sequence.tokens.append(token)
            sequence.logprobs.append(logprob)

    def _release(self, running: list[_Sequence], place: int, last: torch.Tensor) -> torch.Tensor:
        """Drop a finished sequence; the last active one takes its slot."""
        assert self._cache is not None
        end = len(running) - 1
        if place != end:
            self._cache.move(end, place)
            running[place] = running[end]
            last[place] = last[end]
        running.pop()
        return last[:end]

    def _completion(self, sequence: _Sequence, stopped: bool) -> Completion:
        text = self.processor.tokenizer.decode(sequence.tokens)
        return Completion(text, "stop" if stopped else "length", tuple(sequence.tokens), tuple(sequence.logprobs))
