"""The embedded rollout engine: continuous batching over paged keys and values, on the trainer's own parameters.

    Engine(model).generate(prompts, sampling)          all at once
    engine.submit(request); engine.step(); engine.cancel(ticket)      as they come
    other.adopt(engine.give(3))                        samples that go on elsewhere

Waiting prompts are prefilled together as one packed forward, every picture encoded once and every prompt computed
once for all samples of its group; running sequences decode one token a step, and what frees is refilled at
once. No weights are copied: the model given is the model asked, and the log-probabilities recorded are those the
trainer will compute again. On the CPU, with torch on one thread, a completion is a function of its request alone, to
the bit: every row is computed the same way whatever runs beside it (docs/decisions/0017-decoding-over-pages.md).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from mimovl.data import Encoded, Processor
from mimovl.errors import DataError
from mimovl.generate.admission import check_engine, check_place, check_request, longest
from mimovl.generate.block_decoder import BlockDecoder
from mimovl.generate.gathering import Gathering
from mimovl.generate.moving import MovedGroup, check_room, compact, pack_up, settle
from mimovl.generate.page_pool import PagePool
from mimovl.generate.paged_attention import MIN_ROWS, PageAttention
from mimovl.generate.prefill import Prefill, encode_request
from mimovl.generate.prompts import Prompt, as_requests
from mimovl.generate.sampling import forbid
from mimovl.generate.sequence import Finished, Group, RequestError, Running, completion, draw_next, ending, uniforms
from mimovl.model import VisionLanguageModel
from mimovl.types import Completion, Request, SamplingParams

__all__ = ["Engine"]


class Engine:
    """Answers requests in one process.

    Args:
        model: shared with whoever trains it.
        processor: of the same checkpoint; by default made of the files that travel with the model.
        slots: sequences that run at once.
        prefill_tokens: prompt tokens of one packed prefill.
        page_tokens: tokens of a page of keys and values; by default 32 on the CPU and 256 on CUDA.
        cache_tokens: most tokens whose keys and values are kept. A group starts only if it fits at its longest,
            so nothing is ever computed twice for want of room. No limit by default.

    Raises:
        CheckpointError: no processor is given and the model carries none.
        UsageError: ``model`` is no model, or a number is none or below 1.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        processor: Processor | None = None,
        *,
        slots: int = 128,
        prefill_tokens: int = 4096,
        page_tokens: int | None = None,
        cache_tokens: int | None = None,
    ) -> None:
        check_engine(model, slots=slots, page_tokens=page_tokens, cache_tokens=cache_tokens)
        self.model = model
        self.processor = processor or Processor.from_files(
            model.side_files, model.config, where="the model's own files"
        )
        self.slots = slots
        self.prefill_tokens = prefill_tokens
        self.cache_tokens = cache_tokens
        self.forbidden = torch.tensor(sorted(model.config.visual_token_ids), device=model.device)
        self.stop_ids = {self.processor.tokenizer.im_end, self.processor.tokenizer.end_of_text}
        self.tokens_generated = 0
        size = page_tokens or (256 if model.device.type == "cuda" else 32)
        self._own = PagePool(model.config.language, size, dtype=model.dtype, device=model.device)
        self._blocks = BlockDecoder(model, self._own, slots) if model.device.type == "cuda" else None
        # A block table reads one pool; the CPU reads prompts' pages apart from those of samples.
        self._shared = (
            self._own if self._blocks else PagePool(model.config.language, size, dtype=model.dtype, device=model.device)
        )
        self._prefill = Prefill(model)
        self._waiting: deque[tuple[int, Request]] = deque()
        self._running: list[Running] = []
        self._done: list[Finished] = []
        self._failed: deque[RequestError] = deque()
        """Of requests that were given up, until whoever asked hears of it."""
        self._reserved = 0
        self._tickets = 0
        self._next: tuple[int, Encoded] | None = None

    # ------------------------------------------------------------ all at once

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: SamplingParams | Sequence[SamplingParams] | None = None,
        num_samples: int = 1,
        *,
        on_finish: Callable[[int, int], None] | None = None,
    ) -> list[list[Completion]]:
        """One list of completions for each prompt, in order.

        Args:
            prompts: requests; or samples, conversations or texts, asked with ``sampling``.
            sampling: how to draw, one for all prompts or one each; greedy by default.
            num_samples: completions of each prompt; they differ by their place in the group.
            on_finish: called with (samples finished, samples asked for) as they finish.

        Raises:
            DataError: a request asks for more samples than there are slots, or its sampling means nothing; none runs.
            UnansweredError: a prompt with its ``max_tokens`` is longer than the model's context or the cache, or cannot
                be encoded, or what follows one is no number; raised when all others are answered, with their answers.
            UsageError: something that is no prompt.
        """
        asked = as_requests(prompts, sampling, num_samples)
        requests = [check_request(request, self.slots, self.processor.tokenizer) for request in asked]
        found = Gathering(requests)
        others: list[Finished] = []
        training = self.model.training
        self.model.eval()
        try:
            for request in requests:
                found.asked(self.submit(request))
            while found.finished < found.total:
                self._work()
                done, self._done = self._done, []
                others += [one for one in done if not found.take(one)]
                self._failed = deque(error for error in self._failed if not found.fail(error))
                if on_finish:
                    on_finish(found.finished, found.total)
        except BaseException:
            for ticket in found.tickets:
                self.cancel(ticket)
            self._done = [one for one in self._done if one.ticket not in found.tickets]
            self._failed = deque(error for error in self._failed if error.ticket not in found.tickets)
            raise
        finally:
            self.model.train(training)
            self._done = others + self._done
        return found.answers()

    # ------------------------------------------------------------ as they come

    @property
    def idle(self) -> bool:
        """Whether nothing waits, runs or is left to be handed out by :meth:`step`."""
        return not (self._waiting or self._running or self._done or self._failed)

    def submit(self, request: Request) -> int:
        """Take a request; returns the ticket under which :meth:`step` will report each of its samples, once.

        Raises:
            DataError: it asks for more samples than there are slots, or for none, or for no token.
        """
        request = check_request(request, self.slots, self.processor.tokenizer)
        self._prefill.expect(request)
        self._tickets += 1
        self._waiting.append((self._tickets, request))
        return self._tickets

    def cancel(self, ticket: int) -> None:
        """Stop what is left of a request; :meth:`step` reports its samples as cancelled, with what they had written."""
        for place, (number, request) in enumerate(self._waiting):
            if number == ticket:
                del self._waiting[place]
                self._prefill.forget(request)
                self._done += [Finished(ticket, one, Completion("", "cancelled")) for one in range(request.num_samples)]
                return
        for place in range(len(self._running) - 1, -1, -1):
            if self._running[place].group.ticket == ticket:
                self._finish(place, "cancelled")

    def give(self, count: int) -> list[MovedGroup]:
        """Part with so many samples at most, for another engine; nothing more is reported of them here.

        Groups that wait go first, then the samples with the least to move.
        """
        moved = []
        while self._waiting and self._waiting[-1][1].num_samples <= count:
            ticket, request = self._waiting.pop()
            self._prefill.forget(request)
            moved.append(MovedGroup(ticket, request))
            count -= request.num_samples
        shortest = sorted(range(len(self._running)), key=lambda place: self._running[place].own_length)[:count]
        moved += pack_up([self._running[place] for place in shortest], self._shared, self._own)
        for place in sorted(shortest, reverse=True):
            self._remove(place)
        return moved

    def adopt(self, groups: Sequence[MovedGroup]) -> list[int]:
        """Go on with samples of another engine of the same parameters and page size; a ticket for each group.

        Raises:
            DataError: they need more slots or cache than are free, or pages differ; none is adopted.
        """
        limits = self._own.page_tokens, self.cache_tokens
        pages = [longest(one.prompt_tokens, one.request, len(one.samples), *limits) for one in groups]
        tokens = (self._reserved + sum(pages)) * self._own.page_tokens
        check_room(groups, self._own, self.slots - len(self._running), tokens, self.cache_tokens)
        tickets = []
        for group, reserved in zip(groups, pages, strict=True):
            if not group.samples:
                tickets.append(self.submit(group.request))
                continue
            self._tickets += 1
            tickets.append(self._tickets)
            self._reserved += reserved
            self._running += settle(group, self._tickets, reserved, self._shared, self._own)
        return tickets

    def refresh(self, model: VisionLanguageModel) -> None:
        """Parameters have changed; they are this engine's own, so nothing is to be done."""
        assert model is self.model, "an engine answers with the model it was made with"

    def step(self) -> list[Finished]:
        """Prefill what there is room for, or decode a token of every running sequence; samples that are done.

        Raises:
            RequestError: a waiting prompt cannot be run, or what follows one is no number; it is given up, all others
                go on with the next call.
            UsageError: the model has changed its type or device.
        """
        if not self._failed:
            self._work()
        if self._failed:
            raise self._failed.popleft()
        done, self._done = self._done, []
        return done

    def _work(self) -> None:
        """A step; what is done and what was given up is kept for whoever asked for it."""
        check_place(self.model, self._own)
        if training := self.model.training:
            self.model.eval()
        try:
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(self.model.device.type, enabled=False):
                self._advance()
        finally:
            if training:
                self.model.train()

    def _advance(self) -> None:
        room, waiting = self.slots - len(self._running), len(self._waiting)
        due = waiting and (not self._running or room >= max(self._waiting[0][1].num_samples, self.slots // 8))
        if fresh := self._admit(room) if due else []:
            self._running += fresh
        elif self._running:
            self._decode()
        elif waiting and len(self._waiting) == waiting:  # it would wait for ever
            free = f"{self.slots} free slots and {self._reserved} pages reserved"
            self._refuse(f"sample {self._waiting[0][1].sample.id}: no room for it with {free}", "room")
        lost: dict[int, Group] = {}
        for place in range(len(self._running) - 1, -1, -1):
            sequence = self._running[place]
            if not math.isfinite(sequence.logprobs[-1]):
                lost[sequence.group.ticket] = sequence.group
            elif reason := ending(sequence, self.processor.tokenizer, self.stop_ids):
                self._finish(place, reason)
        for group in lost.values():
            self._give_up(group)

    def _give_up(self, group: Group) -> None:
        """Take a group out whose logits are no numbers: what follows them means nothing."""
        for place in range(len(self._running) - 1, -1, -1):
            if self._running[place].group is group:
                self._remove(place)
        self._done = [done for done in self._done if done.ticket != group.ticket]
        story = f"sample {group.request.sample.id}: the model's logits are no numbers (NaN); look at its parameters"
        self._failed.append(RequestError(story, ticket=group.ticket, reason="not-a-number"))

    def _refuse(self, story: str, reason: str, cause: DataError | None = None) -> None:
        """Give up the request that waits first."""
        ticket, request = self._waiting.popleft()
        self._prefill.forget(request)
        self._failed.append(RequestError(story, ticket=ticket, reason=reason))
        self._failed[-1].__cause__ = cause

    # ------------------------------------------------------------ prefill

    def _admit(self, room: int) -> list[Running]:
        """Prefill as many waiting groups as there is room for, and draw their first tokens; all of it, or nothing."""
        members: list[Group] = []
        prompts: list[Encoded] = []
        fresh: list[Running] = []
        try:
            self._choose(room, members, prompts)
            if members:
                self._compute(members, prompts, fresh)
        except BaseException:  # an interrupt, too: the engine goes on as if this had not been tried
            for sequence in fresh:
                self._own.release(sequence.own)
            for group in members:
                self._shared.release(group.pages)
            self._reserved -= sum(group.reserved for group in members)
            self._waiting.extendleft((group.ticket, group.request) for group in reversed(members))
            raise
        for group in members:
            self._prefill.forget(group.request)
        return fresh

    def _choose(self, room: int, members: list[Group], prompts: list[Encoded]) -> None:
        """Move the groups that come next from those that wait to ``members``."""
        samples = tokens = 0
        size = self._own.page_tokens
        while self._waiting:
            ticket, request = self._waiting[0]
            if samples + request.num_samples > room or (members and tokens >= self.prefill_tokens):
                break
            try:
                if self._next is None or self._next[0] != ticket:  # else it was encoded before there was room for it
                    self._next = ticket, encode_request(request, self.processor)
                encoded = self._next[1]
                pages = longest(encoded.num_tokens, request, request.num_samples, size, self.cache_tokens)
            except DataError as error:
                self._refuse(str(error), "prompt", error)
                continue
            if self.cache_tokens is not None and (self._reserved + pages) * size > self.cache_tokens:
                break
            self._waiting.popleft()
            members.append(Group(ticket, request, [], encoded.num_tokens // size * size, request.num_samples, pages))
            prompts.append(encoded)
            self._reserved += pages
            samples += request.num_samples
            tokens += encoded.num_tokens

    def _compute(self, members: Sequence[Group], prompts: Sequence[Encoded], fresh: list[Running]) -> None:
        """Compute prompts into pages and add their samples to ``fresh``, each with its first token."""
        size = self._own.page_tokens
        ends, keys, values = self._prefill.run([group.request for group in members], prompts)
        rows: list[int] = []
        start = 0
        for number, (group, encoded) in enumerate(zip(members, prompts, strict=True)):
            middle, end = start + group.shared_length, start + encoded.num_tokens
            group.pages = self._shared.take(group.shared_length // size)
            self._shared.write(group.pages, keys[:, start:middle], values[:, start:middle])
            position = int(encoded.positions[:, -1].max()) + 1
            for sample in range(group.request.num_samples):
                draws = uniforms(group.request, sample)
                own = self._own.take(-(-(end - middle) // size))
                fresh.append(Running(group, sample, draws, position, own, end - middle))
                self._own.write(own, keys[:, middle:end], values[:, middle:end])
                rows.append(number)
            start = end
        # As many rows as any row may have beside it (MIN_ROWS): then each is computed the same way.
        ends = torch.cat([ends, ends[-1:].expand(max(0, MIN_ROWS - len(ends)), -1)])
        self._draw(self.model.logits(ends)[rows], fresh)

    # ------------------------------------------------------------ decoding

    def _decode(self) -> None:
        """One more token of every running sequence."""
        running, language = self._running, self.model.language
        for sequence in running:
            if sequence.own_length == len(sequence.own) * self._own.page_tokens:
                sequence.own += self._own.take(1)
        if self._blocks:
            logits = self._blocks.logits(running)
        else:
            compact(running, self._shared, self._own)
            rows = max(len(running), MIN_ROWS)
            spare = [0] * (rows - len(running))
            last = torch.tensor([sequence.tokens[-1] for sequence in running] + spare)
            position = torch.tensor([sequence.position for sequence in running] + spare).expand(3, -1)
            heads = language.config.num_heads // language.config.num_kv_heads
            attention = PageAttention(self._shared, self._own, running, rows, heads)
            hidden = language(language.embed_tokens(last), position, attention)
            logits = self.model.logits(hidden)[: len(running)]
        self._draw(logits, running)
        for sequence in running:
            sequence.position += 1
            sequence.own_length += 1

    def _draw(self, logits: torch.Tensor, sequences: Sequence[Running]) -> None:
        """Next tokens and their log-probabilities."""
        draw_next(forbid(logits, self.forbidden), sequences)
        self.tokens_generated += len(sequences)

    def _finish(self, place: int, reason: Literal["stop", "length", "cancelled"]) -> None:
        """Report a sequence that has ended."""
        sequence = self._remove(place)
        done = completion(sequence, self.processor.tokenizer, reason)
        self._done.append(Finished(sequence.group.ticket, sequence.sample, done))

    def _remove(self, place: int) -> Running:
        """Free a sequence's pages; the last running one takes its row."""
        sequence, last = self._running[place], self._running.pop()
        if last is not sequence:
            self._running[place] = last
        group = sequence.group
        self._own.release(sequence.own)
        group.alive -= 1
        if not group.alive:
            self._shared.release(group.pages)
            self._reserved -= group.reserved
        return sequence
