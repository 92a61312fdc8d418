import pytest

from mimovl.verify.math_text import WORDS, split_top, strip_group, unwrap_text


def test_text_is_split_outside_of_brackets_only() -> None:
    assert split_top("(1,2),[3,4],5", (",",)) == ["(1,2)", "[3,4]", "5"]
    assert split_top(r"\{1,2\},3", (",",)) == [r"\{1,2\}", "3"]
    assert split_top(r"a\le b\left", (r"\le",)) == ["a", r" b\left"]
    assert split_top("1", (",",)) == ["1"]


def test_braces_around_everything_come_off_and_others_stay() -> None:
    assert strip_group("{{5}}") == "5"
    assert strip_group("{1}+{2}") == "{1}+{2}"
    assert strip_group(r"{a\}") == r"{a\}"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"12\text{ cm}", "12  cm"),
        (r"\textbf{(B)}\ 12", "12"),
        (r"\text{(B)}", "(B)"),
        ("$5$.", "5"),
        (r"\mathrm{cm}^2", "cm ^2"),
    ],
)
def test_wrappers_and_option_letters_come_off(text: str, plain: str) -> None:
    assert unwrap_text(text).split() == plain.split()


def test_words_have_one_meaning_in_both_languages() -> None:
    assert WORDS["no solution"] == WORDS["无解"] == "empty"
    assert WORDS["yes"] == WORDS["是"] and WORDS["yes"] != WORDS["no"]
