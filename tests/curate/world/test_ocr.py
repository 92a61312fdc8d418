import json
import re

import numpy as np
import pytest

from mimovl.curate.world import WorldConfig, build_item
from mimovl.curate.world.fonts import chinese_font_path
from mimovl.curate.world.vocabulary import WORDS
from mimovl.errors import DataError
from tests.curate.world.cached_items import CHINESE, items


def words_of(item) -> list[tuple[str, list[int]]]:
    """(word, box) read from the description."""
    found = re.findall(r'"([^"]+)" \[([\d,]+)\]', item.description)
    return [(word, [int(number) for number in box.split(",")]) for word, box in found]


def test_pages_are_read_line_by_line() -> None:
    for item in items("world/ocr", 100):
        read = item.turns[0]
        assert read.task == "ocr" and read.gold.options == {"metric": "edit"}
        assert read.answer.split() == [word for word, _ in words_of(item)]
        assert all(word in WORDS or word.isdigit() for word in read.answer.split())
        assert read.answer.count("\n") == item.description.count(" / ")
        assert 1 <= read.answer.count("\n") + 1 <= 3


def test_characters_spell_the_text_inside_the_page() -> None:
    for item in items("world/ocr", 100):
        spelled = "".join(a.attributes["text"] for a in item.annotations)
        assert spelled == item.turns[0].answer.replace(" ", "").replace("\n", "")
        for a in item.annotations:
            assert a.box[0] >= 0 and a.box[1] >= 0 and a.box[2] <= item.image.width and a.box[3] <= item.image.height


def test_word_boxes_equal_the_ink_within_one_pixel() -> None:
    config = WorldConfig(chinese_share=0.0, texture_share=0.0)
    for index in range(40):
        item = build_item("world/ocr", seed=2, index=index, split="train", config=config)
        pixels = np.asarray(item.image, dtype=int)
        inked = np.abs(pixels - pixels[0, 0]).sum(axis=-1)
        for word, (x1, y1, x2, y2) in words_of(item):
            region = inked[y1 - 2 : y2 + 2, x1 - 2 : x2 + 2] > 0.45 * inked.max()
            rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
            ink = (x1 - 2 + columns[0], y1 - 2 + rows[0], x1 - 1 + columns[-1], y1 - 1 + rows[-1])
            assert np.abs(np.subtract(ink, (x1, y1, x2, y2))).max() <= 1, word


def test_boxes_and_words_are_asked_both_ways() -> None:
    for item in items("world/ocr", 80):
        words = words_of(item)
        for turn in item.turns[1:]:
            assert turn.task == "ocr_box"
            if turn.gold.kind == "box":
                (found,) = json.loads(turn.answer)
                assert found["bbox_2d"] == turn.gold.answer
                assert words.count((found["label"], found["bbox_2d"])) == 1
                assert [word for word, _ in words].count(found["label"]) == 1
            else:
                box = json.loads(re.search(r"\[[\d,]+\]", turn.question)[0])
                assert (turn.answer, box) in words


@pytest.mark.skipif(chinese_font_path() is None, reason="no Chinese font on this machine")
def test_chinese_pages_are_drawn_where_a_font_is_found() -> None:
    found = [build_item("world/ocr", seed=0, index=index, split="train", config=CHINESE) for index in range(5)]
    assert {item.language for item in found} == {"zh"}


def test_pages_too_small_for_their_lines_are_an_error() -> None:
    config = WorldConfig(ocr_heights=(56,), ocr_lines=(3, 3), ocr_font=(18, 18))
    with pytest.raises(DataError, match="no text page has room"):
        build_item("world/ocr", seed=0, index=0, split="train", config=config)
