from fractions import Fraction

import pytest

from mimovl.verify.number_words import chinese_number, english_number, find_chinese_numbers, find_english_numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("zero", 0),
        ("seven", 7),
        ("Nineteen", 19),
        ("twenty-one", 21),
        ("one hundred", 100),
        ("two hundred and five", 205),
        ("three thousand four hundred and twelve", 3412),
        ("two million", 2_000_000),
    ],
)
def test_english_number_words_are_read(text: str, value: int) -> None:
    assert english_number(text) == value


@pytest.mark.parametrize("text", ["", "two three", "hundred", "and", "one two", "red"])
def test_other_english_text_is_not_one_number(text: str) -> None:
    assert english_number(text) is None


def test_numbers_in_a_sentence_are_kept_apart() -> None:
    assert find_english_numbers("two, three and twenty-one") == [2, 3, 21]
    assert find_english_numbers("seventy ninety") == [70, 90]
    assert find_english_numbers("someone alone") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("零", Fraction(0)),
        ("十", Fraction(10)),
        ("十二", Fraction(12)),
        ("二十", Fraction(20)),
        ("九十九", Fraction(99)),
        ("两百零三", Fraction(203)),
        ("一万二千", Fraction(12_000)),
        ("二〇二五", Fraction(2025)),
        ("三点五", Fraction(7, 2)),
        ("百分之五十", Fraction(1, 2)),
        ("一亿", Fraction(100_000_000)),
    ],
)
def test_chinese_numerals_are_read(text: str, value: Fraction) -> None:
    assert chinese_number(text) == value


@pytest.mark.parametrize("text", ["", "三角形", "点", "三点", "百分之", "百分之百分之" * 50, "一" * 30])
def test_other_chinese_text_is_not_one_number(text: str) -> None:
    assert chinese_number(text) is None


def test_numerals_inside_chinese_words_are_not_counts() -> None:
    assert find_chinese_numbers("三角形和四边形") == []
    assert find_chinese_numbers("有两个三角形") == [2]
    assert find_chinese_numbers("总数是十二。") == [12]
