import json
from typing import Any

import pytest

from mimovl.reward import RewardRouter
from mimovl.reward.schema import RewardItem
from mimovl.reward.worker import grade_line, read_result, wire
from mimovl.types import Gold, Message, Outcome, Part, Sample, Verdict
from tests.reward import poison

ROUTER = RewardRouter({name: getattr(poison, name) for name in ("brevity", "explode", "boast", "prompt_length")})


def item(task: str, completion: str, **fields: Any) -> RewardItem:
    return RewardItem.model_validate({"task": task, "completion": completion, **fields})


def replied(one: RewardItem, gold: Gold | None, *, prompt: bool = False) -> tuple[str, Any]:
    line = wire(one, "s-1", gold, prompt=prompt)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    return read_result(json.loads(json.dumps(grade_line(line, ROUTER))))


@pytest.mark.parametrize(
    ("task", "gold", "text"),
    [
        ("counting", Gold("count", 3), "<think>\n1, 2, 3\n</think>3"),
        ("grounding", Gold("box", [0, 0, 10, 10]), "[0,0,10,5]"),
        ("ocr", Gold("text", "héllo ½"), "hallo"),
        ("clip_span", Gold("span", [3, 7], {"metric": "accuracy"}), "[00:05,00:07]"),
        ("math", Gold("math", r"\frac12"), r"\boxed{0.5}"),
        ("math", Gold("math", r"\frac12"), "<think>"),
        ("brevity", None, "abc"),
    ],
)
def test_a_worker_says_what_the_router_says(task: str, gold: Gold | None, text: str) -> None:
    expected = ROUTER.score(Sample("s-1", (), task=task, gold=gold), text)
    assert replied(item(task, text), gold) == ("verdict", expected)


def test_a_cut_completion_is_truncated() -> None:
    kind, verdict = replied(item("counting", "3", finish_reason="length"), Gold("count", 3))
    assert kind == "verdict" and verdict.outcome is Outcome.TRUNCATED


def test_what_only_math_verify_can_decide_is_left_open() -> None:
    kind, rest = replied(item("math", r"\boxed{\int_0^1 x\,dx}"), Gold("math", r"\frac12"))
    assert kind == "open" and rest == [r"\int_0^1 x dx", r"\frac12", ""]


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        (Gold("count", "many"), "sample 's-1' of task 'counting', field gold.answer: gold answer 'many' is not"),
        (Gold("cuont", 3), "field gold.kind: unknown kind 'cuont'"),
        (Gold("count", 3, {"metrc": 1}), "field gold.options: unknown option 'metrc'"),
        (None, "has no gold"),
    ],
)
def test_an_item_at_fault_is_refused_with_sample_and_field(gold: Gold | None, message: str) -> None:
    kind, rest = replied(item("counting", "3"), gold)
    assert kind == "refused" and message in rest[0]


def test_a_function_out_of_range_is_refused() -> None:
    kind, rest = replied(item("boast", "x"), None)
    assert kind == "refused" and "gave 7.0, not in [0, 1]" in rest[0]


def test_a_function_that_raises_fails_with_its_words() -> None:
    reason = "the reward of task 'explode' raised ValueError: no reward for x"
    assert replied(item("explode", "x"), None) == ("failed", [reason])


def test_a_function_sees_prompt_and_pictures() -> None:
    one = item(
        "prompt_length",
        "x",
        messages=[{"role": "user", "content": "Why?"}],
        media={"a": {"data": "AAEC"}},
    )
    kind, verdict = replied(one, None, prompt=True)
    assert kind == "verdict" and verdict.answer == "4 3"


def test_media_that_cannot_be_read_is_refused_with_its_field() -> None:
    one = item("prompt_length", "x", media={"a": {"data": "?"}})
    kind, rest = replied(one, None, prompt=True)
    assert kind == "refused" and "sample 's-1' of task 'prompt_length', field media.a.data: not base64" in rest[0]


def test_memory_that_runs_out_ends_the_worker_rather_than_the_item() -> None:
    def greedy(sample: Sample, text: str) -> Verdict:
        raise MemoryError

    with pytest.raises(MemoryError):
        grade_line(wire(item("greedy", "x"), "s-1", None, prompt=False), RewardRouter({"greedy": greedy}))


def test_what_a_function_reads_out_is_bounded() -> None:
    def verbose(sample: Sample, text: str) -> Verdict:
        return Verdict(1.0, Outcome.CORRECT, "x" * 10**6, "y" * 10**6)

    line = wire(item("verbose", "x"), "s-1", None, prompt=False)
    assert len(json.dumps(grade_line(line, RewardRouter({"verbose": verbose})))) < 10_000


def test_messages_become_parts() -> None:
    seen: list[Sample] = []

    def look(sample: Sample, text: str) -> Verdict:
        seen.append(sample)
        return Verdict(1.0, Outcome.CORRECT)

    one = item("look", "x", messages=[{"role": "user", "content": "Why?"}])
    grade_line(wire(one, "s-1", Gold("text", "a"), prompt=True), RewardRouter({"look": look}))
    assert seen == [Sample("s-1", (Message("user", (Part("text", "Why?"),)),), {}, task="look", gold=Gold("text", "a"))]
