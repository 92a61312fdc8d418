import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.curate.caption.canonical import canonical, canonical_bytes, patterns


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("A red car，iPhone手机", "a red car | iphone 手机"),
        ("T-shirt and dog's bowl", "t shirt and dog s bowl"),
        ("dogs - and 'cats'", "dogs | and | cats"),
        ("ＡＢＣ１２３", "abc123"),
        ("cafe\u0301 = café", "café | café"),
        ("手\u200b机", "手机"),
        ("苹果，手机!!!", "苹果 | 手机"),
        ("two  spaces\n\tand lines", "two spaces and lines"),
        ("", ""),
        ("!!!", ""),
        ("\ud800lone", "lone"),
    ],
)
def test_a_text_becomes_folded_words_with_every_boundary_a_space(text: str, form: str) -> None:
    assert canonical(text) == form


def test_a_pattern_ends_in_a_space_where_the_entry_ends_in_a_spaced_word() -> None:
    assert patterns(["Dr. Strange", "猫", "T恤", "手机 app", "?!"]) == [
        b" dr | strange ",
        "猫".encode(),
        " t 恤".encode(),
        "手机 app ".encode(),
        b"",
    ]


ALPHABET = st.text(alphabet="aB 1,.-'猫手，\n\u200bé\u0301Ａの한", max_size=20)


@given(st.lists(ALPHABET, max_size=6))
def test_many_texts_at_once_are_each_what_they_are_alone(texts: list[str]) -> None:
    found, ends = canonical_bytes(texts)
    assert len(ends) == len(texts)
    assert [line.strip(" |") for line in found.decode().split("\n")[: len(texts)]] == [
        canonical(text) for text in texts
    ]
    assert np.array_equal(ends, [place for place, byte in enumerate(found) if byte == 10])


@given(ALPHABET)
def test_the_form_has_no_boundary_twice_and_is_a_fixed_point(text: str) -> None:
    form = canonical(text)
    assert "  " not in form and "||" not in form
    assert canonical(form) == form
    assert canonical(unicodedata.normalize("NFD", text)) == form
