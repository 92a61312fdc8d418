from __future__ import annotations

from pathlib import Path

from mimovl.evaluate import read_answers
from mimovl.report.gallery import build_gallery, clip_text, outcome_words
from mimovl.report.pictures import Pictures
from mimovl.report.run_directory import read_run

HEADLINE = {"arithmetic": "thinking", "visual_reasoning": "thinking"}


def gallery_of(run: Path, **more: int):  # type: ignore[no-untyped-def]
    lines = read_answers(run / "evaluate" / "5-morl" / "answers.jsonl")
    modes = {line["task"]: HEADLINE.get(line["task"], "no_think") for line in lines}
    return build_gallery("5-morl", lines, modes, Pictures(read_run(run).datasets), **more)


def test_every_task_is_shown_in_its_headline_mode_only(finished_run: Path) -> None:
    gallery = gallery_of(finished_run)
    assert [task for task, *_ in gallery.tasks][:3] == ["caption", "attributes", "counting"]
    assert len(gallery.tasks) == 12
    assert {card.mode for card in gallery.cards if card.task == "arithmetic"} == {"thinking"}
    assert {card.mode for card in gallery.cards if card.task == "counting"} == {"not thinking"}


def test_the_sample_is_honest_and_says_so(finished_run: Path) -> None:
    gallery = gallery_of(finished_run)
    assert gallery.drawn_from == 96
    assert 0 < gallery.right < 96
    assert any(not card.right for card in gallery.cards)
    assert gallery.summary.startswith(f"{len(gallery.cards)} answers drawn at random, by task, from 96;")


def test_the_same_run_gives_the_same_sample(finished_run: Path) -> None:
    assert [card.id for card in gallery_of(finished_run).cards] == [card.id for card in gallery_of(finished_run).cards]


def test_a_smaller_gallery_still_shows_some_of_each_task(finished_run: Path) -> None:
    assert {count for *_, count in gallery_of(finished_run, cards=11).tasks} == {4}


def test_pictures_are_drawn_with_true_and_said(finished_run: Path) -> None:
    cards = {card.task: card for card in gallery_of(finished_run).cards if card.said != ""}
    assert 'class="truth"' in (cards["grounding"].shown.markup or "")
    assert cards["clip_span"].shown.is_clip
    assert cards["arithmetic"].shown.markup is None and not cards["arithmetic"].shown.missing


def test_no_answers_are_no_gallery(finished_run: Path) -> None:
    assert build_gallery("x", [], {}, Pictures([])) is None


def test_a_line_of_nonsense_is_a_card_like_any_other() -> None:
    line = {"task": None, "gold": [1], "completion": 7, "answer": {}, "media": "x", "score": "high", "tokens": None}
    gallery = build_gallery("x", [line], {}, Pictures([]))
    assert gallery is not None
    (card,) = gallery.cards
    assert (card.task_name, card.said, card.outcome, card.right) == ("(no task)", "7", "", False)


def test_long_text_is_cut_and_says_how_much() -> None:
    assert clip_text("a" * 2_000, 10) == "aaaaaaaaaa … (1,990 more characters)"
    assert clip_text(None) == ""


def test_outcomes_are_words() -> None:
    assert outcome_words("TRUNCATED") == "cut off"
    assert outcome_words("SOMETHING") == "something"
