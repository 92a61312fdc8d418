"""Expressions that mean one object and no other, simple ones and such as are made of several parts.

Every candidate is evaluated over all objects of the picture; only those with exactly one answer are returned.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations

from mimovl.curate.grounding.expression import (
    EXTREMES,
    RELATIONS,
    SIDES,
    Expression,
    Extreme,
    Kind,
    Nth,
    Related,
    Thing,
    answers,
    evaluate,
    fits,
)

__all__ = ["absent", "compose", "parts"]

_MAX_CANDIDATES = 160
"""Candidates evaluated for one object, drawn by chance where there are more."""
_MAX_ORDINAL = 5


def parts(expression: Expression) -> int:
    """How many things must be looked for: attributes, order, size and relations, one each, and the noun."""
    match expression:
        case Kind():
            return 1 + len(expression.attributes)
        case Nth() | Extreme():
            return 1 + parts(expression.of)
        case Related():
            return 1 + parts(expression.of) + parts(expression.anchor)


def compose(
    rng: random.Random, things: Sequence[Thing], target: int, size: tuple[int, int], *, complex_share: float = 0.5
) -> Expression | None:
    """An expression for one thing, checked over all; None if none is unambiguous.

    Args:
        rng: where chance comes from.
        things: all objects of the picture.
        target: number of the one to mean.
        size: width and height of the picture.
        complex_share: how often one of the expressions with most parts is taken, rather than one of the shortest.
    """
    candidates = list(dict.fromkeys(_candidates(things, target, size)))
    if len(candidates) > _MAX_CANDIDATES:
        candidates = rng.sample(candidates, _MAX_CANDIDATES)
    unique = [one for one in candidates if answers(one, things, size) == target]
    if not unique:
        return None
    counts = sorted({parts(one) for one in unique})
    wanted = rng.choice(counts[len(counts) // 2 :]) if rng.random() < complex_share else counts[0]
    return rng.choice([one for one in unique if parts(one) == wanted])


def absent(
    rng: random.Random, things: Sequence[Thing], labels: Sequence[str], size: tuple[int, int]
) -> Expression | None:
    """An expression that nothing in the picture fits, not even arguably: a class or an attribute that is not there.

    Args:
        rng: where chance comes from.
        things: all objects of the picture.
        labels: classes that the picture is known not to have.
        size: width and height of the picture.
    """
    values: dict[str, set[str]] = {}
    for thing in things:
        for name, value in thing.attributes:
            values.setdefault(name, set()).add(value)
    near = [
        Kind(thing.label, ((name, value),))
        for thing in things
        for name, known in sorted(values.items())
        for value in sorted(known)
    ]
    near = [kind for kind in dict.fromkeys(near) if not evaluate(kind, things, size).perhaps]
    plain = [Kind(label) for label in labels if not evaluate(Kind(label), things, size).perhaps]
    if near and (not plain or rng.random() < 0.5):
        return rng.choice(near)
    return rng.choice(plain) if plain else None


def _kinds(thing: Thing) -> list[Kind]:
    """All ways to name a thing by its class and some of its attributes."""
    return [
        Kind(thing.label, chosen)
        for number in range(len(thing.attributes) + 1)
        for chosen in combinations(thing.attributes, number)
    ]


def _simple(things: Sequence[Thing], target: int) -> Iterator[Kind | Nth | Extreme]:
    """By kind alone, and by its place and size among several of a kind."""
    for kind in _kinds(things[target]):
        yield kind
        among = [one for one in things if fits(kind, one) is not False]
        for which in EXTREMES if len(among) > 1 else ():
            yield Extreme(which, kind)
        for side, (axis, sign) in SIDES.items() if len(among) > 1 else ():
            place = sign * things[target].centre[axis]
            number = 1 + sum(sign * one.centre[axis] < place for one in among)
            if number <= _MAX_ORDINAL:
                yield Nth(number, side, kind)


@lru_cache(maxsize=64)
def _anchors(things: tuple[Thing, ...], size: tuple[int, int]) -> list[list[Kind | Nth | Extreme | Related]]:
    """For each thing, the shortest simple expressions that mean it alone."""
    found = []
    for number in range(len(things)):
        alone = [one for one in _simple(things, number) if answers(one, things, size) == number]
        found.append(list[Kind | Nth | Extreme | Related](sorted(alone, key=parts)[:3]))
    return found


def _candidates(things: Sequence[Thing], target: int, size: tuple[int, int]) -> Iterator[Expression]:
    """Simple ones, and relations to anchors that are themselves unambiguous (and may be related to a third)."""
    yield from _simple(things, target)
    anchors = _anchors(tuple(things), size)
    for number in range(len(things)):
        if number == target:
            continue
        plain = anchors[number]
        third = next((n for n in range(len(things)) if n not in (target, number) and anchors[n]), None)
        if plain and third is not None:
            chained = [Related(how, Kind(things[number].label), anchors[third][0]) for how in RELATIONS]
            plain = [*plain, *[one for one in chained if answers(one, things, size) == number][:1]]
        for anchor in plain:
            for kind in _kinds(things[target]):
                for relation in RELATIONS:
                    yield Related(relation, kind, anchor)
