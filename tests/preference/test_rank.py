import pytest

from mimovl.preference.rank import PROMPT, Ranking, rank_pairs, read_choice
from mimovl.types import Completion
from tests.data import small
from tests.preference_pairs import preference


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("A", "A"),
        (" b.\n", "B"),
        ("**A**", "A"),
        ("[[B]]", "B"),
        ("Answer A", "A"),
        ("tie", "tie"),
        ("Tie.", "tie"),
        ("平局", "tie"),
        ("<think>\nA says three, B says four. A is better.\n</think>\n\nB", "B"),
        ("The better answer is B", "B"),
        ("A counts well, but the better answer is **A**.", "A"),
        ("First I prefer A. No: my final verdict: [[B]]", "B"),
        ("Verdict: tie", "tie"),
        ("I cannot tell.", "unread"),
        ("A good question!", "unread"),
        ("Answer A counts three, answer B counts four.", "unread"),
        ("", "unread"),
        ("C", "unread"),
    ],
)
def test_a_reply_is_read_where_it_is_plain(reply: str, choice: str) -> None:
    assert read_choice(reply) == choice


@pytest.mark.parametrize(
    ("forward", "backward", "verdict", "first"),
    [
        ("A", "B", "win", True),
        ("B", "A", "win", False),
        ("A", "A", "disagreement", False),
        ("B", "B", "disagreement", False),
        ("tie", "tie", "tie", False),
        ("tie", "A", "weak", False),
        ("B", "tie", "weak", False),
        ("unread", "A", "unread", False),
        ("unread", "unread", "unread", False),
    ],
)
def test_only_the_same_answer_in_both_orders_wins(forward, backward, verdict, first) -> None:
    assert (Ranking(forward, backward).verdict, Ranking(forward, backward).first_wins) == (verdict, first)


class Judge:
    """Prefers an answer that says three, wherever it stands."""

    def __init__(self) -> None:
        self.requests = []

    def generate(self, requests):
        self.requests += requests
        replies = []
        for request in requests:
            words = request.sample.messages[-1].text
            first, second = words.index("Answer A:\n3") if "Answer A:\n3" in words else -1, words.find("Answer B:\n3")
            replies.append([Completion("A" if first >= 0 > second else "B" if second >= 0 > first else "tie", "stop")])
        return replies


def test_each_pair_is_asked_in_both_orders_with_its_pictures_and_its_question() -> None:
    judge, prompt = Judge(), preference(small.picture(56, 56))
    found = rank_pairs(judge, [(prompt, "3", "4"), (prompt, "5", "3"), (prompt, "6", "{first}")])
    assert [(one.verdict, one.first_wins) for one in found] == [("win", True), ("win", False), ("tie", False)]
    assert len(judge.requests) == 6
    asked = judge.requests[0].sample
    assert asked.media == prompt.media and asked.messages[-1].content[0].type == "image"
    assert asked.messages[-1].text.startswith("How many red circles?\n\nTwo assistants")
    assert "Answer A:\n6\n" in judge.requests[4].sample.messages[-1].text
    assert "Answer B:\n{first}\n" in judge.requests[4].sample.messages[-1].text
    assert judge.requests[0].sampling.temperature == 0 and judge.requests[0].thinking is False


def test_the_question_has_places_for_both_answers() -> None:
    assert "{first}" in PROMPT and "{second}" in PROMPT
