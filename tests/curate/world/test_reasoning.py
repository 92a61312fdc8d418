import re
from collections import Counter

from mimovl.curate.world.language import COLOURS, SHAPES
from tests.curate.world.cached_items import items


def count(item, phrase: str) -> int:
    stems = {value for value in (*COLOURS, *SHAPES) if re.search(rf"\b{value}(s|es)?\b", phrase)}
    return sum(stems <= set(a.attributes.values()) for a in item.annotations)


def test_answers_are_boxed_and_gold_agrees() -> None:
    for item in items("world/reasoning", 150):
        for turn in item.turns:
            assert turn.task == "visual_reasoning"
            assert turn.answer == f"\\boxed{{{turn.gold.answer}}}"
            assert turn.gold.kind == ("number" if str(turn.gold.answer).isdigit() else "text")


def test_differences_sums_and_comparisons_are_right() -> None:
    seen = Counter()
    for item in items("world/reasoning", 200):
        for turn in item.turns:
            question = turn.question.lower()
            pair = (
                re.fullmatch(r"how many more (.+) than (.+) are there\?", question)
                or re.fullmatch(r"(.+) minus (.+): how many\?", question)
                or re.fullmatch(r"how many (.+) and (.+) are there together\?", question)
                or re.fullmatch(r"(.+) plus (.+): how many\?", question)
                or re.fullmatch(r"are there more (.+) than (.+)\?", question)
                or re.fullmatch(r"do (.+) outnumber (.+)\?", question)
            )
            if not pair:
                continue
            a, b = count(item, pair[1]), count(item, pair[2])
            if "together" in question or "plus" in question:
                expected = a + b
            elif re.match("are|do", question):
                expected = "yes" if a > b else "no"
            else:
                expected = a - b
            seen[type(expected).__name__] += 1
            assert turn.gold.answer == expected, turn
    assert seen["int"] > 100 and seen["str"] > 50


def test_what_is_left_is_right() -> None:
    for item in items("world/reasoning", 200):
        for turn in item.turns:
            gone = re.match(r"Take away all (.+)\.", turn.question)
            if gone:
                assert turn.gold.answer == len(item.annotations) - count(item, gone[1])


def test_comparisons_are_answered_yes_about_as_often_as_no() -> None:
    said = Counter(
        turn.gold.answer
        for item in items("world/reasoning", 400)
        for turn in item.turns
        if turn.gold.answer in ("yes", "no")
    )
    assert 0.35 < said["yes"] / said.total() < 0.7


def test_thoughts_end_in_the_result() -> None:
    for item in items("world/reasoning", 100):
        for turn in item.turns:
            if turn.gold.kind == "number":
                assert turn.thought.endswith(f"={turn.gold.answer}")
            assert len(turn.thought) < 220


def test_extremes_lead_clearly() -> None:
    for item in items("world/reasoning", 200):
        for turn in item.turns:
            found = re.match(r"What (colour|shape) is the (leftmost|rightmost|topmost|lowest) (\w+)\?", turn.question)
            if not found:
                continue
            crowd = [a for a in item.annotations if found[3] in ("object", a.attributes["shape"])]
            axis, sign = {"leftmost": (0, 1), "rightmost": (0, -1), "topmost": (1, 1), "lowest": (1, -1)}[found[2]]
            ranked = sorted(crowd, key=lambda a: sign * (a.box[axis] + a.box[axis + 2]))
            assert turn.gold.answer == ranked[0].attributes[found[1]]
