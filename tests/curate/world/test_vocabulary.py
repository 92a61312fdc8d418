from mimovl.curate.world.vocabulary import CHINESE_WORDS, WORDS


def test_words_are_distinct_plain_lower_case() -> None:
    assert len(set(WORDS)) == len(WORDS) >= 150
    assert all(word.isascii() and word.isalpha() and word.islower() for word in WORDS)


def test_chinese_words_have_two_characters() -> None:
    assert len(set(CHINESE_WORDS)) == len(CHINESE_WORDS) >= 30
    assert {len(word) for word in CHINESE_WORDS} == {2}
