import math

import pytest

from mimovl.curate.caption.counts import NgramCounts, pmi_bits


def test_mutual_information_is_zero_by_chance_and_the_rarity_of_the_part_when_always_together() -> None:
    assert pmi_bits(25, 50, 50, 100) == 0
    assert pmi_bits(4, 4, 4, 64) == math.log2(64 / 4)


def test_words_pairs_and_characters_are_counted_and_marks_part_them() -> None:
    counts = NgramCounts()
    assert counts.add(["Red car, red bus", "a红车T恤", "red-car"]) == 3
    assert counts.words == {"red": 3, "car": 2, "bus": 1, "a": 1, "t": 1}
    assert counts.pairs == {("red", "car"): 2, ("red", "bus"): 1}
    assert counts.signs == {"红": 1, "车": 1, "红车": 1, "恤": 1}
    assert (counts.total_words, counts.total_signs) == (8, 3)


def test_letters_beyond_chinese_in_the_code_table_are_words() -> None:
    counts = NgramCounts()
    counts.add(["한국 말"])
    assert counts.words == {"한국": 1, "말": 1} and not counts.signs
    assert counts.pairs == {("한국", "말"): 1}


def test_a_piece_of_a_word_has_no_freedom_and_the_word_has() -> None:
    counts = NgramCounts()
    counts.add([f"{left}北极熊{right}" for left in "看见找画" for right in "吃跑走睡"])
    runs = {run: (count, cohesion, freedom) for run, count, cohesion, freedom in counts.sign_runs(16)}
    assert runs.keys() == {"北极", "极熊", "北极熊"}
    assert runs["北极"][2] == 0 and runs["极熊"][2] == 0
    assert runs["北极熊"][2] == pytest.approx(2.0)  # four neighbours on each side, equally often
    assert runs["北极熊"][1] == pytest.approx(math.log2(16 * 80 / (16 * 16)))


def test_an_edge_is_a_neighbour_of_its_own_each_time() -> None:
    counts = NgramCounts()
    counts.add(["白马"] * 8)
    assert next(iter(counts.sign_runs(8)))[3] == pytest.approx(3.0)


def test_memory_is_bounded_and_what_is_common_stays() -> None:
    counts = NgramCounts(most=100)
    counts.add([f"cat sat w{number} v{number}" for number in range(20_000)])
    assert max(map(len, (counts.words, counts.pairs))) <= 100
    assert counts.words["cat"] == 20_000 and counts.pairs["cat", "sat"] == 20_000
    assert counts.forgotten >= 1
