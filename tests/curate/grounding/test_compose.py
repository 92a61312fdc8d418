import math
import random

from mimovl.curate.grounding.compose import absent, compose, parts
from mimovl.curate.grounding.expression import Expression, Extreme, Kind, Nth, Related, Thing, evaluate
from tests.curate.grounding.pictures import SIZE, TABLE, random_things


def plainly(expression: Expression, things: list[Thing]) -> list[Thing]:
    """What an expression means, read by a person who takes every word at its face value: an independent reading."""
    if isinstance(expression, Kind):
        wanted = dict(expression.attributes)
        return [
            one
            for one in things
            if one.label == expression.label
            and all(dict(one.attributes).get(name) == value for name, value in wanted.items())
        ]
    found = plainly(expression.of, things)
    if isinstance(expression, Nth):
        middle = {"left": 0, "right": 0, "top": 1, "bottom": 1}[expression.side]
        key = [(one.box[middle] + one.box[middle + 2]) / 2 for one in found]
        order = sorted(range(len(found)), key=key.__getitem__, reverse=expression.side in ("right", "bottom"))
        return [found[order[expression.number - 1]]] if expression.number <= len(found) else []
    if isinstance(expression, Extreme):
        chosen = max if expression.which == "largest" else min
        return [chosen(found, key=lambda one: (one.box[2] - one.box[0]) * (one.box[3] - one.box[1]))]
    (anchor,) = plainly(expression.anchor, things)
    found = [one for one in found if one is not anchor]
    (x, y), box = anchor.centre, anchor.box
    if expression.relation == "nearest to":
        return [min(found, key=lambda one: math.dist(one.centre, anchor.centre))]
    holds = {
        "left of": lambda one: one.centre[0] < x,
        "right of": lambda one: one.centre[0] > x,
        "above": lambda one: one.centre[1] < y,
        "below": lambda one: one.centre[1] > y,
        "inside": lambda one: (
            one.box[0] >= box[0] and one.box[1] >= box[1] and one.box[2] <= box[2] and one.box[3] <= box[3]
        ),
    }[expression.relation]
    return [one for one in found if holds(one)]


def test_every_expression_has_exactly_one_answer_by_an_independent_reading() -> None:
    kinds: dict[type, int] = {}
    for seed in range(120):
        rng = random.Random(seed)
        things = random_things(rng)
        for target in range(len(things)):
            expression = compose(rng, things, target, SIZE)
            if expression is not None:
                assert plainly(expression, things) == [things[target]], (seed, expression)
                assert evaluate(expression, things, SIZE).perhaps == {target}
                kinds[type(expression)] = kinds.get(type(expression), 0) + 1
    assert min(kinds.get(kind, 0) for kind in (Kind, Nth, Extreme, Related)) >= 15, kinds


def test_complex_expressions_have_more_parts_than_simple_ones() -> None:
    simple = [parts(compose(random.Random(s), TABLE, 1, SIZE, complex_share=0.0)) for s in range(20)]  # type: ignore[arg-type]
    complex_ones = [parts(compose(random.Random(s), TABLE, 1, SIZE, complex_share=1.0)) for s in range(20)]  # type: ignore[arg-type]
    assert max(simple) == 2 and min(complex_ones) > 2


def test_nothing_is_said_of_things_that_cannot_be_told_apart() -> None:
    twins = [TABLE[0], Thing("cup", TABLE[0].box, TABLE[0].attributes)]
    assert compose(random.Random(0), twins, 0, SIZE) is None


def test_what_is_absent_fits_nothing_even_perhaps() -> None:
    found = set()
    for seed in range(200):
        rng = random.Random(seed)
        things = random_things(rng)
        expression = absent(rng, things, ("zebra", "cup"), SIZE)
        if expression is not None:
            assert not evaluate(expression, things, SIZE).perhaps
            found.add(expression)
    assert Kind("zebra") in found and any(isinstance(one, Kind) and one.attributes for one in found)


def test_without_classes_known_to_be_missing_no_class_is_called_missing() -> None:
    plain = [one for one in TABLE if not one.attributes]
    assert absent(random.Random(0), plain, (), SIZE) is None
