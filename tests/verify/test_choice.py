import pytest

from mimovl.errors import DataError
from mimovl.verify import grade
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

COLOURS = {"choices": ["red", "dark red", "blue", "green"]}
NUMBERS = {"choices": ["12", "1.2", "120", "none of these"]}
CHINESE = {"choices": ["红色", "蓝色", "绿色"]}

TABLE = rows(
    ("B", "B", 1, RIGHT, "a bare letter"),
    ("b", "B", 1, RIGHT, "a bare small letter"),
    ("(B)", "B", 1, RIGHT, "a letter in brackets"),
    ("B.", "B", 1, RIGHT, "a letter with a full stop"),
    ("B)", "B", 1, RIGHT, "a letter with one bracket"),
    ("**B**", "B", 1, RIGHT, "a bold letter"),
    (r"\boxed{B}", "B", 1, RIGHT, "a boxed letter"),
    (r"\boxed{\text{B}}", "B", 1, RIGHT, "a boxed letter in text mode"),
    (r"\boxed{(B)}", "B", 1, RIGHT, "a boxed letter in brackets"),
    (r"I think \boxed{A}, no: \boxed{B}", "B", 1, RIGHT, "the last box wins"),
    ("The answer is B", "B", 1, RIGHT, "the answer is"),
    ("The answer is b.", "B", 1, RIGHT, "the answer is, small letter"),
    ("The correct answer is **B**.", "B", 1, RIGHT, "bold after the answer is"),
    ("Answer: B", "B", 1, RIGHT, "answer with colon"),
    ("Option B", "B", 1, RIGHT, "option"),
    ("选B", "B", 1, RIGHT, "Chinese choose"),
    ("答案是B。", "B", 1, RIGHT, "Chinese answer is"),
    ("应选择B", "B", 1, RIGHT, "Chinese should choose"),
    ("Ｂ", "B", 1, RIGHT, "a full-width letter"),
    ("B. blue", "B", 1, RIGHT, "letter with its text, no options known"),
    ("C. blue", "C", 1, RIGHT, "letter with its text, options known", COLOURS),
    ("C. green", "C", 0, WRONG, "letter and text disagree", COLOURS),
    ("blue", "C", 1, RIGHT, "option text", COLOURS),
    ("Blue.", "C", 1, RIGHT, "option text with capital and stop", COLOURS),
    ("It is dark red.", "B", 1, RIGHT, "the longer option text wins", COLOURS),
    ("It is dark red.", "A", 0, WRONG, "red is not chosen by dark red", COLOURS),
    ("The ball is blue", "blue", 1, RIGHT, "gold given as text", COLOURS),
    ("1.2", "B", 1, RIGHT, "a number as option text", NUMBERS),
    ("It is 1.2", "A", 0, WRONG, "12 is not inside 1.2", NUMBERS),
    ("是蓝色的。", "B", 1, RIGHT, "Chinese option text in a sentence", CHINESE),
    ("I go with A because B is too small.", "A", 1, RIGHT, "a marked letter beats a mentioned one"),
    ("A is wrong, so the answer is B", "B", 1, RIGHT, "the marked letter after a rejected one"),
    ("Don't choose A; choose B.", "B", 1, RIGHT, "a denied choice is not a choice"),
    ("A", "B", 0, WRONG, "the other letter"),
    ("A and B", "B", 0, WRONG, "two letters are a hedge"),
    ("The answer is A or B.", "A", 0, WRONG, "a hedge after the answer is"),
    (r"\boxed{A, B}", "B", 0, WRONG, "a hedge in the box"),
    (r"\boxed{ABCD}", "B", 0, WRONG, "all letters in the box"),
    ("red or blue", "C", 0, WRONG, "two option texts", COLOURS),
    ("A big circle is there.", "A", 0, UNREAD, "the article A is not option A"),
    ("I see nothing.", "I", 0, UNREAD, "the pronoun I is not option I"),
    ("Because of the colour.", "B", 0, UNREAD, "first letter of a word is not an option"),
    ("Definitely", "D", 0, UNREAD, "a word that starts with D"),
    ("It is not B.", "B", 0, UNREAD, "a denied letter"),
    ("It is not red.", "A", 0, UNREAD, "a denied option text", COLOURS),
    ("不选B", "B", 0, UNREAD, "Chinese denied letter"),
    ("I cannot tell.", "A", 0, UNREAD, "no guess for an unreadable answer", COLOURS),
    ("", "A", 0, UNREAD, "empty completion"),
    (r"\boxed{}", "A", 0, UNREAD, "empty box"),
    (r"\boxed{Z}", "A", 0, WRONG, "a letter that is no option", COLOURS),
    ("<think>B</think>A", "B", 0, WRONG, "the thought is not the answer"),
    ("<think>so B", "B", 0, CUT, "an unfinished thought"),
    (r"<think>\boxed{B}", "B", 0, CUT, "a box in an unfinished thought"),
    ("<think>B</think>", "B", 0, UNREAD, "nothing after the thought"),
)


@pytest.mark.parametrize("row", TABLE)
def test_choice_is_read_as_the_table_says(row: Row) -> None:
    check("choice", row)


def test_every_option_letter_can_be_read() -> None:
    for letter in "ABCDEFGHIJ":
        assert grade("choice", f"The answer is {letter}.", letter).score == 1
        assert grade("choice", letter.lower(), letter).score == 1


@pytest.mark.parametrize("gold", ["Z", "", "purple", 7, None])
def test_gold_that_names_no_option_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="names no option"):
        grade("choice", "A", gold, **COLOURS)


def test_more_options_than_letters_are_refused() -> None:
    with pytest.raises(DataError, match="at most 10 options, got 11"):
        grade("choice", "A", "A", choices=[str(i) for i in range(11)])
