"""Referring expressions as trees that can be evaluated: which objects fit surely, and which perhaps.

    Related("left of", of=Kind("cup", ("red",)), anchor=Extreme("largest", of=Kind("plate")))

    the red cup to the left of the largest plate

``evaluate`` gives two sets. What fits surely fits by a clear margin; what fits perhaps is arguable: a cup almost level
with the plate, two plates of nearly one size, an object whose colour was not annotated. An expression is unambiguous
if one object fits perhaps and the same one surely (the rule of the embedded world's phrases, ``world/refer``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.curate.grounding.convert import Box

__all__ = [
    "EXTREMES",
    "RELATIONS",
    "SIDES",
    "Expression",
    "Extreme",
    "Fit",
    "Kind",
    "Nth",
    "Related",
    "Thing",
    "answers",
    "evaluate",
    "fits",
]

SIDES = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}
"""Side counted from → axis (0 = x) and sign along which the count goes."""
RELATIONS = ("left of", "right of", "above", "below", "inside", "nearest to")
EXTREMES = ("largest", "smallest")

_MARGIN = 0.03
"""Of the picture's side: differences of place smaller than this are arguable."""
_AREA = 1.3
"""Factor of area from which one thing is clearly larger."""
_NEARER = 1.4
"""Factor of distance from which one thing is clearly nearer."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a picture. ``attributes`` are its known ones, by kind: {"colour": "red"}."""

    label: str
    box: Box
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def area(self) -> float:
        """Of the box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


@dataclass(frozen=True, slots=True)
class Kind:
    """All things of a class (empty: of any), with some attributes."""

    label: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Nth:
    """The n-th from a side (1 = the outermost) of what ``of`` means."""

    number: int
    side: str
    of: Kind


@dataclass(frozen=True, slots=True)
class Extreme:
    """The largest or smallest of what ``of`` means."""

    which: str
    of: Kind


@dataclass(frozen=True, slots=True)
class Related:
    """What of ``of`` stands so to the one thing that ``anchor`` means."""

    relation: str
    of: Kind
    anchor: Kind | Nth | Extreme | Related


Expression = Kind | Nth | Extreme | Related


@dataclass(frozen=True, slots=True)
class Fit:
    """Numbers of the things that fit surely, and of those that fit at least perhaps."""

    surely: frozenset[int]
    perhaps: frozenset[int]

    @property
    def one(self) -> int | None:
        """The one thing that is meant beyond doubt."""
        return next(iter(self.surely)) if len(self.perhaps) == 1 and self.surely == self.perhaps else None


_NOTHING = Fit(frozenset(), frozenset())


def evaluate(expression: Expression, things: Sequence[Thing], size: tuple[int, int]) -> Fit:
    """What an expression means among all things of a picture.

    Args:
        expression: the tree.
        things: every object; one that is missing makes answers wrong.
        size: width and height of the picture, in the boxes' unit.
    """
    match expression:
        case Kind():
            return _kind(expression, things)
        case Nth():
            return _nth(expression, things, size)
        case Extreme():
            return _extreme(expression, things)
        case Related():
            return _related(expression, things, size)


def fits(kind: Kind, thing: Thing) -> bool | None:
    """Whether a thing is of a kind; None where an attribute is not known."""
    if kind.label and thing.label != kind.label:
        return False
    known = dict(thing.attributes)
    wanted = kind.attributes
    if any(name in known and known[name] != value for name, value in wanted):
        return False
    return True if all(name in known for name, _ in wanted) else None


def answers(expression: Expression, things: Sequence[Thing], size: tuple[int, int]) -> int | None:
    """Number of the one thing an expression means beyond doubt; None if there is none."""
    return evaluate(expression, things, size).one


def _kind(kind: Kind, things: Sequence[Thing]) -> Fit:
    found = [fits(kind, thing) for thing in things]
    return Fit(
        frozenset(number for number, fit in enumerate(found) if fit),
        frozenset(number for number, fit in enumerate(found) if fit is not False),
    )


def _nth(expression: Nth, things: Sequence[Thing], size: tuple[int, int]) -> Fit:
    """Clear if the count is, and both neighbours in the order stand clear of the one meant."""
    among = _kind(expression.of, things)
    if len(among.perhaps) < expression.number:
        return _NOTHING
    axis, sign = SIDES[expression.side]
    margin = _MARGIN * size[axis]
    place = {number: sign * things[number].centre[axis] for number in among.perhaps}
    order = sorted(among.perhaps, key=lambda number: (place[number], number))
    index = expression.number - 1
    meant = order[index]
    near = order[max(0, index - 1) : index + 2]
    clear = all(other == meant or abs(place[other] - place[meant]) >= margin for other in near)
    if clear and among.surely == among.perhaps:
        return Fit(frozenset({meant}), frozenset({meant}))
    return Fit(frozenset(), among.perhaps)


def _extreme(expression: Extreme, things: Sequence[Thing]) -> Fit:
    among = _kind(expression.of, things)
    if not among.perhaps:
        return _NOTHING
    sign = 1 if expression.which == "largest" else -1
    order = sorted(among.perhaps, key=lambda number: (-sign * things[number].area, number))
    areas = [things[number].area for number in order]
    ratio = (areas[0] / areas[1]) ** sign if len(areas) > 1 else _AREA
    if ratio >= _AREA and among.surely == among.perhaps:
        return Fit(frozenset(order[:1]), frozenset(order[:1]))
    return Fit(frozenset(), among.perhaps)


def _related(expression: Related, things: Sequence[Thing], size: tuple[int, int]) -> Fit:
    among = _kind(expression.of, things)
    anchor = evaluate(expression.anchor, things, size).one
    if anchor is None:  # arguable what it stands next to, so arguable what is meant
        return Fit(frozenset(), among.perhaps)
    others = [number for number in sorted(among.perhaps) if number != anchor]
    if expression.relation == "nearest to":
        return _nearest(others, among, anchor, things)
    how = {number: _stands(expression.relation, things[number], things[anchor], size) for number in others}
    return Fit(
        frozenset(number for number in others if how[number] is True and number in among.surely),
        frozenset(number for number in others if how[number] is not False),
    )


def _nearest(others: list[int], among: Fit, anchor: int, things: Sequence[Thing]) -> Fit:
    if not others:
        return _NOTHING
    distance = {number: _distance(things[number], things[anchor]) for number in others}
    order = sorted(others, key=lambda number: (distance[number], number))
    clear = len(order) == 1 or distance[order[1]] >= _NEARER * max(distance[order[0]], 1e-9)
    if clear and set(others) <= among.surely:
        return Fit(frozenset(order[:1]), frozenset(order[:1]))
    return Fit(frozenset(), frozenset(others))


def _distance(first: Thing, second: Thing) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(first.centre, second.centre, strict=True)) ** 0.5)


def _stands(relation: str, thing: Thing, anchor: Thing, size: tuple[int, int]) -> bool | None:
    """True: clearly so; False: clearly not; None: arguable."""
    if relation == "inside":
        a, b = thing.box, anchor.box
        if a[0] >= b[0] and a[1] >= b[1] and a[2] <= b[2] and a[3] <= b[3] and thing.area < 0.8 * anchor.area:
            return True
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        return False if apart else None
    axis, sign = {"left of": (0, 1), "right of": (0, -1), "above": (1, 1), "below": (1, -1)}[relation]
    ahead = sign * (anchor.centre[axis] - thing.centre[axis])
    if ahead <= -_MARGIN * size[axis]:
        return False
    # Clearly: its middle lies beyond the anchor's edge, and it is not mainly to another side.
    edge = anchor.box[axis] if sign > 0 else anchor.box[axis + 2]
    beyond = sign * (edge - thing.centre[axis]) >= 0
    across = abs(anchor.centre[1 - axis] - thing.centre[1 - axis])
    return True if beyond and ahead >= _MARGIN * size[axis] and ahead >= across else None
