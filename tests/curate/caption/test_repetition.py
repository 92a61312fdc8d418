import random

import pytest

from mimovl.curate.caption.repetition import find_loop
from tests.curate.caption.gold_captions import gold_captions

GOLD = gold_captions()


def test_at_least_99_percent_of_labelled_loops_are_found_and_1_percent_of_the_rest_called_one() -> None:
    wrong = [(one, find_loop(one.text)) for one in GOLD if bool(find_loop(one.text)) != (one.label == "loop")]
    loops = sum(one.label == "loop" for one in GOLD)
    assert loops > 75
    assert sum(one.label == "loop" for one, _ in wrong) <= 0.01 * loops, wrong
    assert sum(one.label != "loop" for one, _ in wrong) <= 0.01 * (len(GOLD) - loops), wrong


def test_loops_planted_at_the_end_of_clean_captions_are_found() -> None:
    rng = random.Random(0)
    clean = [one for one in GOLD if one.label == "clean" and len(one.text) > 40]
    missed = []
    for one in clean:
        words = one.text.split() if one.language == "en" else list(one.text)
        start, size = rng.randrange(max(1, len(words) - 8)), rng.randint(1, 8)
        unit = (" " if one.language == "en" else "").join(words[start : start + size])
        if any(sign.isalpha() for sign in unit):
            looped = f"{one.text} " + f"{unit} " * 8 if one.language == "en" else one.text + unit * 8
            missed += [] if find_loop(looped) else [looped]
    assert len(clean) > 50
    assert len(missed) <= 0.01 * len(clean), missed


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so" + "o" * 30, "characters: 'o' 31 times"),
        ("nice" + "!" * 20, "marks: '!' 20 times"),
        ("a very " + "big " * 9 + "dog", "phrase: 'big' 9 times"),
        ("照片" * 6, "phrase: '照片' 6 times"),
        ("The sky is big. A dog. The sky is big. Cat. The sky is big.", "sentence: 'the sky is big' 3 times"),
    ],
)
def test_the_first_test_that_fires_names_the_loop(text: str, found: str) -> None:
    assert find_loop(text) == found


def test_most_sequences_coming_again_out_of_order_are_a_loop() -> None:
    one, two = "a man in a dark coat walks past the shop,", "some birds sit on the roof of the old house,"
    text = " ".join([one, two, "and then", two, one, "so", one, "but", two])
    assert find_loop(text).startswith("sequences:")


@pytest.mark.parametrize("text", ["", " ", "!", "ha ha ha ha", "very, very, very old", "5 ★★★★★", "a b a b a b"])
def test_ordinary_repetition_is_none(text: str) -> None:
    assert find_loop(text) == ""


@pytest.mark.parametrize("unit", ["ab ", "a", "猫", "a,", "x y z w ", ". "])
def test_a_million_characters_do_not_hang(unit: str) -> None:
    find_loop(unit * (1_000_000 // len(unit)))
    find_loop("".join(random.Random(0).choices("ab cd. ", k=300_000)))
