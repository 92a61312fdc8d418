"""Samples on their way from one engine to another: a step ends with its longest answers, and most engines have none.

    other.adopt(engine.give(3))

Keys and values move with what was written, so nothing is computed again and the answer is the one it would have been,
on the CPU to the bit.

Legend: Y layers, T tokens, K key/value heads, D head dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mimovl.errors import DataError
from mimovl.generate.page_pool import PagePool
from mimovl.generate.sequence import Group, Running, uniforms
from mimovl.types import Request

__all__ = ["MovedGroup", "MovedSample", "check_room", "compact", "pack_up", "settle"]


@dataclass(frozen=True, slots=True)
class MovedSample:
    """One sample that has begun."""

    sample: int
    """Its place in the group."""
    position: int
    """Rotary position of the next token."""
    keys: torch.Tensor
    """Shape (Y, T, K, D): of the rest of the prompt that filled no page, and of what it wrote."""
    values: torch.Tensor
    tokens: tuple[int, ...]
    """Written so far; the last one has no keys and values yet."""
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MovedGroup:
    """Samples of one request; none where it has not begun, and then all of them move."""

    ticket: int
    """Of the engine that gave it."""
    request: Request
    keys: torch.Tensor | None = None
    """Shape (Y, T, K, D): of the full pages of the prompt."""
    values: torch.Tensor | None = None
    samples: tuple[MovedSample, ...] = ()

    page_tokens: int = 0

    @property
    def places(self) -> list[int]:
        """Which samples of the request move."""
        return [one.sample for one in self.samples] or list(range(self.request.num_samples))

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, once it has begun."""
        if self.keys is None:
            return 0
        first = self.samples[0]
        return self.keys.shape[1] + first.keys.shape[1] - len(first.tokens) + 1


def pack_up(sequences: Sequence[Running], shared: PagePool, own: PagePool) -> list[MovedGroup]:
    """Copies of sequences in the CPU's memory, by group; their pages are still theirs."""
    groups: dict[int, list[Running]] = {}
    for sequence in sequences:
        groups.setdefault(id(sequence.group), []).append(sequence)
    moved = []
    for members in groups.values():
        group = members[0].group
        samples = tuple(
            MovedSample(
                one.sample,
                one.position,
                *own.read(one.own, one.own_length),
                tuple(one.tokens),
                tuple(one.logprobs),
            )
            for one in members
        )
        prompt = shared.read(group.pages, group.shared_length)
        moved.append(MovedGroup(group.ticket, group.request, *prompt, samples, shared.page_tokens))
    return moved


def check_room(groups: Sequence[MovedGroup], pool: PagePool, room: int, tokens: int, most: int | None) -> None:
    """Refuse samples that an engine cannot hold.

    Args:
        groups: what moves.
        pool: where it would go.
        room: free slots.
        tokens: that the cache would hold if all that runs there grew to its longest.
        most: that it may hold.

    Raises:
        DataError: names both numbers.
    """
    samples = sum(len(group.samples) for group in groups)
    if samples > room:
        raise DataError(f"{samples} samples of another engine come, {room} slots are free; take fewer")
    if most is not None and tokens > most:
        raise DataError(
            f"with {samples} samples of another engine the cache would hold up to {tokens} tokens, it may hold {most}; "
            "take fewer, or raise cache_tokens"
        )
    if other := {group.page_tokens for group in groups if group.samples} - {pool.page_tokens}:
        raise DataError(
            f"pages of {other.pop()} tokens come, this engine's have {pool.page_tokens}; give both the same"
        )


def settle(moved: MovedGroup, ticket: int, reserved: int, shared: PagePool, own: PagePool) -> list[Running]:
    """Sequences that go on with what has moved, on pages of their own."""
    assert moved.keys is not None and moved.values is not None
    size, length = shared.page_tokens, moved.keys.shape[1]
    group = Group(ticket, moved.request, shared.take(-(-length // size)), length, len(moved.samples), reserved)
    shared.write(group.pages, moved.keys, moved.values)
    running = []
    for one in moved.samples:
        pages = own.take(-(-one.keys.shape[1] // size))
        own.write(pages, one.keys, one.values)
        draws = uniforms(moved.request, one.sample)
        running.append(
            Running(
                group,
                one.sample,
                draws,
                one.position,
                pages,
                one.keys.shape[1],
                list(one.tokens),
                list(one.logprobs),
            )
        )
    return running


def compact(running: Sequence[Running], shared: PagePool, own: PagePool) -> None:
    """Close the holes that long sequences leave when short ones around them end."""
    if moved := own.compact():
        for sequence in running:
            sequence.own = [moved.get(page, page) for page in sequence.own]
    if moved := shared.compact():
        for group in {id(sequence.group): sequence.group for sequence in running}.values():
            group.pages = [moved.get(page, page) for page in group.pages]
