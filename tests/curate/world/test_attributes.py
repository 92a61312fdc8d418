import re
from collections import Counter

from mimovl.curate.world.language import COLOURS, PLACES, SHAPES, SIZES
from tests.curate.world.cached_items import items


def asked(question: str) -> str:
    """Which attribute a question asks for."""
    if re.match(r"Is there|Can you see", question):
        return "exists"
    for word, name in (("colour", "colour"), ("shape", "shape"), ("large or small|What size", "size")):
        if re.search(word, question):
            return name
    return "place" if re.match("Where|In which part", question) else "related"


ANSWERS = {
    "exists": {"yes", "no"},
    "colour": set(COLOURS),
    "shape": set(SHAPES),
    "size": set(SIZES),
    "place": set(PLACES),
    "related": {f"{colour} {shape}" for colour in COLOURS for shape in SHAPES},
}


def test_answers_are_short_words_of_the_asked_attribute() -> None:
    for item in items("world/attributes", 150):
        for turn in item.turns:
            assert turn.answer in ANSWERS[asked(turn.question)], turn
            assert turn.gold.kind == "text" and turn.gold.answer == turn.answer and turn.thought


def test_all_attributes_are_asked_and_existence_is_balanced() -> None:
    turns = [turn for item in items("world/attributes", 300) for turn in item.turns]
    kinds = Counter(asked(turn.question) for turn in turns)
    assert all(kinds[name] > 0.06 * len(turns) for name in ANSWERS), kinds
    said = Counter(turn.answer for turn in turns if asked(turn.question) == "exists")
    assert abs(said["yes"] - said["no"]) < 0.1 * said.total()


def test_existence_answers_are_true() -> None:
    for item in items("world/attributes", 150):
        shown = {f"{a.attributes['colour']} {a.attributes['shape']}" for a in item.annotations}
        for turn in item.turns:
            if asked(turn.question) == "exists":
                kind = re.search(r"(\w+ \w+)\?$", turn.question)[1]
                assert (kind in shown) == (turn.answer == "yes")


def test_absent_kinds_are_often_nearly_present() -> None:
    near = []
    for item in items("world/attributes", 200):
        words = {value for a in item.annotations for value in a.attributes.values()}
        for turn in item.turns:
            if asked(turn.question) == "exists" and turn.answer == "no":
                near.append(bool(set(turn.question.rstrip("?").split()) & words))
    assert sum(near) > 0.6 * len(near)


def test_value_answers_agree_with_the_thought() -> None:
    for item in items("world/attributes", 150):
        for turn in item.turns:
            if asked(turn.question) != "exists":
                assert turn.answer in turn.thought
                assert turn.thought.split(": ")[1] in item.description


def test_chinese_items_are_chinese_throughout() -> None:
    for item in items("world/attributes", 30, chinese=True):
        assert item.language == "zh"
        for turn in item.turns:
            assert turn.language == "zh"
            assert not re.search("[a-zA-Z]", turn.question + turn.answer + turn.thought)
