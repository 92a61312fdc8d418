import pytest

from mimovl.errors import DataError
from mimovl.verify import grade, read_count
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

TABLE = rows(
    ("3", 3, 1, RIGHT, "a digit"),
    ("three", 3, 1, RIGHT, "a word"),
    ("Three.", 3, 1, RIGHT, "a word with capital and stop"),
    ("三", 3, 1, RIGHT, "a Chinese numeral"),
    ("三个", 3, 1, RIGHT, "a Chinese numeral with measure word"),
    ("两个", 2, 1, RIGHT, "the Chinese two of counting"),
    (r"\boxed{3}", 3, 1, RIGHT, "a box"),
    (r"\boxed{three}", 3, 1, RIGHT, "a word in a box"),
    (r"\boxed{三}", 3, 1, RIGHT, "a Chinese numeral in a box"),
    (r"\boxed{3 circles}", 3, 1, RIGHT, "a counted thing in a box"),
    ("There are 3 circles.", 3, 1, RIGHT, "a sentence"),
    ("There are three circles.", 3, 1, RIGHT, "a sentence with a word"),
    ("There are three, and the blue one is small.", 3, 1, RIGHT, "the pronoun one is not a count"),
    ("There is one circle.", 1, 1, RIGHT, "one is a count when it is alone"),
    ("There are 2 red and 3 blue ones, 5 in total.", 5, 1, RIGHT, "the last number concludes"),
    ("2 + 3 = 5", 5, 1, RIGHT, "the result of a sum"),
    ("2 + 3", 3, 0, UNREAD, "an operand"),
    ("有两个三角形。", 2, 1, RIGHT, "the three of triangle is not a count"),
    ("图中一共有十二个圆。", 12, 1, RIGHT, "a Chinese sentence"),
    ("There are no circles.", 0, 1, RIGHT, "no circles are zero"),
    ("none", 0, 1, RIGHT, "none is zero"),
    ("没有", 0, 1, RIGHT, "Chinese none"),
    ("3.0", 3, 1, RIGHT, "an integer written as decimal"),
    ("3.5", 3, 0, WRONG, "half a circle"),
    ("4", 3, 0, WRONG, "one too many"),
    ("-3", 3, 0, WRONG, "a negative count"),
    ("30%", 3, 0, WRONG, "a share is not a count"),
    ("1, 2, 3", 3, 1, RIGHT, "counting aloud ends in the count"),
    (r"\boxed{1, 2, 3}", 3, 0, WRONG, "a list in the box is a hedge"),
    ("several", 3, 0, UNREAD, "no number"),
    ("", 3, 0, UNREAD, "empty"),
    ("<think>3", 3, 0, CUT, "an unfinished thought"),
    ("<think>1, 2, 3</think>\n\n4", 3, 0, WRONG, "the thought is not the answer"),
    ("<think>\n\n</think>\n\n3", 3, 1, RIGHT, "an empty thought"),
    ("9" * 5000, 3, 0, UNREAD, "an absurd number of digits"),
)


@pytest.mark.parametrize("row", TABLE)
def test_count_is_read_as_the_table_says(row: Row) -> None:
    check("count", row)


def test_all_small_counts_are_read_in_words_of_both_languages() -> None:
    english = "zero one two three four five six seven eight nine ten eleven twelve".split()
    for value, word in enumerate(english):
        assert grade("count", f"I count {word} of them.", value).score == 1
    for value, word in enumerate(["零", "一", "两", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]):
        assert grade("count", f"一共有{word}个。", value).score == 1


def test_read_count_gives_the_number_for_error_measures() -> None:
    assert read_count("There are 7.") == 7
    assert read_count("I cannot see.") is None


@pytest.mark.parametrize("gold", [-1, 2.5, "many", None])
def test_gold_that_is_no_count_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="gold answer"):
        grade("count", "1", gold)
