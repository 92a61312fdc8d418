import random

import pytest

from mimovl.curate.grounding.expression import Extreme, Fit, Kind, Nth, Related, answers, evaluate
from tests.curate.grounding.pictures import SIZE, TABLE, random_things, thing

CUP, RED_CUP = Kind("cup"), Kind("cup", (("colour", "red"),))


@pytest.mark.parametrize(
    ("expression", "meant"),
    [
        (Kind("plate"), 3),
        (CUP, None),
        (Kind("cup", (("colour", "blue"),)), 1),
        (Nth(1, "left", CUP), 0),
        (Nth(2, "left", CUP), 1),
        (Nth(2, "right", CUP), 1),
        (Nth(2, "left", RED_CUP), 2),
        (Nth(4, "left", CUP), None),
        (Nth(1, "top", CUP), None),  # three cups stand level
        (Extreme("largest", CUP), 1),
        (Extreme("smallest", CUP), 0),
        (Related("left of", CUP, Kind("plate")), None),  # one to its upper left, one over it
        (Related("above", CUP, Kind("plate")), None),
        (Related("right of", RED_CUP, Kind("cup", (("colour", "blue"),))), 2),
        (Related("inside", Kind("tie"), Kind("person")), 5),
        (Related("nearest to", CUP, Kind("tie")), 2),
        (Related("right of", Kind("person"), Nth(3, "left", CUP)), 4),
        (Related("above", CUP, Kind("dog")), None),
        (Related("above", CUP, RED_CUP), None),  # which red cup?
    ],
)
def test_expressions_mean_what_a_person_would_say(expression: object, meant: int | None) -> None:
    assert answers(expression, TABLE, SIZE) == meant  # type: ignore[arg-type]


def test_an_unknown_attribute_may_be_any() -> None:
    pair = (thing("cup", 10, 10, 40, 40, colour="red"), thing("cup", 200, 10, 40, 40))
    assert evaluate(RED_CUP, pair, SIZE) == Fit(frozenset({0}), frozenset({0, 1}))
    assert answers(RED_CUP, pair, SIZE) is None
    assert evaluate(Kind("cup", (("colour", "blue"),)), pair, SIZE) == Fit(frozenset(), frozenset({1}))


def test_places_and_sizes_that_are_nearly_equal_decide_nothing() -> None:
    level = (thing("cup", 10, 10, 40, 40), thing("cup", 18, 200, 40, 44))
    assert answers(Nth(1, "left", CUP), level, SIZE) is None
    assert answers(Nth(1, "top", CUP), level, SIZE) == 0
    assert answers(Extreme("largest", CUP), level, SIZE) is None


def test_what_fits_surely_fits_perhaps() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        things = random_things(rng)
        kind = Kind(rng.choice(("cup", "dog", "")), rng.choice(((), (("colour", "red"),))))
        anchor = rng.choice((Kind("car"), Nth(1, "left", Kind("car")), Extreme("largest", Kind("dog"))))
        relations = ("left of", "right of", "above", "below", "inside", "nearest to")
        for expression in (
            kind,
            Nth(rng.randint(1, 4), rng.choice(("left", "right", "top", "bottom")), kind),
            Extreme(rng.choice(("largest", "smallest")), kind),
            Related(rng.choice(relations), kind, anchor),
        ):
            fit = evaluate(expression, things, SIZE)
            assert fit.surely <= fit.perhaps <= evaluate(kind, things, SIZE).perhaps


def test_counting_from_both_sides_meets_in_the_middle() -> None:
    for seed in range(200):
        things = [one for one in random_things(random.Random(seed)) if one.label == "cup"]
        for number in range(1, len(things) + 1):
            left = answers(Nth(number, "left", CUP), things, SIZE)
            assert left == answers(Nth(len(things) + 1 - number, "right", CUP), things, SIZE)
