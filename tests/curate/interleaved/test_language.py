"""Chinese, English, or neither; and sentences of both."""

from __future__ import annotations

import pytest

from mimovl.curate.interleaved.language import han_share, language_of, sentences, words_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat sat on the mat and looked at the dog.", "en"),
        ("命名管道是一个像管道一样的文件。", "zh"),
        ("使用 apt-get install 命令安装 Debian 软件包。", "zh"),
        ("Der Hund lief durch den Garten und bellte laut.", "und"),
        ("これは日本語の文章です。漢字もあります。", "und"),
        ("이것은 한국어 문장입니다.", "und"),
        ("foo = bar(baz); qux += 1", "und"),
        ("", "und"),
    ],
)
def test_a_language_is_told(text: str, language: str) -> None:
    assert language_of(text) == language


def test_sentences_of_both_languages() -> None:
    assert sentences("It is 3.5 long. Then what? Yes!\n\nnew") == ["It is 3.5 long.", "Then what?", "Yes!", "new"]
    assert sentences("这是一句。这是两句！对吗？") == ["这是一句。", "这是两句！", "对吗？"]
    assert sentences("") == []


def test_words_and_shares() -> None:
    assert words_of("Don't STOP, x1") == ["don't", "stop", "x"]
    assert han_share("中a") == 0.5 and han_share("123") == 0
