import random

from mimovl.curate.world.language import (
    COLOURS,
    PLACES,
    SHAPES,
    SIZES,
    Kind,
    join,
    noun,
    pick,
    place_phrase,
    say,
    with_article,
)


def test_nouns_name_attributes_in_order() -> None:
    kind = Kind(shape="circle", colour="red", size="large")
    assert noun(kind, "en") == "large red circle"
    assert noun(kind, "zh") == "大红色圆形"
    assert noun(Kind(colour="red"), "en", plural=True) == "red objects"
    assert noun(Kind(shape="cross"), "en", plural=True) == "crosses"


def test_every_word_has_a_chinese_one_and_they_differ() -> None:
    words = [*COLOURS, *SHAPES, *SIZES, *PLACES]
    assert len({say(word, "zh") for word in words}) == len(words)


def test_a_kind_covers_the_narrower() -> None:
    assert Kind().covers(Kind("circle", "red", "large"))
    assert Kind(shape="circle").covers(Kind("circle", "red"))
    assert not Kind(shape="circle", colour="blue").covers(Kind("circle", "red"))


def test_phrases_are_grammatical() -> None:
    assert with_article("orange star", "en") == "an orange star"
    assert with_article("red star", "en") == "a red star"
    assert with_article("橙色星形", "zh") == "橙色星形"
    assert place_phrase("centre", "en") == "in the centre"
    assert place_phrase("top left", "en") == "at the top left"
    assert join(["a", "b", "c"], "en") == "a, b and c"
    assert join(["a"], "en") == "a"


def test_phrasings_are_filled_in() -> None:
    asked = {"q": {"en": ("How many {x}?", "Count the {x}.")}}
    drawn = {pick(random.Random(seed), asked, "q", "en", x="stars") for seed in range(20)}
    assert drawn == {"How many stars?", "Count the stars."}
