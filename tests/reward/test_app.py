"""The service over HTTP: what is documented, answered and refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mimovl.reward.app import as_refusal
from tests.reward import running as patient
from tests.reward.running import RunningService


def post(running: RunningService, body: Any = None, **arguments: Any) -> httpx.Response:
    if body is not None:
        arguments["json"] = body
    return patient.post(running.url + "/v1/rewards", **arguments)


def items(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(entries)}


GOOD = {"task": "counting", "completion": "<think>1, 2, 3</think>There are 3.", "gold": 3}


def test_rewards_come_in_order_with_score_outcome_and_detail(running: RunningService) -> None:
    response = post(
        running,
        items(
            GOOD,
            {"task": "grounding", "completion": "[0,0,10,5]", "gold": [0, 0, 10, 10]},
            {"task": "math", "completion": "<think>", "gold": "1"},
            {"task": "crash", "completion": "x"},
            {"task": "x", "completion": "B", "gold": {"kind": "choice", "answer": "B"}},
        ),
    )
    assert response.status_code == 200
    rewards = response.json()["rewards"]
    assert [(one["score"], one["outcome"]) for one in rewards] == [
        (1.0, "CORRECT"),
        (0.75, "CORRECT"),
        (0.0, "TRUNCATED"),
        (0.0, "NOT_GRADED"),
        (1.0, "CORRECT"),
    ]
    assert rewards[3]["detail"] == "ended 3 workers (SIGSEGV)"
    assert all(set(one) == {"score", "outcome", "detail", "answer"} for one in rewards)


def test_no_items_are_no_rewards(running: RunningService) -> None:
    assert post(running, items()).json() == {"rewards": []}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{", "body: not JSON (Expecting property name enclosed in double quotes at character 1)"),
        (b"", "body: missing; send JSON with Content-Type: application/json"),
        (b"[]", "body: Input should be a valid dictionary"),
        (b"{}", "items: the field is missing"),
        (b'{"item": []}', "item: unknown field; did you mean 'items'?; known: items"),
        (b'{"items": {}}', "items: Input should be a valid list"),
        (b'{"items": [3]}', "items[0]: Input should be a valid dictionary"),
        (b'{"items": [{"task": "count", "gold": 3}]}', "items[0].completion: the field is missing"),
        (b'{"items": [{"task": "count", "completion": null}]}', "items[0].completion: Input should be a valid string"),
        (
            b'{"items": [{"task": "count", "completion": "3", "optoins": {}}]}',
            "items[0].optoins: unknown field; did you mean 'options'?",
        ),
        (
            b'{"items": [{"task": "x", "completion": "", "messages": [{"role": "robot", "content": ""}]}]}',
            "items[0].messages[0].role: Input should be 'system', 'user' or 'assistant'",
        ),
    ],
)
def test_a_malformed_request_is_refused_with_place_and_field(running: RunningService, body: bytes, detail: str) -> None:
    response = post(running, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert detail in response.json()["detail"], response.json()["detail"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"items": ' + b"9" * 10_000 + b"}", b"\xff\xfe", b"\x00"])
def test_bytes_that_break_parsers_are_refused(running: RunningService, body: bytes) -> None:
    response = post(running, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422) and response.json()["detail"]
    assert post(running, items(GOOD)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (rb'{"items": [{"task": "text", "completion": "\ud800 red", "gold": "red"}]}', 200),
        (rb'{"items": [{"task": "explode", "completion": "\ud800"}]}', 200),
        (rb'{"items": [{"task": "\ud800", "completion": "red", "gold": "red"}]}', 422),
        (rb'{"items": [{"task": "text", "completion": "red", "gold": "red", "\ud800": 1}]}', 422),
        (rb'{"items": [{"task": "count", "completion": "red", "gold": "\ud800"}]}', 422),
    ],
)
def test_lone_surrogates_anywhere_are_answered(running: RunningService, body: bytes, status: int) -> None:
    response = post(running, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    answered = response.json()
    assert answered["rewards"] if status == 200 else answered["detail"]


def test_an_unknown_task_and_a_rejected_gold_name_sample_and_field(running: RunningService) -> None:
    response = post(running, items(GOOD, {"id": "q-7", "task": "countin", "completion": "3", "gold": 3}))
    assert response.status_code == 422
    assert "sample 'q-7' of task 'countin', field task: unknown task 'countin'" in response.json()["detail"]
    assert response.json()["items"][0]["index"] == 1
    response = post(running, items({"id": "q-8", "task": "grounding", "completion": "x", "gold": [1, 2]}))
    assert response.status_code == 422 and "sample 'q-8' of task 'grounding', field gold.answer" in response.text


def test_a_full_queue_answers_with_retry_after(running: RunningService) -> None:
    with running.changed(max_queued_items=1):
        running.service.queued += 1  # an item of another request waits
        try:
            response = post(running, items(GOOD))
        finally:
            running.service.queued -= 1
    assert response.status_code == 429 and int(response.headers["Retry-After"]) >= 1


def test_a_request_id_answers_from_memory(running: RunningService, tmp_path: Any) -> None:
    body = items({"task": "note", "completion": str(tmp_path / "notes")})
    for _ in range(3):
        assert post(running, body, headers={"X-Request-ID": "app-1"}).status_code == 200
    assert (tmp_path / "notes").read_text() == "graded\n"
    assert post(running, items(GOOD), headers={"X-Request-ID": "app-1"}).status_code == 409


def test_every_route_and_refusal_is_documented(running: RunningService) -> None:
    document = patient.get(running.url + "/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/rewards", "/v1/openrlhf", "/v1/info", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    rewards = document["paths"]["/v1/rewards"]["post"]
    assert set(rewards["responses"]) == {"200", "401", "408", "409", "413", "422", "429", "503", "504"}
    assert {parameter["name"] for parameter in rewards["parameters"]} == {"x-request-id"}
    schemas = document["components"]["schemas"]
    assert {"RewardRequest", "RewardItem", "RewardResponse", "Reward", "Problem"} <= set(schemas)
    assert schemas["RewardItem"]["required"] == ["task", "completion"]
    assert all("description" in entry for entry in schemas["Reward"]["properties"].values() if "$ref" not in entry)


def test_openrlhf_gets_its_own_words(running: RunningService) -> None:
    request = {
        "query": ["<s>How many?3</s>", "How many?4"],
        "prompts": ["How many?", "How many?"],
        "labels": ['{"task": "counting", "gold": 3}'] * 2,
    }
    response = patient.post(running.url + "/v1/openrlhf", json=request)
    assert response.json() == {"rewards": [1.0, 0.0], "scores": [1.0, 0.0], "extra_logs": {"not_graded": [0.0, 0.0]}}
    response = patient.post(running.url + "/v1/openrlhf", json={**request, "labels": ["x"]})
    assert response.status_code == 422 and "2 query, 2 prompts and 1 labels" in response.json()["detail"]


def test_many_problems_are_summed_up() -> None:
    errors = [{"type": "missing", "loc": ("body", "items", n, "task"), "msg": ""} for n in range(9)]
    refusal = as_refusal(errors)
    assert refusal.detail.count("the field is missing") == 5 and refusal.detail.endswith("; and 4 more")
    assert [item.index for item in refusal.items] == [0, 1, 2, 3, 4]
