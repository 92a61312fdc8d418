from collections.abc import Sequence
from pathlib import Path

import pytest

from mimovl.curate.caption.answers import AnswerStore, Asker, request_key
from mimovl.errors import DataError, UsageError
from mimovl.types import Completion, Media, Message, Part, Request, Sample, SamplingParams


def request(text: str, name: str = "one", picture: str = "p", seed: int = 0) -> Request:
    message = Message("user", (Part("image", media="i"), Part("text", text)))
    return Request(Sample(name, (message,), {"i": Media(picture, "image", b"", 28, 28)}), SamplingParams(seed=seed))


class Echo:
    """Answers with the text of the prompt; fails as told."""

    def __init__(self, fail: int = 0, poison: str = "") -> None:
        self.asked: list[list[str]] = []
        self.fail, self.poison = fail, poison

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        texts = [one.sample.messages[0].text for one in requests]
        self.asked.append(texts)
        if self.fail:
            self.fail -= 1
            raise ConnectionError("refused")
        if self.poison in texts:
            raise RuntimeError("bad picture")
        return [[Completion(f"answer {text}", "stop")] for text in texts]


def asker(model: Echo, folder: Path, waits: list[float] | None = None, **settings: int) -> Asker:
    waits = [] if waits is None else waits
    return Asker(model, "m", AnswerStore(folder), sleep=waits.append, **settings)


def texts(answers: Sequence[Completion | None]) -> list[str]:
    return [answer.text if answer else "" for answer in answers]


def test_nothing_is_asked_twice_in_a_batch_in_a_run_or_in_another_process(tmp_path: Path) -> None:
    model = Echo()
    first = asker(model, tmp_path)
    assert texts(first.ask([request("a"), request("b"), request("a", "two")])) == ["answer a", "answer b", "answer a"]
    first.ask([request("b")])
    asker(model, tmp_path).ask([request("a"), request("c")])
    assert model.asked == [["a", "b"], ["c"]]


def test_a_key_is_what_was_asked_and_of_whom_and_not_the_id() -> None:
    base = request_key(request("a"), "m")
    assert request_key(request("a", "other id"), "m") == base
    others = [request("b"), request("a", picture="q"), request("a", seed=1)]
    assert len({base, request_key(request("a"), "n"), *(request_key(one, "m") for one in others)}) == 5


def test_a_model_behind_the_same_name_that_says_it_is_another_is_asked_again(tmp_path: Path) -> None:
    for fingerprint in ("x", "y", "x"):
        model = Echo()
        model.fingerprint = fingerprint  # type: ignore[attr-defined]
        asker(model, tmp_path).ask([request("a")])
    assert model.asked == []


def test_batches_are_of_the_size_asked_for_and_kept_before_the_next(tmp_path: Path) -> None:
    class DiesAtThird(Echo):
        def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().generate(requests)

    every = [request(str(number)) for number in range(7)]
    model: Echo = DiesAtThird()
    with pytest.raises(KeyboardInterrupt):
        asker(model, tmp_path, batch=2).ask(every)
    assert [len(batch) for batch in model.asked] == [2, 2]
    model = Echo()
    assert texts(asker(model, tmp_path, batch=2).ask(every)) == [f"answer {number}" for number in range(7)]
    assert model.asked == [["4", "5"], ["6"]]


def test_a_call_that_fails_is_made_again_after_growing_waits(tmp_path: Path) -> None:
    model, waits = Echo(fail=2), list[float]()
    assert texts(asker(model, tmp_path, waits, retries=3).ask([request("a")])) == ["answer a"]
    assert waits == [1.0, 2.0]


def test_a_request_that_cannot_be_answered_stops_no_other(tmp_path: Path) -> None:
    model = Echo(poison="b")
    answers = asker(model, tmp_path, retries=1).ask([request("a"), request("b"), request("c")])
    assert texts(answers) == ["answer a", "", "answer c"]
    assert answers[1] is None


def test_a_model_that_fails_on_everything_ends_the_run_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="model m failed 2 times on 2 requests.*ConnectionError: refused.*are kept"):
        asker(Echo(fail=100), tmp_path, retries=1).ask([request("a"), request("b")])


def test_a_users_mistake_is_not_tried_again(tmp_path: Path) -> None:
    class Wrong(Echo):
        def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
            self.asked.append([])
            raise UsageError("no such key")

    model = Wrong()
    with pytest.raises(UsageError, match="no such key"):
        asker(model, tmp_path).ask([request("a")])
    assert len(model.asked) == 1


def test_another_number_of_answers_is_refused(tmp_path: Path) -> None:
    class Two(Echo):
        def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
            return [[Completion("a", "stop")] * 2 for _ in requests]

    with pytest.raises(UsageError, match=r"gave \[2\] answers"):
        asker(Two(), tmp_path).ask([request("a")])


def test_a_torn_file_is_asked_again_and_a_lone_surrogate_comes_back(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.put("abcdef", Completion("a \ud800", "length"))
    assert store.get("abcdef") == Completion("a \ud800", "length")
    path = tmp_path / "ab" / "cd" / "abcdef.json"
    path.write_bytes(path.read_bytes()[:5])
    assert store.get("abcdef") is None
    assert store.get("other1") is None


def test_a_cancelled_answer_is_none_and_not_kept(tmp_path: Path) -> None:
    class Cancels(Echo):
        def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
            return [[Completion("half", "cancelled")] for _ in requests]

    assert asker(Cancels(), tmp_path).ask([request("a")]) == [None]
    assert texts(asker(Echo(), tmp_path).ask([request("a")])) == ["answer a"]
