"""The offline embedding: near where words are shared, and what it does not see."""

from __future__ import annotations

import numpy as np

from mimovl.curate.interleaved.embed import HashedText, units_of


def near(one: str, two: str) -> float:
    first, second = HashedText().texts([one, two])
    return float(first @ second)


def test_shared_words_make_texts_near_in_both_languages() -> None:
    assert near("a map of the river Rhine", "The Rhine is a river in Europe") > 0.3
    assert near("长江流域地图", "长江是中国最长的河流，流域广阔") > 0.2
    assert near("a map of the river Rhine", "how to bake bread") == 0
    assert near("Mapping rivers", "maps of a river") > 0.9, "endings do not count"


def test_it_knows_no_synonyms_and_no_translations() -> None:
    assert near("car", "automobile") == 0 and near("dog", "狗") == 0


def test_vectors_have_length_one_or_nothing() -> None:
    lengths = np.linalg.norm(HashedText().texts(["some words here", "the of and", ""]), axis=1)
    assert np.allclose(lengths, [1, 0, 0])


def test_it_sees_no_pictures() -> None:
    assert HashedText().pictures([b"x"]) is None


def test_units_are_words_and_pairs_of_characters() -> None:
    assert units_of("The cats' 3.5 maps") == ["cat", "3.5", "map"]
    assert units_of("光合作用") == ["光合", "合作", "作用"] and units_of("光") == ["光"]
