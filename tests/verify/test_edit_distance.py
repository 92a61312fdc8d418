import time

from hypothesis import given
from hypothesis import strategies as st

from mimovl.verify.edit_distance import edit_distance, edit_similarity

short = st.text(alphabet="abc é中", max_size=12)


def textbook_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        previous, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def test_known_distances() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert edit_distance("abc", "abc") == 0


@given(short, short)
def test_distance_equals_the_textbook_programme(first: str, second: str) -> None:
    assert edit_distance(first, second) == textbook_distance(first, second)


@given(st.text(max_size=90), st.text(max_size=90))
def test_distance_is_right_beyond_one_machine_word(first: str, second: str) -> None:
    assert edit_distance(first, second) == textbook_distance(first, second) == edit_distance(second, first)


@given(st.text(max_size=50), st.text(max_size=50))
def test_similarity_is_between_zero_and_one(first: str, second: str) -> None:
    assert 0 <= edit_similarity(first, second) <= 1
    assert edit_similarity(first, first) == 1


def test_a_runaway_text_does_not_cost_its_square() -> None:
    started = time.process_time()
    assert edit_similarity("a" * 10**6, "a" * 50) < 0.01
    assert edit_similarity("ab" * 5000, "ba" * 1000) < 0.25
    assert time.process_time() - started < 20
