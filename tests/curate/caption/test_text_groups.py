import random

import numpy as np
import pytest

from mimovl.curate.caption.text_groups import Fingerprints, fingerprint, likeness, text_groups


def shingles(words: list[str]) -> set[object]:
    return {*words, *zip(words, words[1:], strict=False)}


KNOWN_MINIMA, KNOWN_EXACT = [18800, 27599, 61010, 37118], [4530638092800690436]


def test_equal_forms_are_one_group_and_texts_without_words_are_alone() -> None:
    texts = ["A red car.", "!!!", "a  RED car", "一辆红车", "a blue bus", "", "一辆红车！"]
    assert text_groups(fingerprint(texts), 1.0).tolist() == [0, 1, 0, 3, 4, 5, 3]


def test_likeness_is_the_share_of_words_and_pairs_in_common() -> None:
    rng = random.Random(0)
    vocabulary = [f"w{number}" for number in range(3000)]
    for changed in (0, 1, 3, 8, 20):
        errors = []
        for _ in range(40):
            one = rng.sample(vocabulary, 20)
            other = [*one]
            for place in rng.sample(range(20), changed):
                other[place] = rng.choice(vocabulary)
            prints = fingerprint([" ".join(one), " ".join(other)])
            true = len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))
            errors.append(likeness(prints.minima[0], prints.minima[1]) - true)
        # 64 draws of probability J: sd at most 1/16; a mean of 40 within 3 sd/√40
        assert abs(float(np.mean(errors))) <= 3 / 16 / 40**0.5, changed
        assert max(map(abs, errors)) <= 4 / 16


@pytest.mark.parametrize("joiner", [" ", ""])
def test_near_copies_are_found_among_thousands_and_others_are_left_apart(joiner: str) -> None:
    rng = random.Random(1)
    vocabulary = [f"w{number}" for number in range(2000)] if joiner else [chr(0x4E00 + n) for n in range(2000)]
    texts = [rng.sample(vocabulary, 30) for _ in range(1500)]
    copies = [[*text[:-1], "other" if joiner else "龘"] for text in texts[:300]]
    found = text_groups(fingerprint([joiner.join(text) for text in [*texts, *copies]]), 0.8)
    assert found[:1500].tolist() == list(range(1500))
    together = sum(found[1500 + number] == number for number in range(300))
    assert together >= 0.99 * 300  # one changed word of thirty: J = .93, found with probability above .9999


def test_fingerprints_do_not_depend_on_batches_or_on_the_process() -> None:
    texts = [f"text {number} 只有 {number % 7}" for number in range(50)]
    whole, pieces = fingerprint(texts), fingerprint(texts, batch=7)
    assert np.array_equal(whole.minima, pieces.minima) and np.array_equal(whole.exact, pieces.exact)
    known = fingerprint(["a red car 猫狗"])  # of another process, once
    assert known.minima[0, :4].tolist() == KNOWN_MINIMA and known.exact.tolist() == KNOWN_EXACT


def test_nothing_has_no_groups() -> None:
    assert text_groups(fingerprint([]), 0.8).tolist() == []
    assert text_groups(Fingerprints.join([fingerprint(["a"]), fingerprint([])]), 0.8).tolist() == [0]
