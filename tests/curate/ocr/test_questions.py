import json
import random
import re

import pytest

from mimovl.curate.ocr.augment import Augmentation, augment
from mimovl.curate.ocr.canvas import Canvas
from mimovl.curate.ocr.pages import make_document, make_notes, make_receipt
from mimovl.curate.ocr.questions import READABLE, page_questions, read_page
from mimovl.curate.ocr.scenes import make_package, make_scene
from mimovl.curate.ocr.tables import make_table
from mimovl.evaluate.tasks import task_for_gold
from mimovl.types import Outcome
from mimovl.verify import grade
from tests.curate.ocr.drawing import draw, needs_chinese

MAKERS = [make_document, make_notes, make_receipt, make_scene, make_package, make_table]


def asked(canvas: Canvas, seed: int = 0, limit: int = 99) -> list:
    return page_questions(random.Random(seed), canvas, read_page(canvas), limit)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_answer_is_right_by_its_own_gold_and_of_a_task_that_can_be_scored(make: object) -> None:
    for seed in range(3):
        canvas = augment(draw(make, seed), random.Random(seed), Augmentation())  # type: ignore[arg-type]
        for one in asked(canvas, seed):
            verdict = grade(one.gold.kind, one.answer, one.gold.answer, **one.gold.options)
            assert verdict.outcome is Outcome.CORRECT and verdict.score == 1.0, one
            assert task_for_gold(one.task, one.gold).name == one.task


def test_the_whole_text_is_every_word_in_order_line_by_line() -> None:
    canvas = draw(make_receipt, 1)
    first = asked(canvas)[0]
    assert first.task == "ocr" and first.gold.options == {"metric": "edit"}
    assert first.answer.split() == [one.text for one in canvas.elements if one.text]
    assert first.answer.count("\n") + 1 == len({one.line for one in canvas.elements})


def test_words_are_asked_for_only_where_they_stand_once_and_boxes_hold_what_they_say() -> None:
    canvas = draw(make_document, 2)
    read = read_page(canvas)
    texts = [one.text for one, _ in read.words]
    kinds = set()
    for seed in range(10):
        for one in asked(canvas, seed):
            if match := re.search(r'"(.+)"', one.question):
                assert texts.count(match[1]) == 1
                assert [list(box) for element, box in read.words if element.text == match[1]] == [one.gold.answer]
                kinds.add("find")
            elif one.task == "ocr_box" and one.gold.kind == "text":
                box = tuple(int(number) for number in re.findall(r"\d+", one.question.split("[")[1]))
                assert [line.text for line in read.lines if line.box == box] == [one.answer]
                kinds.add("inside")
    assert kinds == {"find", "inside"}


def test_what_a_box_says_is_not_asked_where_turned_lines_share_their_boxes() -> None:
    turned = Augmentation(turned=1, degrees=12, scaled=0, covered=0)
    for seed in range(3):
        canvas = augment(draw(make_document, seed), random.Random(seed), turned)
        read = read_page(canvas)
        for one in page_questions(random.Random(seed), canvas, read, 99):
            if one.task == "ocr_box" and one.gold.kind == "text":
                x1, y1, x2, y2 = (int(number) for number in re.findall(r"\d+", one.question.split("[")[1]))
                middles = [((line.box[0] + line.box[2]) / 2, (line.box[1] + line.box[3]) / 2) for line in read.lines]
                assert sum(x1 < x < x2 and y1 < y < y2 for x, y in middles) == 1


def test_layout_and_spotting_name_every_part_and_line() -> None:
    canvas = draw(make_package, 1)
    read = read_page(canvas)
    by_task = {one.task: one for one in asked(canvas)}
    layout = json.loads(by_task["layout"].answer)
    assert [entry["label"] for entry in layout] == [block.role for block in canvas.blocks]
    spotted = json.loads(by_task["ocr_spotting"].answer)
    assert [(entry["label"], tuple(entry["bbox_2d"])) for entry in spotted] == [
        (line.text, line.box) for line in read.lines
    ]


def test_tables_are_asked_as_html() -> None:
    canvas = draw(make_table, 1)
    tables = [one for one in asked(canvas) if one.task == "ocr_table"]
    assert len(tables) == 1 and tables[0].answer.startswith("<table><tr><th>")


def test_covered_words_are_not_asked_nor_is_the_text_of_their_page() -> None:
    canvas = draw(make_receipt, 3)
    victim = next(one for one in canvas.elements if one.text == "Tel.")
    victim.hidden = READABLE + 0.01
    for seed in range(10):
        for one in asked(canvas, seed):
            assert one.task not in ("ocr", "ocr_spotting") and "Tel." not in one.question + one.answer


def test_no_more_is_asked_than_wanted_and_nothing_twice() -> None:
    canvas = draw(make_document, 1)
    assert len(asked(canvas, limit=3)) == 3
    questions = [one.question for one in asked(canvas)]
    assert len(questions) == len(set(questions))


@needs_chinese
def test_chinese_pages_are_asked_about_in_chinese() -> None:
    for one in asked(draw(make_receipt, 1, chinese=True)):
        assert any("\u4e00" <= char <= "\u9fff" for char in one.question)
