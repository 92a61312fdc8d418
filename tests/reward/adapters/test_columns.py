"""Columns and completions as other people's trainers have them."""

from __future__ import annotations

from typing import Any

import pytest

from mimovl.errors import DataError
from mimovl.reward.adapters.columns import Columns, label_sample, messages_from, text_of
from mimovl.types import Gold, Message, Part


def test_rows_become_samples_with_the_gold_each_column_says() -> None:
    samples = Columns().samples(
        {
            "task": ["counting", "grounding", "x", "y"],
            "gold": [3, "[1, 2, 3, 4]", '{"kind": "choice", "answer": "B"}', "red"],
            "kind": [None, None, None, "text"],
            "options": [None, None, None, '{"metric": "f1"}'],
            "id": [7, 8, 9, "ten"],
        },
        4,
        ["How many?", [{"role": "user", "content": "Where?"}], "Which?", "What colour?"],
    )
    assert [sample.gold for sample in samples] == [
        Gold("count", 3),
        Gold("box", [1, 2, 3, 4]),
        Gold("choice", "B"),
        Gold("text", "red", {"metric": "f1"}),
    ]
    assert [sample.id for sample in samples] == ["7", "8", "9", "ten"]
    assert samples[1].messages == (Message("user", (Part("text", "Where?"),)),)


def test_columns_may_have_other_names_and_one_task_may_be_of_all() -> None:
    columns = Columns(gold="solution", default_task="math")
    [sample] = columns.samples({"solution": [r"\frac12"]}, 1)
    assert (sample.task, sample.gold, sample.id) == ("math", Gold("math", r"\frac12"), "row 0")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"gold": [1, 2]}, "the dataset has no column 'task', only gold; add it"),
        ({"task": ["counting"], "gold": [1, 2]}, "column 'task' has 1 rows for 2 completions"),
        ({"task": ["countin", "x"], "gold": [{"kind": "count", "answer": 1}, None], "kind": ["", ""]}, None),
        ({"task": ["counting"] * 2, "gold": [1, {"kind": "count", "answer": 2, "options": 3}]}, "row 1 .*options"),
        ({"task": ["a", "b"], "gold": [1, 2], "kind": ["count"] * 2, "options": ["{", None]}, "row 0 .*column 'gold'"),
    ],
)
def test_a_dataset_that_does_not_fit_is_named_by_row_and_column(columns: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert Columns().samples(columns, 2)[1].gold is None, "whether a gold is needed is the router's to say"
        return
    with pytest.raises(DataError, match=message):
        Columns().samples(columns, 2)


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("3", "3"),
        ([{"role": "assistant", "content": "3"}], "3"),
        ([{"role": "assistant", "content": "2"}, {"role": "tool", "content": "x"}, {"content": "3"}], "3"),
        ({"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}]}, "ab"),
        ([{"role": "assistant", "content": None}], ""),
        ([], ""),
    ],
)
def test_what_the_model_said_is_found_in_every_form(completion: Any, text: str) -> None:
    assert text_of(completion) == text


def test_a_prompt_is_messages_whatever_its_form() -> None:
    system_user = [{"role": "system", "content": "Be brief."}, {"role": "robot", "content": [{"text": "Hi"}]}]
    assert [(message.role, message.text) for message in messages_from(system_user)] == [
        ("system", "Be brief."),
        ("user", "Hi"),
    ]
    assert messages_from("Hi") == (Message("user", (Part("text", "Hi"),)),)


def test_a_prompt_that_a_template_made_is_taken_apart_again() -> None:
    text = (
        "<|im_start|>system\nBe short.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>How many?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n"
    )
    assert [(message.role, message.text) for message in messages_from(text)] == [
        ("system", "Be short."),
        ("user", "How many?"),
    ]
    assert label_sample(LABEL, "s", task="math", prompt=text).messages == messages_from(text)


LABEL = '{"task": "counting", "gold": 3}'


@pytest.mark.parametrize(
    ("label", "task", "gold"),
    [
        ('{"task": "counting", "gold": 3}', "counting", Gold("count", 3)),
        ({"task": "x", "gold": "red", "kind": "text", "options": {"m": 1}}, "x", Gold("text", "red", {"m": 1})),
        (r"\frac12", "math", Gold("math", r"\frac12")),
        ("{3, 4}", "math", Gold("math", "{3, 4}")),
        ('{"a": 1}', "math", Gold("math", '{"a": 1}')),
        (7, "math", Gold("math", 7)),
    ],
)
def test_a_label_is_a_gold_answer_alone_or_with_its_task(label: Any, task: str, gold: Gold) -> None:
    sample = label_sample(label, "s", task="math")
    assert (sample.task, sample.gold) == (task, gold)


def test_a_label_that_cannot_be_read_is_shown() -> None:
    with pytest.raises(DataError, match=r"sample 's', label .*options"):
        label_sample({"task": "x", "gold": {"kind": "text", "answer": "a", "options": 3}}, "s", task="math")
