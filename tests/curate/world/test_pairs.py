import json
import random

import pytest

from mimovl.curate.world import WorldConfig
from mimovl.curate.world.pairs import PAIR_SETS, answer_pair, wrong_answer
from mimovl.types import Outcome
from mimovl.verify import grade
from tests.curate.world.cached_items import CHINESE, ENGLISH, items

SOURCES = ("world/counting", "world/attributes", "world/grounding", "world/caption", "world/arithmetic")
CONFIG = WorldConfig()


def turns(source: str, count: int = 40, *, chinese: bool = False):
    return [(item, turn) for item in items(source, count, chinese=chinese) for turn in item.turns]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("chinese", [False, True], ids=["en", "zh"])
def test_wrong_answers_are_wrong_to_the_graders_and_like_the_right_ones(source: str, chinese: bool) -> None:
    rng = random.Random(1)
    made = 0
    for item, turn in turns(source, 20, chinese=chinese):
        wrong = wrong_answer(rng, item, turn, CHINESE if chinese else ENGLISH)
        if wrong is None:
            assert turn.task == "multi_grounding"
            continue
        made += 1
        assert grade(turn.gold.kind, turn.answer, turn.gold.answer, **turn.gold.options).outcome is Outcome.CORRECT
        assert grade(turn.gold.kind, wrong, turn.gold.answer, **turn.gold.options).outcome is Outcome.WRONG
        if source == "world/grounding":
            [mine], [theirs] = json.loads(turn.answer), json.loads(wrong)
            assert mine["label"] == theirs["label"] and len(theirs["bbox_2d"]) == 4
            assert all(0 <= side <= max(item.image.size) for side in theirs["bbox_2d"])
        if source in ("world/counting", "world/arithmetic"):
            assert len(wrong) == len(turn.answer)
    assert made >= 20


def longer(pairs) -> float:
    return sum(
        0.5 if len(pair.first) == len(pair.second) else float(len(pair.first) > len(pair.second)) for pair in pairs
    ) / len(pairs)


@pytest.mark.parametrize("source", SOURCES)
def test_the_length_of_a_fair_pairs_answers_tells_nothing(source: str) -> None:
    rng = random.Random(2)
    drawn = [answer_pair(rng, item, turn, "fair", CONFIG) for item, turn in turns(source) for _ in range(6)]
    pairs = [pair for pair in drawn if pair]
    spread = 0.5 / len(pairs) ** 0.5
    assert abs(longer(pairs) - 0.5) < 5 * spread
    assert {pair.set for pair in pairs} == {"fair"}


@pytest.mark.parametrize("source", SOURCES)
def test_in_the_adversarial_set_the_wrong_answer_is_always_the_longer_one(source: str) -> None:
    rng = random.Random(3)
    pairs = [answer_pair(rng, item, turn, "longer_wrong", CONFIG) for item, turn in turns(source, 20)]
    assert longer([pair for pair in pairs if pair]) == 0


def test_a_tie_is_one_answer_in_two_lengths() -> None:
    rng = random.Random(4)
    right = 0
    pairs = [(turn, answer_pair(rng, item, turn, "tie", CONFIG)) for item, turn in turns("world/counting")]
    for turn, pair in pairs:
        assert pair.first != pair.second
        assert pair.first.split("\n")[0] == pair.second.split("\n")[0]
        right += pair.first.split("\n")[0] == turn.answer
    assert 0.4 < right / len(pairs) < 0.95


def test_the_same_seed_makes_the_same_pairs() -> None:
    for kind in PAIR_SETS:
        first, second = (
            [answer_pair(random.Random(5), item, turn, kind, CONFIG) for item, turn in turns("world/attributes", 5)]
            for _ in range(2)
        )
        assert first == second
