import re
from collections import Counter

import numpy as np

from mimovl.curate.world.language import COLOURS
from tests.curate.world.cached_items import items


def span_iou(a, b) -> float:
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / ((a[1] - a[0]) + (b[1] - b[0]) - shared)


def spans(split="train", count=400):
    return [turn for item in items("world/clip", count, split) for turn in item.turns if turn.task == "clip_span"]


def test_clips_last_whole_seconds_at_two_frames_a_second() -> None:
    for item in items("world/clip", 40):
        assert item.fps == 2.0 and len(item.frames) % 2 == 0 and 6 <= len(item.frames) / 2 <= 12
        assert {frame.size for frame in item.frames} == {(56, 56)}


def test_answers_are_clock_times_of_the_gold_span() -> None:
    for turn in spans():
        start, end = turn.gold.answer
        assert turn.gold.kind == "span" and isinstance(start, float) and end - start >= 1
        assert turn.answer == f"[00:{int(start):02d},00:{int(end):02d}]"
        assert turn.thought == f"{int(start)}-{int(end)}"


def test_objects_are_visible_exactly_in_their_frames() -> None:
    for item in items("world/clip", 60):
        pixels = np.stack([np.asarray(frame, dtype=int) for frame in item.frames])
        plain = pixels[0, 0, 0]
        for number, frame in enumerate(pixels):
            changed = np.abs(frame - plain).sum(axis=-1) > 60
            expected = np.zeros((56, 56), bool)
            for a in item.annotations:
                if a.frames[0] <= number < a.frames[1]:
                    x1, y1, x2, y2 = (round(value) for value in a.box)
                    expected[max(0, y1 - 8) : y2 + 8, max(0, x1 - 8) : x2 + 8] = True  # movers: mean of two frames
                    assert changed[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].any()
            assert not (changed & ~expected).any()


def test_span_questions_match_the_description() -> None:
    for item in items("world/clip", 150):
        for turn in item.turns:
            if turn.task == "clip_span":
                name = re.search(r"the ([a-z ]+?)(?: visible)?\?", turn.question)[1]
                start, end = map(int, turn.gold.answer)
                assert re.search(rf"{name} {start}-{end}\b", item.description), (turn.question, item.description)


def test_no_constant_answer_scores_well() -> None:
    gold = [turn.gold.answer for turn in spans()]
    best = max(sum(span_iou((a, b), span) for span in gold) / len(gold) for a in range(12) for b in range(a + 1, 13))
    assert best < 0.36


def test_spans_are_asked_of_every_clip_and_never_of_the_always_visible() -> None:
    for item in items("world/clip", 150):
        asked = [turn for turn in item.turns if turn.task == "clip_span"]
        assert all(turn.gold.answer != [0.0, len(item.frames) / 2] for turn in asked)
        assert asked or item.turns


def test_other_questions_are_balanced_and_answered_in_a_word() -> None:
    turns = [t for item in items("world/clip", 400) for t in item.turns if t.task == "clip_events"]
    moves = Counter(t.answer for t in turns if t.question.startswith("Does"))
    assert 0.4 < moves["yes"] / moves.total() < 0.6
    directions = Counter(t.answer for t in turns if t.question.startswith("Which way"))
    assert set(directions) == {"left", "right", "up", "down"}
    assert all(t.answer in COLOURS for t in turns if t.question.startswith("What colour"))


def test_neighbouring_frames_always_differ() -> None:
    for item in items("world/clip", 40):
        data = [frame.tobytes() for frame in item.frames]
        assert all(one != other for one, other in zip(data, data[1:], strict=False))
