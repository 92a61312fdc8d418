import json
from collections import Counter

import numpy as np
import pytest

from mimovl.curate.world import WorldConfig, build_item
from mimovl.curate.world.fonts import chinese_font_path
from mimovl.errors import DataError
from tests.curate.world.cached_items import CHINESE, items


def elements(item):
    return [a for a in item.annotations if a.attributes["kind"] in ("button", "checkbox", "field")]


def inside(inner, outer) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def test_elements_lie_on_the_page_and_do_not_overlap() -> None:
    for item in items("world/gui", 120):
        found = elements(item)
        assert 3 <= len(found) <= 7
        assert len({a.attributes["label"] for a in found}) == len(found)
        for index, one in enumerate(found):
            assert inside(one.box, (0, 0, *item.image.size))
            for other in found[index + 1 :]:
                assert (
                    one.box[2] <= other.box[0]
                    or other.box[2] <= one.box[0]
                    or one.box[3] <= other.box[1]
                    or other.box[3] <= one.box[1]
                )


def test_clicks_hit_the_named_element() -> None:
    for item in items("world/gui", 80):
        for turn in item.turns:
            if turn.task == "gui_point":
                click = json.loads(turn.answer)
                x, y = click["start_point"]
                x1, y1, x2, y2 = turn.gold.answer
                assert click["action"] == "click" and x1 <= x < x2 and y1 <= y < y2
                named = [a for a in elements(item) if a.attributes["label"] in turn.question]
                assert tuple(turn.gold.answer) in {a.box for a in named}


def test_every_task_of_the_page_is_asked() -> None:
    tasks = Counter(turn.task for item in items("world/gui", 120) for turn in item.turns)
    assert tasks["gui_point"] > tasks.total() / 3
    assert set(tasks) == {"gui_point", "grounding", "ocr", "attributes"}


def test_labels_are_spelled_by_the_characters_inside_their_element() -> None:
    for item in items("world/gui", 60):
        chars = [a for a in item.annotations if a.attributes["kind"] == "char"]
        for element in elements(item):
            spelled = "".join(c.attributes["text"] for c in chars if inside(c.box, element.box))
            assert spelled == element.attributes["label"].replace(" ", "")


def test_labels_are_legible_against_what_is_behind_them() -> None:
    for item in items("world/gui", 60):
        pixels = np.asarray(item.image.convert("L"), dtype=int)
        for element in elements(item):
            x1, y1, x2, y2 = map(int, element.box)
            assert np.ptp(pixels[y1:y2, x1:x2]) > 100


def test_elements_are_found_at_every_height() -> None:
    heights = [
        (a.box[1] + a.box[3]) / 2 / item.image.height for item in items("world/gui", 120) for a in elements(item)
    ]
    counts = np.histogram(heights, bins=4, range=(0.1, 1.0))[0]
    assert counts.min() > 0.1 * len(heights)


def test_description_holds_labels_states_and_boxes() -> None:
    for item in items("world/gui", 40):
        for element in elements(item):
            box = ",".join(map(str, element.box))
            assert f'{element.attributes["kind"]} "{element.attributes["label"]}"' in item.description
            assert f"[{box}]" in item.description
        for turn in item.turns:
            if turn.task == "attributes":
                state = "ticked" if turn.answer == "yes" else "empty"
                assert f'{turn.question.split(" ", 1)[1].removesuffix(" ticked?")}" {state}' in item.description


@pytest.mark.skipif(chinese_font_path() is not None, reason="this machine has a Chinese font")
def test_pages_are_english_where_no_chinese_font_is_found() -> None:
    assert build_item("world/gui", seed=0, index=0, split="train", config=CHINESE).language == "en"


@pytest.mark.skipif(chinese_font_path() is None, reason="no Chinese font on this machine")
def test_chinese_pages_are_drawn_where_a_font_is_found() -> None:
    item = build_item("world/gui", seed=0, index=0, split="train", config=CHINESE)
    assert item.language == "zh" and item.turns[0].question[0] in "点按"


def test_pages_too_small_for_their_elements_are_an_error() -> None:
    config = WorldConfig(gui_sides=(56,), gui_elements=(7, 7))
    with pytest.raises(DataError, match="no GUI page has room for 7"):
        build_item("world/gui", seed=0, index=0, split="train", config=config)
