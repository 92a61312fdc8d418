"""The lists of words are what they say."""

from __future__ import annotations

from mimovl.curate.interleaved.text_words import (
    CHINESE_COMMON,
    CHINESE_FUNCTION,
    CHINESE_STATES,
    CHINESE_TALK,
    ENGLISH_STATES,
    ENGLISH_TALK,
)


def test_characters_are_chinese_and_enough() -> None:
    assert all("\u4e00" <= char <= "\u9fff" for char in CHINESE_COMMON | CHINESE_FUNCTION)
    assert len(CHINESE_COMMON) > 300 and {"的", "了", "在"} <= CHINESE_FUNCTION


def test_statement_and_talk_are_told_apart() -> None:
    assert ENGLISH_STATES.search("A cell is defined as") and not ENGLISH_TALK.search("A cell is defined as")
    assert ENGLISH_TALK.search("Click here") and not ENGLISH_STATES.search("Click here")
    assert CHINESE_STATES.search("光合作用是指") and not CHINESE_TALK.search("光合作用是指")
    assert CHINESE_TALK.search("点击购买") and not CHINESE_STATES.search("点击购买")
