"""Names and colours of tasks, sources and parts: one colour a task, everywhere on the page.

Thirteen tasks need more colours than an eye can tell apart, so a task gets the hue of its family (seeing, locating,
reading, time, reasoning, text; hues of Okabe and Ito's colour-blind safe set) in a lightness of its own, and every
chart also names it. The values live in ``templates/style.css`` as ``--task-…``, once for light and once for dark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["TASKS", "in_order", "lower_first", "source_class", "source_name", "stage_title", "task_class", "task_name"]

TASKS = {
    "caption": "Captions",
    "attributes": "Attributes",
    "counting": "Counting",
    "grounding": "Grounding",
    "multi_grounding": "Grounding, several",
    "gui_point": "GUI point",
    "ocr": "Reading text",
    "ocr_box": "Finding text",
    "clip_span": "Clip time span",
    "clip_events": "Clip events",
    "arithmetic": "Arithmetic",
    "visual_reasoning": "Visual reasoning",
    "text": "Text",
}
"""Task → its name for people, in the order in which the report lists tasks."""

_SOURCE_TASKS = {
    "caption": "caption",
    "interleaved": "text",
    "ocr": "ocr",
    "grounding": "grounding",
    "counting": "counting",
    "attributes": "attributes",
    "gui": "gui_point",
    "clip": "clip_span",
    "arithmetic": "arithmetic",
    "reasoning": "visual_reasoning",
    "text": "text",
}
_WORDS = {"gui": "GUI", "ocr": "OCR", "voc": "VOC", "vit": "ViT", "morl": "MORL", "bccd": "BCCD"}


def _words(name: str) -> str:
    words = [_WORDS.get(word, word) for word in re.split(r"[\s_\-]+", name) if word]
    return " ".join(words)


def task_name(task: str) -> str:
    """The name people read; an unknown task keeps its own, with spaces for underscores."""
    name = TASKS.get(task) or _words(task) or "(no task)"
    return name[0].upper() + name[1:]


def task_class(task: str) -> str:
    """The CSS class that sets a task's colour: ``t-gui_point``; ``t-other`` for tasks we have no colour for."""
    return f"t-{task}" if task in TASKS else "t-other"


def source_name(source: str) -> str:
    """``world/gui`` → ``GUI``; the prefix is kept where it is not the embedded world."""
    prefix, _, name = source.rpartition("/")
    shown = _words(name) or source
    return shown[0].upper() + shown[1:] if prefix in ("world", "") and shown else source


def source_class(source: str) -> str:
    """The colour class of the task that a source mostly teaches."""
    return task_class(_SOURCE_TASKS.get(source.rpartition("/")[2], ""))


def stage_title(folder: str) -> str:
    """``4-long-context`` → ``Long context``."""
    name = _words(re.sub(r"^\d+-", "", folder)) or folder or "(no name)"
    return name[0].upper() + name[1:]


def lower_first(label: str) -> str:
    """A label inside a sentence: ``Stage 4`` → ``stage 4``; ``MORL`` stays."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def in_order(tasks: Iterable[str]) -> list[str]:
    """Tasks in the report's order: ours first, then others by name."""
    known = list(TASKS)
    return sorted(set(tasks), key=lambda task: (known.index(task) if task in TASKS else len(known), task))
