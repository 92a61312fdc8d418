"""The service without its HTTP, on real workers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mimovl.reward import RewardRouter
from mimovl.reward.schema import RewardItem
from mimovl.reward.service import Refusal
from mimovl.types import Gold, Message, Outcome, Part, Sample, Verdict
from tests.reward.running import RunningService


def item(task: str, completion: str, **fields: Any) -> RewardItem:
    return RewardItem.model_validate({"task": task, "completion": completion, **fields})


def asked(completion: str, **fields: Any) -> RewardItem:
    """An item of the task that has a reward model."""
    return item("rlhf", completion, messages=[{"role": "user", "content": "Why?"}], **fields)


def score(running: RunningService, items: list[RewardItem], *arguments: Any) -> list[Verdict]:
    return running.run(running.service.score(items, *arguments))


def refusal(running: RunningService, items: list[RewardItem], *arguments: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        score(running, items, *arguments)
    return caught.value


def test_it_gives_the_verdicts_of_the_router_in_this_process(running: RunningService) -> None:
    golds = [
        ("counting", Gold("count", 3), "3"),
        ("grounding", Gold("box", [0, 0, 10, 10]), "[0,0,10,5]"),
        ("ocr", Gold("text", "hello"), "hallo"),
        ("math", Gold("math", r"\frac12"), r"\boxed{\int_0^1 x\,dx}"),
        ("math", Gold("math", r"\frac12"), r"\boxed{\int_0^2 x\,dx}"),
        ("math", Gold("math", r"x"), r"\boxed{who knows}"),
    ] * 5
    samples = [Sample("s", (), task=task, gold=gold) for task, gold, _ in golds]
    expected = RewardRouter().score_many(samples, [text for _, _, text in golds])
    items = [item(task, text, gold=gold.answer, kind=gold.kind) for task, gold, text in golds]
    assert score(running, items) == expected
    assert {"Math-Verify"} < {verdict.rule for verdict in expected}


def test_rules_functions_and_models_share_a_request_and_keep_its_order(running: RunningService) -> None:
    found = score(
        running,
        [asked("abc"), item("counting", "3", gold=3), item("brevity", "a"), asked("a"), item("crash", "x"), asked("")],
    )
    assert [verdict.score for verdict in found] == [0.25, 1.0, 0.5, 0.5, 0.0, 1.0]
    assert [verdict.rule for verdict in found[:4]] == ["reward model", "text: whole; exact", "brevity", "reward model"]


def test_a_cut_completion_is_not_shown_to_the_model(running: RunningService) -> None:
    [verdict] = score(running, [asked("unreadable", finish_reason="length")])
    assert verdict.outcome is Outcome.TRUNCATED


def test_a_model_that_fails_leaves_the_item_ungraded_and_says_why(running: RunningService) -> None:
    found = score(running, [asked("a"), asked("unreadable"), asked("abc")])
    assert [verdict.score for verdict in found] == [0.5, 0.0, 0.25]
    assert found[1].rule == "the reward model failed: RuntimeError: an unreadable completion"


def test_a_function_is_given_prompt_and_pictures(running: RunningService) -> None:
    one = item("prompt_length", "x", messages=[{"role": "user", "content": "Why?"}], media={"a": {"data": "AAEC"}})
    assert score(running, [one])[0].answer == "4 3"


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (item("countin", "3", gold=3, id="q-7"), r"sample 'q-7' of task 'countin', field task: unknown task"),
        (item("counting", "3"), r"sample 'items[1]' of task 'counting', field gold: task 'counting' is graded"),
        (item("counting", "3", gold="many"), "sample 'items[1]' of task 'counting', field gold.answer: gold answer 'm"),
        (item("counting", "3", gold=3, kind="cuont"), "field gold.kind: unknown kind 'cuont'"),
        (item("counting", "3", gold=3, options={"metrc": 1}), "field gold.options: unknown option 'metrc'"),
        (item("rlhf", "x"), "sample 'items[1]' of task 'rlhf', field messages: a model rewards task 'rlhf'"),
        (asked("x", media={"a": {"data": "?"}}), "field media.a.data: not base64"),
        (item("boast", "x"), "gave 7.0, not in [0, 1]"),
    ],
)
def test_an_item_at_fault_is_refused_with_sample_and_field(
    running: RunningService, one: RewardItem, message: str
) -> None:
    refused = refusal(running, [item("counting", "3", gold=3), one])
    assert refused.status == 422 and message in refused.detail
    assert [problem.index for problem in refused.items] == [1] and message in refused.items[0].message
    assert running.service.queued == 0


def test_several_items_at_fault_are_all_listed(running: RunningService) -> None:
    refused = refusal(running, [item("counting", "3", gold="many") for _ in range(30)])
    assert refused.detail.startswith("30 of 30 items cannot be rewarded; the first: sample 'items[0]'")
    assert [problem.index for problem in refused.items] == list(range(20))


def test_a_request_that_comes_again_under_its_id_is_graded_once(running: RunningService, tmp_path: Path) -> None:
    items = [item("note", str(tmp_path / "notes"))]

    async def story() -> list[list[Verdict]]:
        together = asyncio.gather(*(running.service.score(items, "id-1", b"d") for _ in range(3)))
        return [*await together, await running.service.score(items, "id-1", b"d")]

    assert {verdict.rule for [verdict] in running.run(story())} == {"noted"}
    assert (tmp_path / "notes").read_text() == "graded\n"
    score(running, items)
    assert (tmp_path / "notes").read_text() == "graded\n" * 2, "without an id it is another request"


def test_one_id_for_two_requests_is_refused(running: RunningService) -> None:
    score(running, [item("counting", "3", gold=3)], "id-2", b"first")
    refused = refusal(running, [item("counting", "4", gold=3)], "id-2", b"second")
    assert refused.status == 409 and "request id 'id-2' was used for another request" in refused.detail


def test_a_refusal_is_remembered_too(running: RunningService) -> None:
    for _ in range(2):
        assert refusal(running, [item("counting", "3", gold="many")], "id-3", b"d").status == 422


def test_old_answers_are_forgotten_beyond_the_limit(running: RunningService, tmp_path: Path) -> None:
    items = [item("note", str(tmp_path / "notes"))] * 10
    with running.changed(kept_answers=25):
        for request_id in ("a", "b", "c", "a"):
            score(running, items, request_id, b"d")
    assert (tmp_path / "notes").read_text() == "graded\n" * 40, "a was forgotten when c came"


def test_too_many_items_are_refused_with_both_numbers(running: RunningService) -> None:
    with running.changed(max_items=3):
        refused = refusal(running, [item("counting", "3", gold=3)] * 4)
    assert (refused.status, refused.limit) == (413, 3) and "items: 4 items, at most 3 in one request" in refused.detail


def test_a_full_queue_says_when_to_come_back_and_takes_requests_again(running: RunningService) -> None:
    async def story() -> tuple[Refusal, list[Verdict]]:
        service = running.service
        busy = asyncio.create_task(service.score([item("wait", "0.2")] * 4))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as caught:
            await service.score([item("counting", "3", gold=3)] * 2)
        await busy
        return caught.value, await service.score([item("counting", "3", gold=3)] * 2)

    with running.changed(max_queued_items=5):
        refused, later = running.run(story())
        assert refused.status == 429 and 1 <= (refused.retry_after or 0) <= 30
        assert "4 items wait and 2 more would exceed 5" in refused.detail
        assert [verdict.score for verdict in later] == [1.0, 1.0]
        assert len(score(running, [item("counting", "3", gold=3)] * 6)) == 6, "an empty queue takes a batch of any size"


def test_what_is_late_can_be_asked_for_again(running: RunningService, tmp_path: Path) -> None:
    items = [item("wait", "1"), item("note", str(tmp_path / "notes"))]
    with running.changed(request_seconds=0.1):
        refused = refusal(running, items, "id-4", b"d")
    assert refused.status == 504 and "ask again with the same X-Request-ID" in refused.detail
    assert [verdict.rule for verdict in score(running, items, "id-4", b"d")] == ["waited", "noted"]
    assert (tmp_path / "notes").read_text() == "graded\n"


def test_nothing_is_an_answer_to_nothing(running: RunningService) -> None:
    assert score(running, []) == []


def test_a_client_can_learn_limits_and_tasks(running: RunningService) -> None:
    info = running.service.info()
    assert info.max_items == running.service.config.max_items
    assert info.tasks["counting"] == "count" and info.tasks["rlhf"] == "model" and info.tasks["crash"] == "function"
    assert "rlhf" in info.prompts and "brevity" in info.prompts and "counting" not in info.prompts


def test_the_prompt_of_an_item_is_the_sample_that_the_model_sees(running: RunningService) -> None:
    seen: list[Sample] = []

    class Look:
        def score(self, samples: list[Sample], completions: list[str]) -> list[float]:
            seen.extend(samples)
            return [0.5] * len(samples)

    batcher = running.service._batchers["rlhf"]
    before, batcher.model = batcher.model, Look()  # type: ignore[assignment]
    try:
        score(running, [asked("x", id="q", media={"a": {"data": "AAEC", "width": 1}})])
    finally:
        batcher.model = before
    assert seen[0].messages == (Message("user", (Part("text", "Why?"),)),)
    assert (seen[0].id, seen[0].task, seen[0].media["a"].data) == ("q", "rlhf", b"\x00\x01\x02")
