from mimovl.curate.caption.words_file import word_list, word_lists


def test_remarks_are_no_words_and_lists_are_by_language() -> None:
    assert {"the", "cat", "的"} <= word_list("english_grammar") | word_list("english_common") | word_list(
        "chinese_grammar"
    )
    assert not any("#" in word for word in word_list("english_grammar"))
    assert {"fr", "de", "vi", "fi"} <= word_lists("other_languages").keys()
    assert "der" in word_lists("other_languages")["de"]


def test_no_everyday_word_is_also_grammar() -> None:
    assert not word_list("english_common") & {word.rstrip("*") for word in word_list("english_grammar")}
