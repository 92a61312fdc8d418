"""The client against a real service behind a bad line."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.reward import RewardRouter, check_golden
from mimovl.reward.client import AsyncRemoteRewards, RemoteRewards, ServiceUnavailableError
from mimovl.reward.retry import RetryPolicy
from mimovl.types import Completion, Gold, Media, Message, Outcome, Part, Sample, Verdict
from tests.reward.running import PATIENCE, RunningService, drop, slow, status

QUICK = RetryPolicy(timeout=PATIENCE, first_pause=0.01, longest_pause=0.05, hedge_seconds=PATIENCE)


@pytest.fixture
def rewards(running: RunningService) -> Iterator[RemoteRewards]:
    running.flaky.faults.clear()
    running.flaky.request_ids.clear()
    with RemoteRewards(running.url, policy=QUICK, batch=16) as client:
        yield client
    assert not running.flaky.faults


def counting(n: int) -> tuple[Sample, str]:
    """A sample and a completion, right for even numbers."""
    return Sample(f"q-{n}", (), task="counting", gold=Gold("count", n - n % 2)), str(n)


def many(rewards: RemoteRewards, count: int) -> list[float]:
    samples, texts = zip(*map(counting, range(count)), strict=True)
    return [verdict.score for verdict in rewards.score_many(samples, texts)]


def right(count: int) -> list[float]:
    return [float(n % 2 == 0) for n in range(count)]


def test_it_answers_as_the_router_in_this_process(rewards: RemoteRewards) -> None:
    pairs: list[tuple[Sample, Completion | str]] = [
        (Sample("a", (), task="grounding", gold=Gold("box", [0, 0, 10, 10])), "[0,0,10,5]"),
        (Sample("b", (), task="ocr", gold=Gold("text", "héllo")), "hallo"),
        (Sample("c", (), task="counting", gold=Gold("count", 3)), Completion("3", "length")),
        (Sample("d", (), task="x", gold=Gold("math", r"\frac12", {"tolerance": 0.1})), r"\boxed{0.55}"),
        (Sample("e", (), task="caption", gold=Gold("text", "red circle", {"metric": "f1"})), Completion("red", "stop")),
    ]
    samples, texts = zip(*pairs, strict=True)
    assert rewards.score_many(samples, texts) == RewardRouter().score_many(samples, texts)
    assert rewards.score(*pairs[0]) == RewardRouter().score(*pairs[0])
    assert rewards.score_many([], []) == []


def test_large_batches_are_split_and_come_back_in_order(rewards: RemoteRewards, running: RunningService) -> None:
    random.seed(0)
    running.flaky.faults.extend(slow(random.random() / 10) for _ in range(20))
    assert many(rewards, 16 * 19 + 7) == right(16 * 19 + 7)
    assert len(running.flaky.request_ids) == 20 and len(set(running.flaky.request_ids)) == 20


@pytest.mark.parametrize("fault", [status(503), status(500), status(502), status(429), drop()])
def test_a_request_that_fails_is_sent_again_under_the_same_id(
    rewards: RemoteRewards, running: RunningService, fault: object
) -> None:
    running.flaky.faults.extend([fault, fault])  # type: ignore[list-item]
    assert many(rewards, 10) == right(10)
    assert len(running.flaky.request_ids) == 3 and len(set(running.flaky.request_ids)) == 1


def test_it_waits_as_long_as_the_service_asks(rewards: RemoteRewards, running: RunningService) -> None:
    running.flaky.faults.append(status(429, Retry_After="1"))
    started = time.monotonic()
    assert many(rewards, 3) == right(3)
    assert time.monotonic() - started >= 1.0


def test_a_full_queue_is_waited_out(rewards: RemoteRewards, running: RunningService) -> None:
    """Eight batches of 16 against a queue that holds two: real refusals with 429."""
    with running.changed(max_queued_items=32):
        assert many(rewards, 128) == right(128)


def test_a_slow_request_is_sent_a_second_time_and_graded_once(running: RunningService, tmp_path: Path) -> None:
    running.flaky.request_ids.clear()
    running.flaky.faults.append(slow(60.0))
    with RemoteRewards(running.url, policy=RetryPolicy(hedge_seconds=0.1)) as rewards:
        started = time.monotonic()
        verdict = rewards.score(Sample("a", (), task="note"), str(tmp_path / "notes"))
        assert time.monotonic() - started < 50
    assert verdict.rule == "noted" and (tmp_path / "notes").read_text() == "graded\n"
    assert len(running.flaky.request_ids) == 2 and len(set(running.flaky.request_ids)) == 1


def test_an_answer_that_was_lost_is_not_worked_out_again(
    rewards: RemoteRewards, running: RunningService, tmp_path: Path
) -> None:
    """The service grades, its answer is late, and the client has given up: the retry is answered from memory."""
    policy = RetryPolicy(attempt_seconds=0.3, hedge_seconds=60.0, first_pause=0.01)
    sample = Sample("a", (), task="note")
    with RemoteRewards(running.url, policy=policy) as impatient:
        impatient.score(*counting(2))
        samples = [sample, Sample("b", (), task="wait")]
        assert [one.rule for one in impatient.score_many(samples, [str(tmp_path / "n"), "1"])] == ["noted", "waited"]
    assert (tmp_path / "n").read_text() == "graded\n"


def test_a_batch_over_the_limit_is_halved(rewards: RemoteRewards, running: RunningService) -> None:
    many(rewards, 1)  # has learnt the limits of before
    with running.changed(max_items=5):
        assert many(rewards, 16) == right(16)
    with running.changed(max_body_bytes=600):
        assert many(rewards, 16) == right(16)


def test_limits_that_are_known_are_kept(running: RunningService) -> None:
    running.flaky.request_ids.clear()
    with running.changed(max_items=5, max_body_bytes=400), RemoteRewards(running.url) as rewards:
        assert many(rewards, 12) == right(12)
        with pytest.raises(DataError, match=r"sample 'big': .* takes [45]\d\d bytes, and the service takes at most"):
            rewards.score(Sample("big", (), task="counting", gold=Gold("count", 3)), "3" + " " * 400)
    assert len(running.flaky.request_ids) >= 3


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (Sample("q-7", (), task="counting", gold=Gold("count", "many")), "sample 'q-7' .*field gold.answer: .*'many'"),
        (Sample("q-7", (), task="counting", gold=Gold("cuont", 3)), "sample 'q-7' .*field gold.kind: unknown kind"),
        (Sample("q-7", (), task="counting"), "sample 'q-7' of task 'counting', field gold"),
        (Sample("q-7", (), task="x", gold=Gold("box", {1, 2})), "sample 'q-7' of task 'x', field gold: it cannot"),
        (Sample("q-7", (), task="x", gold=Gold("span", [0, float("nan")])), "'q-7' .* field gold: it cannot be sent"),
        (Sample("q-7", (), task="rlhf"), "sample 'q-7' of task 'rlhf', field messages"),
    ],
)
def test_a_sample_at_fault_is_an_error_as_in_this_process(
    rewards: RemoteRewards, running: RunningService, sample: Sample, message: str
) -> None:
    good, text = counting(2)
    with pytest.raises(DataError, match=message):
        rewards.score_many([good, sample], [text, "3"])
    assert len(running.flaky.request_ids) <= 1, "asking again would not help"


def test_golden_answers_can_be_checked_over_the_line(rewards: RemoteRewards) -> None:
    samples = [Sample(f"s{n}", (), task="grounding", gold=Gold("box", [n, 0, n + 5, 9])) for n in range(40)]
    assert check_golden(samples, rewards) == 40
    with pytest.raises(DataError, match="'bad' of task 'x', field gold.answer: its own gold answer .* earns 0.000"):
        check_golden([*samples, Sample("bad", (), task="x", gold=Gold("text", "<think>red"))], rewards)


def test_prompts_and_pictures_go_only_where_they_are_needed(rewards: RemoteRewards) -> None:
    messages = (Message("user", (Part("image", media="a"), Part("text", "Why?"))),)
    media = {"a": Media("ab", "image", b"\x00\x01\x02", 1, 1)}
    assert rewards.score(Sample("a", messages, media, task="prompt_length"), "x").answer == "4 3"
    assert rewards.score(Sample("a", messages, media, task="rlhf"), "abc").score == 0.25
    huge = {"a": Media("ab", "image", bytes(40 << 20), 1, 1)}
    big = Sample("a", messages, huge, task="counting", gold=Gold("count", 3))
    assert rewards.score(big, "3").score == 1.0


def test_poison_is_a_verdict_and_no_error(rewards: RemoteRewards) -> None:
    samples = [Sample("a", (), task="crash"), counting(2)[0], Sample("c", (), task="leave")]
    found = rewards.score_many(samples, ["x", "2", "x"])
    assert [verdict.outcome for verdict in found] == [Outcome.NOT_GRADED, Outcome.CORRECT, Outcome.NOT_GRADED]


def test_where_nobody_listens_it_gives_up_in_time_and_says_whom_it_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    policy = RetryPolicy(timeout=0.5, first_pause=0.01, longest_pause=0.1)
    with RemoteRewards(f"http://127.0.0.1:{port}", policy=policy) as rewards:
        started = time.monotonic()
        with pytest.raises(ServiceUnavailableError, match=rf":{port}: no rewards within 0.5 s after \d+ tries"):
            rewards.score(*counting(2))
        assert time.monotonic() - started < 60


def test_tries_go_round_several_addresses(running: RunningService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
    for urls in (f"{dead}, {running.url}", [dead, running.url]):
        with RemoteRewards(urls, policy=QUICK) as rewards:
            assert many(rewards, 40) == right(40)


@pytest.mark.parametrize(
    ("urls", "message"),
    [("", "no address of a reward service"), ("localhost:8000", "localhost:8000: the address .* begins with http")],
)
def test_an_address_that_is_none_is_refused(urls: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RemoteRewards(urls)


def test_something_else_at_the_address_is_named(running: RunningService) -> None:
    with RemoteRewards(running.url + "/docs", policy=QUICK) as rewards:
        with pytest.raises(UsageError, match="/docs/v1/info answered 404"):
            rewards.score(*counting(2))


def test_it_may_be_used_from_several_threads(rewards: RemoteRewards) -> None:
    found: list[list[float]] = []
    threads = [threading.Thread(target=lambda: found.append(many(rewards, 50))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == [right(50)] * 6


def test_it_may_be_pickled_and_used_after_a_fork(rewards: RemoteRewards) -> None:
    assert many(rewards, 3) == right(3)
    with pickle.loads(pickle.dumps(rewards)) as copy:
        assert many(copy, 3) == right(3)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=lambda: queue.put(many(rewards, 4)))
    child.start()
    assert queue.get(timeout=120) == right(4)
    child.join(60)
    assert many(rewards, 3) == right(3)


def test_it_opens_again_after_it_was_closed(rewards: RemoteRewards) -> None:
    assert many(rewards, 2) == right(2)
    rewards.close()
    rewards.close()
    assert many(rewards, 2) == right(2)


def test_asynchronous_callers_have_their_own(running: RunningService) -> None:
    async def story() -> tuple[Verdict, list[list[Verdict]]]:
        async with AsyncRemoteRewards(running.url) as client:
            one = await client.score(*counting(2))
            groups = await asyncio.gather(*(client.score_many([counting(n)[0]] * 3, [str(n)] * 3) for n in range(5)))
            return one, groups

    one, groups = asyncio.run(story())
    assert one.score == 1.0
    assert [[verdict.score for verdict in group] for group in groups] == [[float(n % 2 == 0)] * 3 for n in range(5)]


def test_the_token_goes_along(running: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.reward.test_gate import gate

    monkeypatch.setattr(gate(running), "_token", b"hush")
    with RemoteRewards(running.url, token="hush") as rewards:
        assert many(rewards, 2) == right(2)
    with RemoteRewards(running.url, token="wrong") as rewards:
        with pytest.raises(UsageError, match="answered 401: header Authorization"):
            rewards.score(*counting(2))
    monkeypatch.setenv("MIMOVL_REWARD_TOKEN", "hush")
    with RemoteRewards(running.url) as rewards:
        assert many(rewards, 2) == right(2)


def test_without_the_extra_the_line_to_install_it_is_said() -> None:
    code = "import sys\nsys.modules['httpx'] = None\nfrom mimovl.reward.client import RemoteRewards\nRemoteRewards('http://x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "run: pip install 'mimovl[client]'" in done.stderr
