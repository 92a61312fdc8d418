from mimovl.curate.ngrams import MIN_WORDS, NGRAM, NgramIndex, words_of

LONG = "a farmer has seventeen sheep and all but nine of them run away into the hills how many are left"
SHORT = "name the tallest tower of the old harbour"


def test_words_are_free_of_case_width_and_punctuation_and_chinese_is_taken_by_character() -> None:
    assert words_of("The ＡＢＣ-test, 3.5!") == ["the", "abc", "test", "3", "5"]
    assert words_of("图中iPhone有3个") == ["图", "中", "iphone", "有", "3", "个"]


def test_a_long_question_is_found_by_half_its_ngrams() -> None:
    index = NgramIndex([(7, LONG)])
    assert len(index) == 1
    words = LONG.split()
    assert [match.item for match in index.find(["Yesterday: " + LONG.upper() + "?"])] == [7]
    assert index.find([" ".join(words[: NGRAM + 5])])[0].share >= 0.5
    assert index.find([" ".join(words[: NGRAM - 1])]) == [] == index.find([" ".join(reversed(words))])


def test_a_short_question_must_be_contained_whole_and_a_shorter_one_says_nothing() -> None:
    assert len(SHORT.split()) == MIN_WORDS
    index = NgramIndex([(0, SHORT), (1, "what colour is the sky")])
    assert [match.item for match in index.find(["please " + SHORT + " now"])] == [0]
    assert index.find([SHORT.removesuffix(" harbour"), "what colour is the sky"]) == []


def test_chinese_questions_are_found() -> None:
    question = "下图中哪一座桥在西风吹来的时候承受的重量最大"
    assert [match.item for match in NgramIndex([(3, question)]).find([f"请看：{question}？"])] == [3]


def test_what_many_questions_share_is_a_template() -> None:
    template = "how many objects of the kind named below can be seen in this picture in all"
    index = NgramIndex([*((number, template) for number in range(4)), (9, LONG)])
    assert index.find([template]) == [] and index.find([LONG])[0].item == 9
    assert [match.item for match in NgramIndex([(n, template) for n in range(3)]).find([template])] == [0, 1, 2]
