import json
from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.data import PairFolder
from mimovl.errors import DataError, UsageError
from mimovl.preference import collect_preferences
from mimovl.preference.collect import CollectSettings
from mimovl.types import Completion, Message, Part
from tests.data import small
from tests.interrupt import Interrupt
from tests.preference_pairs import preference

PROMPTS = [preference(small.picture(56, 56, number), id=f"p{number}") for number in range(6)]
SETTINGS = CollectSettings(samples=2, pairs_per_prompt=6, chunk=2)


class Scripted:
    """A model that says what it is told, and counts what it is asked."""

    def __init__(self, *answers: str, fail_after: int = 99, cut: str | None = None) -> None:
        self.answers, self.fail_after, self.cut = answers, fail_after, cut
        self.asked: list[str] = []

    def generate(self, requests):
        if len(self.asked) >= self.fail_after:
            raise Interrupt
        self.asked += [request.sample.id for request in requests]
        return [
            [
                Completion(f"<think>\n</think>\n\n{answer}", "length" if answer == self.cut else "stop")
                for answer in (self.answers * request.num_samples)[: request.num_samples]
            ]
            for request in requests
        ]


class Judge:
    """Prefers the smaller number in both orders; undecided between even ones, fond of the first among odd ones."""

    def __init__(self, fail_after: int = 99) -> None:
        self.asked, self.fail_after = 0, fail_after

    def generate(self, requests):
        if self.asked >= self.fail_after:
            raise Interrupt
        self.asked += len(requests)
        return [[Completion(self.reply(request.sample.messages[-1].text), "stop")] for request in requests]

    @staticmethod
    def reply(words: str) -> str:
        first = int(words.partition("Answer A:\n")[2].split()[0])
        second = int(words.partition("Answer B:\n")[2].split()[0])
        if first % 2 == second % 2 == 0:
            return "tie"
        if first % 2 == second % 2 == 1:
            return "A"
        return "hm" if 7 in (first, second) else "A" if first < second else "B"


def models():
    return {"ours": Scripted("1", "2"), "other": Scripted("3", "4")}


def read(out: Path):
    folder = PairFolder(out)
    return [folder[number] for number in range(len(folder))]


def test_wins_ties_and_disagreements_are_kept_and_say_what_they_are(tmp_path: Path) -> None:
    summary = collect_preferences(PROMPTS, models(), Judge(), tmp_path / "out", SETTINGS)
    pairs = read(tmp_path / "out")
    assert len(pairs) == summary["pairs"] == 6 * len(PROMPTS)
    assert summary["verdicts"] == {"disagreement": 6, "tie": 6, "win": 24}
    for pair in pairs:
        one, other = int(pair.chosen), int(pair.rejected)
        if pair.meta["set"] == "win":
            assert not pair.tie and one < other and (one + other) % 2
        else:
            assert pair.tie and pair.meta["set"] == ("tie" if one % 2 == 0 else "disagreement")
        assert set(pair.meta["generators"]) <= {"ours", "other"} and len(pair.meta["ranker"]) == 2
    assert {pair.meta["scene"] for pair in pairs} == {prompt.id for prompt in PROMPTS}
    assert all(pair.media and pair.messages == PROMPTS[int(pair.id[1])].messages for pair in pairs)
    # the taste for the first place: always among odd numbers, never else
    assert 0.5 < summary["first_place_preferred"]["value"] < 0.7


def test_the_place_of_an_answer_does_not_depend_on_its_model(tmp_path: Path) -> None:
    prompts = [replace(PROMPTS[0], id=f"q{number}") for number in range(60)]
    settings = CollectSettings(samples=1, pairs_per_prompt=1)
    collect_preferences(prompts, {"a": Scripted("2"), "b": Scripted("4")}, Judge(), tmp_path / "out", settings)
    firsts = [pair.meta["generators"][0] for pair in read(tmp_path / "out")]
    assert 15 < firsts.count("a") < 45


def test_what_makes_no_pair_is_left_out_with_its_reason(tmp_path: Path) -> None:
    generators = {"a": Scripted("2", "2"), "b": Scripted("4", "6", cut="6"), "c": Scripted("7", "")}
    summary = collect_preferences(PROMPTS[:2], generators, Judge(), tmp_path / "out", SETTINGS)
    lines = [json.loads(line) for line in (tmp_path / "out" / "dropped.jsonl").read_text().splitlines()]
    assert summary["dropped"] == {"cut": 2, "empty": 2, "same_answer": 2, "unread": 4}
    assert {(line["id"], line["reason"]) for line in lines} >= {("p0/b/1", "cut"), ("p0/a/1", "same_answer")}
    assert [pair.tie for pair in read(tmp_path / "out")] == [True, True]


@pytest.mark.parametrize("stop", ["answers", "ranking"])
def test_cut_off_it_goes_on_and_asks_nothing_twice(tmp_path: Path, stop: str) -> None:
    whole = models()
    collect_preferences(PROMPTS, whole, Judge(), tmp_path / "whole", SETTINGS)
    first = models()
    if stop == "answers":
        first["other"].fail_after = 4
    with pytest.raises(Interrupt):
        collect_preferences(PROMPTS, first, Judge(24 if stop == "ranking" else 99), tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()
    second, judge = models(), Judge()
    collect_preferences(PROMPTS, second, judge, tmp_path / "out", SETTINGS)
    assert read(tmp_path / "out") == read(tmp_path / "whole")
    for name in whole:
        assert [*first[name].asked, *second[name].asked] == whole[name].asked
    assert judge.asked == 2 * 36 - (24 if stop == "ranking" else 0)
    assert not (tmp_path / "out.collecting").exists()


def test_what_was_begun_otherwise_is_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(Interrupt):
        collect_preferences(PROMPTS, models(), Judge(0), tmp_path / "out", SETTINGS, about="one")
    for prompts, about in ((PROMPTS, "two"), (PROMPTS[:3], "one")):
        with pytest.raises(UsageError, match="was begun with other prompts, generators, ranker or settings"):
            collect_preferences(prompts, models(), Judge(), tmp_path / "out", SETTINGS, about=about)


def test_prompts_and_models_that_cannot_make_pairs_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match="two prompts have the id 'p0'"):
        collect_preferences([*PROMPTS[:1], *PROMPTS[:1]], models(), Judge(), out, SETTINGS)
    answered = replace(PROMPTS[0], messages=(*PROMPTS[0].messages, Message("assistant", (Part("text", "3"),))))
    with pytest.raises(DataError, match="prompt p0 does not end with the user's turn"):
        collect_preferences([answered], models(), Judge(), out, SETTINGS)
    with pytest.raises(UsageError, match="1 generators with 1 samples each give no two answers to compare"):
        collect_preferences(PROMPTS, {"a": Scripted("1")}, Judge(), out, CollectSettings())
    with pytest.raises(UsageError, match="there is no prompt"):
        collect_preferences([], models(), Judge(), out, SETTINGS)
    with pytest.raises(UsageError, match=r"generator a gave \[1, 1\] answers, asked were 2"):

        class Short(Scripted):
            def generate(self, requests):
                return [group[:1] for group in super().generate(requests)]

        collect_preferences(PROMPTS, {"a": Short("1", "2")}, Judge(), out, SETTINGS)
    assert not out.exists()
