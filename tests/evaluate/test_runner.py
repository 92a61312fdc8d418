import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.evaluate import Task, evaluate, read_answers, tasks_for
from mimovl.generate import RequestError, UnansweredError
from mimovl.types import Completion, Gold, Outcome, Request, Verdict
from tests.evaluate.questions import Scripted, always_right, counting, question

MIXED = [
    *counting(6),
    question("g0", "grounding", Gold("box", [0, 0, 10, 10]), scene="s0"),
    question("m0", "multi_grounding", Gold("box", [[0, 0, 10, 10], [20, 0, 30, 10]]), scene="s1"),
    question("a0", "arithmetic", Gold("number", 7)),
    question("o0", "ocr", Gold("text", "hello", {"metric": "edit"}), picture="page"),
    question("v0", "clip_span", Gold("span", (3.0, 7.0)), picture="clip"),
    question("t0", "text", None),
]


def test_right_answers_score_one_and_all_files_are_written(tmp_path: Path) -> None:
    out = tmp_path / "4-long-context"
    model = Scripted(always_right)
    scores = evaluate(model, MIXED, None, out)
    assert json.loads((out / "scores.json").read_text()) == scores
    assert list(scores) == ["counting", "grounding", "multi_grounding", "ocr", "clip_span", "arithmetic"]
    for task, entry in scores.items():
        assert entry["score"] == 1 and entry["interval"][1] == 1
        assert entry["mode"] == ("thinking" if task == "arithmetic" else "no_think")
        for mode in ("thinking", "no_think"):
            assert entry[mode]["outcomes"] == {"CORRECT": entry["n"]} and entry[mode]["mean_tokens"] > 0
        assert {name: entry[name] for name in ("score", "interval", "n")} == {
            name: entry[entry["mode"]][name] for name in ("score", "interval", "n")
        }
    assert scores["counting"]["n"] == 6 and scores["counting"]["metric"] == "accuracy"
    assert scores["counting"]["extra"]["mean_absolute_error"]["score"] == 0
    assert scores["multi_grounding"]["extra"]["recall@0.5"]["score"] == 1
    summary = json.loads((out / "summary.json").read_text())
    assert summary["checkpoint"] == "4-long-context" and summary["seconds"] >= 0
    assert summary["mean_reward"]["score"] == 1 and summary["mean_reward"]["n"] == 11
    assert summary["tokens"] == sum(answer["tokens"] for answer in read_answers(out / "answers.jsonl")) > 0
    assert sorted(path.name for path in out.iterdir()) == ["answers.jsonl", "scores.json", "summary.json"]


def test_an_answer_line_holds_what_the_report_needs(tmp_path: Path) -> None:
    model = Scripted(lambda request: "<think>\n\n</think>\n\n[10,0,20,10]")
    evaluate(model, [question("g", "grounding", Gold("box", [0, 0, 10, 10]), picture="p")], None, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert lines[0] == {
        "id": "g",
        "task": "grounding",
        "mode": "no_think",
        "language": "en",
        "prompt": "grounding g?",
        "media": ["p"],
        "width": 56,
        "height": 28,
        "gold": {"kind": "box", "answer": [0, 0, 10, 10], "options": {}},
        "completion": "<think>\n\n</think>\n\n[10,0,20,10]",
        "answer": "[[10,0,20,10]]",
        "score": 0.0,
        "reward": 0.5,
        "outcome": "WRONG",
        "rule": "accuracy",
        "tokens": 31,
        "finish_reason": "stop",
        "cluster": "p",
        "extra": {"recall@0.5": [0.0, 1.0]},
    }
    assert [line["mode"] for line in lines] == ["no_think", "thinking"]


def test_requests_are_greedy_in_large_chunks_of_one_mode(tmp_path: Path) -> None:
    model = Scripted(always_right)
    seen: list[tuple[int, int, str]] = []
    evaluate(
        model,
        counting(20),
        None,
        tmp_path,
        chunk_requests=8,
        seed=5,
        progress=lambda done, total, mode: seen.append((done, total, mode)),
    )
    assert [len(chunk) for chunk in model.chunks] == [8, 8, 4, 8, 8, 4]
    assert [{request.thinking for request in chunk} for chunk in model.chunks] == [{False}] * 3 + [{True}] * 3
    requests = [request for chunk in model.chunks for request in chunk]
    assert {(r.sampling.temperature, r.sampling.seed, r.num_samples) for r in requests} == {(0.0, 5, 1)}
    assert {r.sampling.max_tokens for r in model.chunks[0]} == {96} and model.chunks[3][0].sampling.max_tokens == 224
    assert seen[0] == (8, 40, "no_think") and seen[-1] == (40, 40, "thinking")


def test_token_limits_of_a_task_reach_the_model_unchanged(tmp_path: Path) -> None:
    model = Scripted(always_right)
    task = Task("counting", "accuracy", max_tokens={"no_think": 17, "thinking": 32768})
    evaluate(model, counting(1), [task], tmp_path)
    assert [chunk[0].sampling.max_tokens for chunk in model.chunks] == [17, 32768]


def test_a_killed_run_resumes_without_asking_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(Scripted(always_right, fail_after=3), counting(10), None, tmp_path / "a", chunk_requests=4)
    assert len(read_answers(tmp_path / "a" / "answers.jsonl")) == 10
    assert not (tmp_path / "a" / "scores.json").exists()
    rest = Scripted(always_right)
    resumed = evaluate(rest, counting(10), None, tmp_path / "a", chunk_requests=4)
    assert sum(map(len, rest.chunks)) == 10
    assert resumed == evaluate(Scripted(always_right), counting(10), None, tmp_path / "b")
    again = Scripted(always_right)
    assert evaluate(again, counting(10), None, tmp_path / "a") == resumed and not again.chunks


@pytest.mark.parametrize("torn", [1, 30, 400])
def test_a_torn_last_line_is_asked_again(tmp_path: Path, torn: int) -> None:
    whole = evaluate(Scripted(always_right), counting(5), None, tmp_path)
    path = tmp_path / "answers.jsonl"
    path.write_bytes(path.read_bytes()[:-torn])
    model = Scripted(always_right)
    assert evaluate(model, counting(5), None, tmp_path) == whole
    assert sum(map(len, model.chunks)) >= 1
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_damaged_line_is_asked_again(tmp_path: Path) -> None:
    whole = evaluate(Scripted(always_right), counting(5), None, tmp_path)
    path = tmp_path / "answers.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b'\xff{"id": 3', *lines[2:]]))
    model = Scripted(always_right)
    assert evaluate(model, counting(5), None, tmp_path) == whole
    assert [request.sample.id for chunk in model.chunks for request in chunk] == ["c1"]


def test_a_subset_scores_only_itself_and_keeps_the_rest(tmp_path: Path) -> None:
    evaluate(Scripted(always_right), counting(10), None, tmp_path)
    scores = evaluate(Scripted(always_right), counting(10)[:4], None, tmp_path, modes=["no_think"])
    assert scores["counting"]["n"] == 4 and "thinking" not in scores["counting"]
    assert len(read_answers(tmp_path / "answers.jsonl")) == 20


def test_answers_to_other_questions_are_not_taken_for_these(tmp_path: Path) -> None:
    evaluate(Scripted(always_right), [question("x", "counting", Gold("count", 1))], None, tmp_path)
    with pytest.raises(UsageError, match="answers another question under the id 'x'; delete it"):
        evaluate(Scripted(always_right), [question("x", "counting", Gold("count", 2))], None, tmp_path)


def test_answers_of_another_model_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    evaluate(Scripted(always_right), counting(2), None, tmp_path, fingerprint="first")
    evaluate(Scripted(always_right), counting(2), None, tmp_path, fingerprint="first")
    with pytest.raises(UsageError, match="holds answers of model 'first', not of 'second'"):
        evaluate(Scripted(always_right), counting(2), None, tmp_path, fingerprint="second")


def test_an_unasked_headline_mode_is_replaced_by_the_asked_one(tmp_path: Path) -> None:
    scores = evaluate(Scripted(always_right), MIXED, None, tmp_path, modes=["no_think"])
    assert scores["arithmetic"]["mode"] == "no_think"


def test_outcomes_are_counted_apart(tmp_path: Path) -> None:
    answers = {"c0": "1", "c1": "5", "c2": "many", "c3": "<think>4", "c4": "I see ✂", "c5": "6 ✂"}
    scores = evaluate(
        Scripted(lambda request: answers[request.sample.id]), counting(6), None, tmp_path, modes=["no_think"]
    )
    assert scores["counting"]["no_think"]["outcomes"] == {
        "CORRECT": 2,
        "WRONG": 1,
        "NO_ANSWER": 1,
        "TRUNCATED": 2,
    }
    by_id = {answer["id"]: answer for answer in read_answers(tmp_path / "answers.jsonl")}
    assert by_id["c4"]["rule"] == "cut by the token limit"
    assert (by_id["c5"]["score"], by_id["c5"]["reward"]) == (1.0, 0.0)
    # gold 1 to 6: right, 3 off, 0 read for 3, 0 read for 4, 0 read for 5, right
    assert scores["counting"]["extra"]["mean_absolute_error"]["score"] == pytest.approx((0 + 3 + 3 + 4 + 5 + 0) / 6)


def test_any_text_of_a_model_is_written_and_read_back(tmp_path: Path) -> None:
    hostile = ["\ud800</script>", "\x00", '"\\', "\u2028", "三", "\n\r"]
    model = Scripted(lambda request: hostile[int(request.sample.id[1:])])
    evaluate(model, counting(6), None, tmp_path)
    evaluate(model, counting(6), None, tmp_path)
    texts = [answer["completion"] for answer in read_answers(tmp_path / "answers.jsonl")]
    assert texts[:6] == hostile and len(texts) == 12


def test_a_task_may_judge_by_itself(tmp_path: Path) -> None:
    task = Task("haiku", "brevity", verdict=lambda sample, text: Verdict(1.0, Outcome.CORRECT, text, "brief"))
    scores = evaluate(Scripted(lambda request: "x"), [question("h", "haiku", None)], [task], tmp_path)
    assert scores["haiku"]["score"] == 1


@pytest.mark.parametrize(
    ("samples", "kwargs", "error", "message"),
    [
        ([], {}, UsageError, "none of 0 samples belongs to a task"),
        ([question("t", "text", None)], {}, UsageError, "none of 1 samples"),
        (counting(1) * 2, {}, DataError, "two samples have the id 'c0'"),
        (counting(1), {"modes": ["thinkng"]}, UsageError, "modes"),
        (counting(1), {"modes": []}, UsageError, "modes"),
        (
            [question("x", "counting", Gold("count", "many"))],
            {},
            DataError,
            "sample 'x' of task 'counting': gold answer",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    tmp_path: Path, samples: list[Any], kwargs: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(Scripted(lambda request: "1"), samples, None, tmp_path, **kwargs)


def test_a_model_that_loses_answers_is_refused(tmp_path: Path) -> None:
    class Losing:
        def generate(self, requests: object) -> list[list[Completion]]:
            return []

    with pytest.raises(UsageError, match="asked 3 questions for one answer each"):
        evaluate(Losing(), counting(3), None, tmp_path)


class Forgetful(Scripted):
    """Cannot be asked some questions."""

    def __init__(self, *names: str) -> None:
        super().__init__(always_right)
        self.names = names

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        answers = super().generate(requests)
        failures = {
            place: RequestError(f"sample {request.sample.id}: too long", ticket=place, reason="prompt")
            for place, request in enumerate(requests)
            if request.sample.id in self.names
        }
        if failures:
            raise UnansweredError([[] if n in failures else group for n, group in enumerate(answers)], failures)
        return answers


def test_a_question_that_cannot_be_asked_counts_as_wrong_and_is_named_and_costs_no_other(tmp_path: Path) -> None:
    told = f"2 of 20 questions could not be answered and count as wrong, the first: .*sample c3: too long; {tmp_path}"
    with pytest.warns(UserWarning, match=told):
        scores = evaluate(Forgetful("c3"), counting(10), None, tmp_path, chunk_requests=4)
    assert scores["counting"]["score"] == 0.9 and scores["counting"]["n"] == 10
    assert scores["counting"]["no_think"]["outcomes"] == {"CORRECT": 9, "NO_ANSWER": 1}
    line = next(answer for answer in read_answers(tmp_path / "answers.jsonl") if answer["id"] == "c3")
    assert (line["score"], line["reward"], line["tokens"], line["completion"]) == (0, 0, 0, "")
    assert (line["finish_reason"], line["rule"]) == ("unanswered", "not answered: sample c3: too long")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [(one["id"], one["mode"]) for one in summary["unanswered"]] == [("c3", "no_think"), ("c3", "thinking")]
    assert summary["mean_reward"]["score"] == 0.9
    again = Scripted(always_right)
    with pytest.warns(UserWarning, match="2 of 20"):
        assert evaluate(again, counting(10), None, tmp_path) == scores
    assert not again.chunks


def test_tasks_given_leave_other_samples_out(tmp_path: Path) -> None:
    model = Scripted(always_right)
    scores = evaluate(model, MIXED, tasks_for(MIXED, ["ocr"]), tmp_path)
    assert list(scores) == ["ocr"] and sum(map(len, model.chunks)) == 2


def seldom_right(request: Request) -> str:
    return "1"


def test_sampled_answers_have_their_questions_own_luck_whatever_the_checkpoint(tmp_path: Path) -> None:
    asked: list[dict[tuple[str, bool | None], int]] = []
    for name in ("a", "b"):
        model = Scripted(always_right)
        evaluate(model, counting(20), None, tmp_path / name, seed=5, temperature=0.7, fingerprint=name)
        requests = [request for chunk in model.chunks for request in chunk]
        assert {request.sampling.temperature for request in requests} == {0.7}
        asked.append({(request.sample.id, request.thinking): request.sampling.seed for request in requests})
    assert asked[0] == asked[1] and len(set(asked[0].values())) == 40
    with pytest.raises(UsageError, match="holds answers of model 'temperature 0.7 a', not of 'a'"):
        evaluate(Scripted(always_right), counting(20), None, tmp_path / "a", fingerprint="a")


def test_scores_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first = evaluate(Scripted(seldom_right), MIXED, None, tmp_path / "a", seed=3)
    assert first == evaluate(Scripted(seldom_right), MIXED, None, tmp_path / "b", seed=3)
