from __future__ import annotations

import re
from importlib.resources import files

import pytest

from mimovl.report.palette import TASKS, in_order, lower_first, source_class, source_name, stage_title, task_class
from mimovl.report.palette import task_name as name_of


def test_every_task_has_a_colour_of_its_own_in_light_and_in_dark() -> None:
    style = (files("mimovl.report") / "templates" / "style.css").read_text()
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)")
    for part in (light, dark.split("@media")[0]):
        colours = [match for task in TASKS for match in re.findall(rf"--task-{task}: (#\w+)", part)]
        assert len(colours) == len(set(colours)) == len(TASKS)
    assert all(f".t-{task} {{" in style for task in TASKS)


def test_a_name_from_outside_is_never_a_css_class() -> None:
    assert task_class('x"><script>') == "t-other"
    assert source_class("world/gui") == source_class("long/gui") == "t-gui_point"


@pytest.mark.parametrize(
    ("source", "expected"), [("world/gui", "GUI"), ("long/counting", "long/counting"), ("voc", "VOC"), ("", "")]
)
def test_sources_are_named_for_people(source: str, expected: str) -> None:
    assert source_name(source) == expected


def test_stages_and_tasks_are_named_for_people() -> None:
    assert stage_title("4-long-context") == "Long context"
    assert stage_title("5-morl") == "MORL"
    assert stage_title("") == "(no name)"
    assert name_of("gui_point") == "GUI point"
    assert name_of("cell_counting") == "Cell counting"
    assert name_of("") == "(no task)"
    assert [lower_first(label) for label in ("Stage 4", "MORL", "")] == ["stage 4", "MORL", ""]


def test_known_tasks_come_first_and_in_order() -> None:
    assert in_order(["zebra", "ocr", "counting", "apple", "ocr"]) == ["counting", "ocr", "apple", "zebra"]
