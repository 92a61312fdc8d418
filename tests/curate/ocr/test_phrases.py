import random
from pathlib import Path

import pytest

from mimovl.curate.ocr.phrases import Phrases, read_corpus
from mimovl.errors import DataError


@pytest.mark.parametrize("chinese", [False, True])
def test_every_text_has_tokens_without_spaces(chinese: bool) -> None:
    phrases = Phrases(random.Random(1), chinese=chinese)
    for _ in range(60):
        for tokens in (phrases.sentence(), phrases.title(), phrases.paragraph(2), phrases.tokens(phrases.sign())):
            assert tokens and all(token and not any(char.isspace() for char in token) for token in tokens)
        for text in (phrases.good(), phrases.name(), phrases.number(), phrases.price(), phrases.date(), phrases.code()):
            assert text.strip() == text and text


def test_chinese_is_chinese_and_english_is_not() -> None:
    assert any("\u4e00" <= char <= "\u9fff" for char in "".join(Phrases(random.Random(0), chinese=True).sentence()))
    assert all(char.isascii() for char in "".join(Phrases(random.Random(0)).paragraph(20)))


def test_chinese_text_is_cut_without_losing_a_sign() -> None:
    phrases = Phrases(random.Random(0), chinese=True)
    text = "今天研究人员发现了新的方法，用户也使用GPT-4的95%（第3版）。"
    assert "".join(phrases.tokens(text)) == text


def test_running_text_comes_from_the_users_lines_of_that_language(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The river ran slowly past the mill.\nshort\n", encoding="utf-8")
    (tmp_path / "b.md").write_text("河水缓缓地流过磨坊，远处传来钟声。\n", encoding="utf-8")
    corpus = read_corpus(str(tmp_path))
    assert len(corpus) == 2
    assert Phrases(random.Random(0), corpus=corpus).sentence() == "The river ran slowly past the mill.".split()
    assert "".join(Phrases(random.Random(0), chinese=True, corpus=corpus).sentence()) == corpus[1]


def test_a_corpus_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("caf\xe9 au lait, bien chaud".encode("latin-1"))
    with pytest.raises(DataError, match="no UTF-8"):
        read_corpus(str(tmp_path / "latin.txt"))
    with pytest.raises(DataError, match="cannot be read"):
        read_corpus(str(tmp_path / "none.txt"))
    (tmp_path / "latin.txt").write_text("short", encoding="utf-8")
    with pytest.raises(DataError, match="12 characters"):
        read_corpus(str(tmp_path / "latin.txt"))
