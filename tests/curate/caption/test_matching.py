import random
import re

import pytest

from mimovl.curate.caption.matching import Matcher
from mimovl.errors import DataError

CJK = "\u3040-\u30ff\u3400-\u9fff"


def found(entries: list[str], text: str) -> set[str]:
    rows, numbers = Matcher(entries).pairs([text])
    assert set(rows.tolist()) <= {0}
    return {entries[number] for number in numbers}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A cat.", {"cat"}),
        ("cats concatenate", set()),
        ("穿nike鞋", {"nike", "鞋"}),
        ("这是Nike，正品", {"nike"}),
        ("（NIKE）", {"nike"}),
        ("nike2手机壳", {"手机", "手机壳"}),
        ("red, car", {"car"}),
        ("Red   car", {"red car", "car"}),
        ("a red-car", {"red car", "car"}),
        ("手 机", set()),
        ("Ｎｉｋｅ", {"nike"}),
    ],
)
def test_an_entry_is_found_as_a_word_also_beside_chinese(text: str, words: set[str]) -> None:
    assert found(["cat", "nike", "鞋", "手机", "手机壳", "red car", "car"], text) == words


def reference(entry: str, text: str) -> bool:
    """The same rule, said by a regular expression over text without compatibility forms."""
    escaped = r"[\s\-']+".join(re.escape(word) for word in entry.split())
    before = "" if re.match(f"[{CJK}]", entry) else rf"(?<![^\W{CJK}_])"
    after = "" if re.search(f"[{CJK}]$", entry) else rf"(?![^\W{CJK}_])"
    return re.search(before + escaped + after, text.lower()) is not None


def test_matches_equal_those_of_a_regular_expression_for_each_entry() -> None:
    rng = random.Random(1)
    pieces = ["ab", "b", "Ba", "猫", "手机", "机", " ", " ", "，", ",", "!", "1", "\n", "b1"]
    entries = ["ab", "b", "ba", "ab b", "b ba", "猫", "手机", "猫手机", "机", "1", "b1 ab", "机手"]
    entries = sorted(set(entries))
    texts = ["".join(rng.choices(pieces, k=rng.randint(0, 14))) for _ in range(3000)]
    rows, numbers = Matcher(entries).pairs(texts)
    mine = set(zip(rows.tolist(), numbers.tolist(), strict=True))
    theirs = {
        (row, number)
        for row, text in enumerate(texts)
        for number, entry in enumerate(entries)
        if reference(entry, text)
    }
    assert mine == theirs
    assert len(theirs) > 5000


def test_an_entry_counts_once_a_caption_and_order_is_by_caption() -> None:
    rows, numbers = Matcher(["b", "a"]).pairs(["a a b", "", "b", "a"])
    assert list(zip(rows.tolist(), numbers.tolist(), strict=True)) == [(0, 0), (0, 1), (2, 0), (3, 1)]


def test_texts_beyond_one_batch_keep_their_numbers() -> None:
    texts = ["word " * 2000 if number % 3 else "other" for number in range(12)]
    rows, numbers = Matcher(["word", "other"]).pairs(texts)
    assert rows.tolist() == list(range(12))
    assert numbers.tolist() == [int(number % 3 == 0) for number in range(12)]


def test_entries_of_one_form_are_one_entry() -> None:
    rows, numbers = Matcher(["T-Shirt", "t shirt", "??"]).pairs(["a t-shirt"])
    assert (rows.tolist(), numbers.tolist()) == ([0], [0])


def test_no_texts_give_no_pairs_and_no_entries_an_error() -> None:
    assert [part.tolist() for part in Matcher(["a"]).pairs([])] == [[], []]
    with pytest.raises(DataError, match="none of 2 metadata entries"):
        Matcher(["!", "…"])
