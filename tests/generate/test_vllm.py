from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.generate import Engine, Finished, RequestError
from mimovl.generate.vllm import VLLMEngine
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, train_policy
from mimovl.types import Outcome, Request, Sample, SamplingParams, Verdict
from tests import tiny
from tests.data import small
from tests.generate.vllm_server import VLLMServer, model, processor


def requests(count: int, *, temperature: float = 1.0, samples: int = 4, longest: int = 16) -> list[Request]:
    return [
        Request(sample, SamplingParams(temperature, max_tokens=longest, seed=n), samples, False if n % 2 else None)
        for n, sample in enumerate(tiny.questions("world/counting", count))
    ]


def collect(engine: VLLMEngine, count: int) -> tuple[dict[int, dict[int, Finished]], list[RequestError]]:
    """What comes of so many requests."""
    found: dict[int, dict[int, Finished]] = {}
    errors: list[RequestError] = []
    sizes: dict[int, int] = {}
    deadline = time.monotonic() + 300
    while len(sizes) + len(errors) < count:
        assert time.monotonic() < deadline
        try:
            for done in engine.step():
                found.setdefault(done.ticket, {})[done.sample] = done
                sizes[done.ticket] = len(found[done.ticket])
        except RequestError as error:
            errors.append(error)
    return found, errors


# ---------------------------------------------------------------- servers that fail


class _Failing(BaseHTTPRequestHandler):
    """Takes parameters, and answers groups with what it was told."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/chat/completions":
            self.server.asked += 1
            status, body = self.server.answer
            if status is None:  # hangs up
                self.close_connection = True
                self.connection.shutdown(2)
                return
        else:
            status, body = 200, b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def failing() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Failing)
    server.asked = 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def engine_of(server: ThreadingHTTPServer, folder: Path, **settings) -> VLLMEngine:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    options = {"patience": 20.0, "pause": 0.05, "tries": 2, **settings}
    engine = VLLMEngine([url], tiny.processor(), folder=folder, **options)
    engine.refresh(tiny.model())
    return engine


@pytest.mark.parametrize(
    ("answer", "reason", "asked"),
    [
        ((500, b"engine dead"), "server", 2),
        ((None, b""), "server", 2),
        ((200, b"no json"), "server", 2),
        ((200, b'{"choices": []}'), "server", 2),
        ((200, b'{"choices": [], "prompt_token_ids": [1, 2]}'), "prompt", 1),
        ((400, b"too long"), "prompt", 1),
    ],
    ids=["500", "hangs up", "no json", "no prompt", "other prompt", "400"],
)
def test_a_group_a_server_cannot_answer_is_asked_again_or_given_up_by_rule(
    failing, tmp_path, answer, reason, asked
) -> None:
    failing.answer = answer
    engine = engine_of(failing, tmp_path / "policy")
    ticket = engine.submit(requests(1)[0])
    found, errors = collect(engine, 1)
    assert found == {} and [(error.ticket, error.reason) for error in errors] == [(ticket, reason)]
    assert failing.asked == asked and requests(1)[0].sample.id in str(errors[0])


def test_without_any_server_there_is_one_clear_error(tmp_path: Path) -> None:
    engine = VLLMEngine(["http://127.0.0.1:9"], tiny.processor(), folder=tmp_path / "policy", patience=0.3, pause=0.05)
    with pytest.raises(UsageError, match=r"no vLLM server answers: http://127\.0\.0\.1:9 \(.*refused"):
        engine.refresh(tiny.model())


def test_what_no_server_should_be_asked_is_refused_by_name(failing, tmp_path) -> None:
    failing.answer = (200, b"{}")
    engine = engine_of(failing, tmp_path / "policy", slots=4)
    clip = tiny.samples("world/clip", 1)[0]
    with pytest.raises(DataError, match=f"sample {clip.id}: it shows a clip"):
        engine.submit(Request(clip))
    with pytest.raises(DataError, match="5 samples are asked for, the engine has 4 slots"):
        engine.submit(Request(requests(1)[0].sample, num_samples=5))
    long = Request(Sample("long", (small.user("circle " * 3000),)), SamplingParams(max_tokens=2))
    engine.submit(long)
    _, errors = collect(engine, 1)
    assert errors[0].reason == "prompt" and "2048 positions" in str(errors[0]) and failing.asked == 0
    for urls in ([], ["ftp://somewhere"]):
        with pytest.raises(UsageError, match="addresses of vLLM servers"):
            VLLMEngine(urls, tiny.processor(), folder=tmp_path)


# ---------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[list[VLLMServer]]:
    folder = tmp_path_factory.mktemp("vllm")
    started = [VLLMServer(folder / f"model{n}", folder / f"log{n}") for n in range(2)]
    try:
        yield [server.ready() for server in started]
    finally:
        for server in started:
            server.kill()


@pytest.mark.engines
def test_vllm_writes_the_tokens_of_the_embedded_engine_with_the_parameters_last_pushed(servers, tmp_path) -> None:
    engine = VLLMEngine([server.url for server in servers], processor(), folder=tmp_path / "policy")
    for seed in (3, 4):
        policy = model(seed)
        engine.refresh(policy)
        asked = requests(6, temperature=0.0, samples=2)
        tickets = [engine.submit(request) for request in asked]
        found, errors = collect(engine, 6)
        assert not errors
        for ticket, own in zip(tickets, Engine(policy, processor()).generate(asked), strict=True):
            for sample, expected in enumerate(own):
                got = found[ticket][sample].completion
                assert (got.tokens, got.text, got.finish_reason) == (
                    expected.tokens,
                    expected.text,
                    expected.finish_reason,
                )
                assert got.logprobs == pytest.approx(expected.logprobs, abs=2e-5)


@pytest.mark.engines
def test_sampled_answers_hold_no_visual_token_and_no_two_groups_share_their_draws(servers, tmp_path) -> None:
    engine = VLLMEngine([server.url for server in servers], processor(), folder=tmp_path / "policy")
    engine.refresh(model(3))
    for request in requests(8, samples=8):
        engine.submit(request)
    found, errors = collect(engine, 8)
    answers = [done.completion.tokens for group in found.values() for done in group.values()]
    assert not errors and len(answers) == len(set(answers)) == 64
    assert not set(itertools.chain(*answers)) & set(processor().config.visual_token_ids)


@pytest.mark.engines
def test_training_survives_a_server_killed_in_the_middle_and_its_groups_are_done_again(
    servers, tmp_path, monkeypatch
) -> None:
    """Last of this module, as it leaves one server."""
    policy = model(3)
    rates = {"language": 3e-3}
    config = RLConfig.model_validate(
        {
            **{"tasks": {"counting": 1}, "steps": 3, "groups": 6, "samples": 4, "max_tokens": 24, "min_spread": 0.0},
            **{"slots": 16, "train": list(rates), "learning_rate": rates},
            "rollout": {
                **dict.fromkeys(("continuous", "asynchronous_rewards", "early_termination"), True),
                "servers": [server.url for server in servers],
            },
        }
    )
    rewarded, engines, make = 0, [], VLLMEngine.__init__

    def made(self, *arguments, **settings) -> None:
        engines.append(self)
        make(self, *arguments, **settings)

    monkeypatch.setattr(VLLMEngine, "__init__", made)

    def reward(sample: Sample, text: str) -> Verdict:
        nonlocal rewarded
        rewarded += 1
        if rewarded == 30:
            servers[0].kill()
        return Verdict(len(text) % 7 / 6, Outcome.WRONG)

    train_policy(
        policy, processor(), tiny.questions("world/counting", 8), config, tmp_path / "out",
        router=RewardRouter({"counting": reward}),
    )  # fmt: skip
    from tests.pipeline.micro import lines

    written = lines(tmp_path / "out" / "metrics.jsonl")
    assert [line["groups_kept"] for line in written] == [6, 6, 6]
    assert all(line["logprob_gap"] < 1e-5 and line["dropped"] == {} for line in written)
    assert not (tmp_path / "out" / "policy").exists()
    assert servers[0].process.poll() is not None and engines[0].redone >= 1


@pytest.mark.parametrize("sampling", [{"temperature": 0.6}, {"temperature": 1.0, "top_p": 0.7}, {"top_k": 5}])
def test_log_probabilities_of_another_distribution_are_not_asked_for(tmp_path, sampling) -> None:
    """A server tells those of the tokens as they were drawn, which is the policy only at temperature 1, or greedy."""
    made = VLLMEngine(["http://127.0.0.1:9"], tiny.processor(), folder=tmp_path)
    [one] = requests(1)
    with pytest.raises(DataError, match="log-probabilities of another distribution than the policy's own; use temp"):
        made.submit(replace(one, sampling=SamplingParams(**sampling)))
