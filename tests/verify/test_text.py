import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.verify import grade
from mimovl.verify.text import normalise_text
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

EDIT, ANLS, F1 = {"metric": "edit"}, {"metric": "anls"}, {"metric": "f1"}

TABLE = rows(
    ("red", "red", 1, RIGHT, "the same text"),
    ("Red.", "red", 1, RIGHT, "capital and full stop"),
    ("the red circle", "red circle", 1, RIGHT, "an article"),
    ('"Save"', "save", 1, RIGHT, "quotation marks"),
    ("top  left\n", "top left", 1, RIGHT, "white space"),
    (r"\boxed{red}", "red", 1, RIGHT, "a box"),
    (r"\boxed{\text{top left}}", "top left", 1, RIGHT, "text mode"),
    ("The answer is red.", "red", 1, RIGHT, "after the answer is"),
    ("红色。", "红色", 1, RIGHT, "Chinese with full stop"),
    ("Ｒｅｄ", "red", 1, RIGHT, "full-width letters"),
    ("Yes, there is one.", "yes", 1, RIGHT, "yes and an explanation"),
    ("No.", "no", 1, RIGHT, "no"),
    ("No, there is none.", "yes", 0, WRONG, "no is not yes"),
    ("Not yes.", "yes", 0, WRONG, "a denied yes"),
    ("Yes and no", "yes", 0, WRONG, "yes and no"),
    ("crimson", "red", 1, RIGHT, "an alias", {"aliases": ["crimson", "scarlet"]}),
    ("red", "red", 1, RIGHT, "the gold beside aliases", {"aliases": ["crimson", "scarlet"]}),
    ("scarlet", ["red", "crimson", "scarlet"], 1, RIGHT, "the last of several golds"),
    ("red", ["red", "crimson", "scarlet"], 1, RIGHT, "the first of several golds"),
    ("dark red", "red", 0, WRONG, "a longer text"),
    ("redd", "red", 0, WRONG, "a typing error"),
    ("red or blue", "red", 0, WRONG, "a hedge"),
    ("red " * 1000, "red", 0, WRONG, "repetition"),
    ("", "red", 0, UNREAD, "empty"),
    (r"\boxed{}", "red", 0, UNREAD, "an empty box"),
    (r"\boxed{red", "red", 0, UNREAD, "an unclosed box"),
    ("<think>red", "red", 0, CUT, "an unfinished thought"),
    ("<think>red</think>", "red", 0, UNREAD, "nothing after the thought"),
    ("<think>blue</think>\n\nred", "red", 1, RIGHT, "the answer after the thought"),
    ("hello world", "hello world", 1, RIGHT, "all read", EDIT),
    ("hello\nworld", "hello world", 1, RIGHT, "lines are spaces", EDIT),
    ("hello wurld", "hello world", 1 - 1 / 11, WRONG, "one letter misread", EDIT),
    ("Hello World", "hello world", 1 - 2 / 11, WRONG, "case counts in reading", EDIT),
    ("hello", "hello world", 5 / 11, WRONG, "half read", EDIT),
    ("xyz", "hello", 0, WRONG, "nothing read", EDIT),
    ("a" * 100_000, "hello", 0, WRONG, "a runaway text", EDIT),
    ("Hello", "hello", 1, RIGHT, "ANLS ignores case", ANLS),
    ("helo", "hello", 0.8, WRONG, "ANLS of one letter missing", ANLS),
    ("he", "hello", 0, WRONG, "ANLS below one half is nothing", ANLS),
    ("the cat sat", "a cat sat", 1, RIGHT, "F1 without articles", F1),
    ("cat", "cat sat", 2 / 3, WRONG, "F1 of one token in two", F1),
    ("红色圆", "红色", 0.8, WRONG, "F1 of Chinese characters", F1),
    ("dog", "cat", 0, WRONG, "F1 without a token in common", F1),
)


@pytest.mark.parametrize("row", TABLE)
def test_text_is_read_as_the_table_says(row: Row) -> None:
    check("text", row)


@given(st.text(min_size=1, max_size=40), st.sampled_from(["exact", "edit", "anls", "f1"]))
def test_a_text_equals_itself_under_every_metric(text: str, metric: str) -> None:
    if normalise_text(text) and "\\" not in text and "<" not in text and "`" not in text and "$" not in text:
        if "*" not in text and text.strip() == " ".join(text.split()):
            assert grade("text", text, text, metric=metric).score == 1


@pytest.mark.parametrize("gold", ["", "  ", [], ["red", ""]])
def test_empty_gold_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="is empty"):
        grade("text", "red", gold)


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(DataError, match="unknown text metric 'bleu'"):
        grade("text", "red", "red", metric="bleu")
