import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.verify import grade
from mimovl.verify.rouge import longest_common_subsequence, rouge

# F measures of rouge-score 0.1.2 (RougeScorer, use_stemmer=False): ROUGE-1, ROUGE-2, ROUGE-L.
REFERENCE = [
    ("the cat sat on the mat", "the cat is on the mat", 0.833333, 0.6, 0.833333),
    ("hello world", "hello there world", 0.8, 0.0, 0.8),
    ("a b c d e", "e d c b a", 1.0, 0.0, 0.2),
    ("Save your changes now!", "save changes", 0.666667, 0.0, 0.666667),
    ("one", "two", 0.0, 0.0, 0.0),
    ("the the the", "the", 0.5, 0.0, 0.5),
    ("x1 y2-z3", "X1 y2 z3", 1.0, 1.0, 1.0),
    (
        "The quick brown fox jumps over the lazy dog",
        "A fast brown fox leaps over a lazy dog near the river",
        0.571429,
        0.210526,
        0.47619,
    ),
]


@pytest.mark.parametrize(("given_text", "gold", "one", "two", "longest"), REFERENCE)
def test_the_values_are_those_of_rouge_score(
    given_text: str, gold: str, one: float, two: float, longest: float
) -> None:
    for kind, value in (("rouge1", one), ("rouge2", two), ("rougeL", longest)):
        assert rouge(given_text, gold, kind) == pytest.approx(value, abs=1e-6)
        assert grade("text", given_text, gold, metric=kind).score == pytest.approx(value, abs=1e-6)


def test_chinese_characters_are_tokens() -> None:
    assert rouge("红色的圆", "红色圆", "rougeL") == pytest.approx(6 / 7)


words = st.lists(st.sampled_from("abcd"), max_size=12)


@given(words, words)
def test_the_bit_parallel_subsequence_is_that_of_the_textbook(first: list[str], second: list[str]) -> None:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, two in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if one == two else max(table[i][j + 1], table[i + 1][j])
    assert longest_common_subsequence(first, second) == table[-1][-1]
