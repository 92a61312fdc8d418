"""Rollouts by vLLM servers, behind the protocol of the embedded engine (``backend.py``).

    VLLM_SERVER_DEV_MODE=1 vllm serve CHECKPOINT --served-model-name policy --logprobs-mode processed_logprobs
    VLLMEngine(["http://127.0.0.1:8000", …], processor, folder=out / "policy")

After an update the parameters are written to ``folder`` as a checkpoint and every server reloads them and forgets what
it had cached; ``folder`` must be the same path for all of them. Visual tokens are forbidden as in the embedded engine,
and an answer counts only if the server read the very prompt tokens that the update will compute. A server that fails
is left out, its groups are asked of others, and it comes back with the current parameters once it answers again.

Log-probabilities are those of another program: equal to 1e-6 in float32 on the CPU, not to the bit.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import shutil
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimovl.data import Processor
from mimovl.data.chat_template import ask_without_thinking
from mimovl.errors import DataError, UsageError
from mimovl.generate.admission import check_request
from mimovl.generate.prefill import encode_request
from mimovl.generate.sequence import Finished, RequestError, until_stop
from mimovl.model import VisionLanguageModel, save_checkpoint
from mimovl.types import Completion, Media, Request

__all__ = ["VLLMEngine"]

MOMENT = 0.05
"""Longest wait of a step."""
CACHES = ("/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache")
"""What a server has computed with older parameters."""


@dataclass(slots=True, eq=False)
class _Server:
    url: str
    version: int = -1
    """Of the parameters it holds; -1 if that is not known."""
    load: int = 0
    down_until: float = 0.0
    last_error: str = ""


@dataclass(slots=True, eq=False)
class _Job:
    ticket: int
    request: Request
    tries: int = 0
    connection: http.client.HTTPConnection | None = None
    cancelled: bool = False
    errors: list[str] = field(default_factory=list)


class VLLMEngine:
    """Answers requests on one or several vLLM servers.

    Args:
        urls: their addresses.
        processor: of the checkpoint that they serve.
        folder: where parameters are written for them; replaced at every refresh.
        slots: samples asked for at once, of all servers together.
        model: the name under which they serve it.
        seconds: for one group; then its try counts as failed.
        tries: of a group, each on another server where there is one.
        patience: seconds to go on without any server that answers.
        pause: seconds for which a server that failed is left out.

    Raises:
        UsageError: no address, or one that is not http://….
    """

    def __init__(
        self,
        urls: Sequence[str],
        processor: Processor,
        *,
        folder: Path,
        slots: int = 128,
        model: str = "policy",
        seconds: float = 1800.0,
        tries: int = 3,
        patience: float = 300.0,
        pause: float = 5.0,
    ) -> None:
        if not urls or any(urllib.parse.urlsplit(url).scheme != "http" for url in urls):
            raise UsageError(f"addresses of vLLM servers: {', '.join(urls) or 'none'}; give some like http://HOST:8000")
        self.processor = processor
        self.folder = folder.resolve()
        self.slots = slots
        self.model = model
        self.seconds = seconds
        self.tries = tries
        self.patience = patience
        self.pause = pause
        self.redone = 0
        """Groups asked again because a server failed."""
        self._servers = [_Server(url.rstrip("/")) for url in urls]
        self._bias = {str(token): -100 for token in sorted(processor.config.visual_token_ids)}
        self._stop_ids = [processor.tokenizer.im_end, processor.tokenizer.end_of_text]
        self._version = 0
        self._tickets = 0
        self._jobs: dict[int, _Job] = {}
        self._done: deque[Finished | RequestError | UsageError] = deque()
        self._news = threading.Condition()
        self._pushing = threading.Lock()

    # ------------------------------------------------------------ the protocol

    def submit(self, request: Request) -> int:
        """Take a request; it is asked for at once.

        Raises:
            DataError: its sampling means nothing, it asks for more samples than there are slots, or shows a clip.
        """
        name = f"sample {request.sample.id}"
        request = check_request(request, self.slots, self.processor.tokenizer)
        sampling = request.sampling
        if sampling.temperature not in (0, 1) or sampling.top_p < 1 or sampling.top_k:
            raise DataError(
                f"{name}: temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, top_k {sampling.top_k}: a "
                "vLLM server would tell log-probabilities of another distribution than the policy's own; use "
                "temperature 1, top_p 1 and top_k 0, or the embedded engine"
            )
        if any(media.kind != "image" for media in request.sample.media.values()):
            raise DataError(f"{name}: it shows a clip, and clips are not sent to vLLM; use the embedded engine for it")
        self._tickets += 1
        job = self._jobs[self._tickets] = _Job(self._tickets, request)
        threading.Thread(target=self._answer, args=(job,), name="mimovl-vllm", daemon=True).start()
        return job.ticket

    def step(self) -> list[Finished]:
        """Wait a moment for answers; samples that are done.

        Raises:
            RequestError: a request is given up after its tries.
            UsageError: no server has answered for so long that waiting makes no sense.
        """
        with self._news:
            self._news.wait_for(lambda: self._done, timeout=MOMENT if self._jobs else 0)
            found: list[Finished] = []
            while self._done:
                if isinstance(first := self._done[0], Exception):
                    if found:
                        break
                    self._done.popleft()
                    raise first
                found.append(first)
                self._done.popleft()
            return found

    def cancel(self, ticket: int) -> None:
        """Stop a request: its connection is closed, and the server stops with it."""
        with self._news:
            job = self._jobs.pop(ticket, None)
        if job:
            job.cancelled = True
            _shut(job.connection)

    def refresh(self, model: VisionLanguageModel) -> None:
        """Write the parameters and have every server that answers load them.

        Raises:
            UsageError: none did, within ``patience``.
        """
        self._version += 1
        old, new = self.folder / f"{self._version - 1}", self.folder / f"{self._version}"
        self.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(model, new, side_files=self.processor.files())
        shutil.rmtree(old, ignore_errors=True)
        deadline = time.monotonic() + self.patience
        while not any([self._ready(server) for server in self._servers]):
            if time.monotonic() > deadline:
                raise UsageError(self._nobody())
            time.sleep(min(1.0, self.pause))

    # ------------------------------------------------------------ servers

    def _ready(self, server: _Server) -> bool:
        """Whether a server holds the current parameters, after giving them to it if need be."""
        if time.monotonic() < server.down_until:
            return False
        with self._pushing:
            if server.version == self._version:
                return True
            try:
                path = str(self.folder / f"{self._version}")
                self._post(server, "/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": path}})
                for cache in CACHES:
                    self._post(server, cache, {})
            except (OSError, http.client.HTTPException, _RefusedError) as error:
                self._lost(server, error)
                return False
            server.version = self._version
            return True

    def _lost(self, server: _Server, error: Exception) -> None:
        """Leave a server out for a while; it may come back as another process, with other parameters."""
        server.version = -1
        server.down_until = time.monotonic() + self.pause
        server.last_error = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

    def _nobody(self) -> str:
        stories = "; ".join(f"{server.url} ({server.last_error or 'no answer'})" for server in self._servers)
        return f"no vLLM server answers: {stories}. Start one with VLLM_SERVER_DEV_MODE=1, or correct the addresses"

    def _post(self, server: _Server, path: str, body: Any, job: _Job | None = None) -> Any:
        address = urllib.parse.urlsplit(server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=self.seconds)
        if job:
            job.connection = connection
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise _RefusedError(response.status, f"{server.url}{path} answered {response.status}: {text[:300]!r}")
            return json.loads(text) if text else None
        finally:
            connection.close()

    # ------------------------------------------------------------ one group

    def _answer(self, job: _Job) -> None:
        """The life of a group: asked of one server after another until one answers."""
        result: list[Finished] | RequestError | UsageError
        try:
            expected = encode_request(job.request, self.processor).tokens.tolist()
            result = self._ask(job, self._body(job.request), expected)
        except DataError as error:
            reason = error.reason if isinstance(error, RequestError) else "prompt"
            result = RequestError(str(error), ticket=job.ticket, reason=reason)
        except UsageError as error:
            result = error
        with self._news:
            if self._jobs.pop(job.ticket, None):
                self._done.extend(result if isinstance(result, list) else [result])
                self._news.notify_all()

    def _ask(self, job: _Job, body: dict[str, Any], expected: list[int]) -> list[Finished]:
        while job.tries < self.tries and not job.cancelled:
            server = self._choose(job)
            job.tries += 1
            try:
                return self._read(job, self._post(server, "/v1/chat/completions", body, job), expected)
            except _RefusedError as error:
                if error.status == 400:
                    story = f"sample {job.request.sample.id}: {error}"
                    raise RequestError(story, ticket=job.ticket, reason="prompt") from None
                job.errors.append(str(error))
                self._lost(server, error)
            except RequestError:
                raise
            except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
                job.errors.append(f"{server.url}: {type(error).__name__}: {error}")
                if job.ticket in self._jobs:
                    self._lost(server, error)
            finally:
                server.load -= job.request.num_samples
            self.redone += int(job.ticket in self._jobs)
        story = f"sample {job.request.sample.id}: given up after {job.tries} tries; the last: {job.errors[-1:]}"
        raise RequestError(story, ticket=job.ticket, reason="server")

    def _choose(self, job: _Job) -> _Server:
        """The least loaded server that holds the current parameters; waits for one.

        Raises:
            UsageError: none within ``patience``.
        """
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline and not job.cancelled:
            if ready := [server for server in self._servers if self._ready(server)]:
                with self._news:
                    chosen = min(ready, key=lambda server: server.load)
                    chosen.load += job.request.num_samples
                return chosen
            time.sleep(MOMENT)
        raise UsageError(self._nobody())

    def _body(self, request: Request) -> dict[str, Any]:
        sampling, sample = request.sampling, request.sample
        messages = ask_without_thinking(sample.messages) if request.thinking is False else sample.messages
        return {
            "model": self.model,
            "messages": [
                {
                    "role": message.role,
                    "content": [
                        {"type": "text", "text": part.text}
                        if part.type == "text"
                        else {"type": "image_url", "image_url": {"url": _url(sample.media[part.media])}}
                        for part in message.content
                    ],
                }
                for message in messages
            ],
            "n": request.num_samples if sampling.temperature else 1,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            # vLLM seeds sample i of a request with seed + i: requests must lie further apart than that.
            "seed": sampling.seed * 1_000_003 % 2**62,
            "max_completion_tokens": sampling.max_tokens,
            "stop": list(sampling.stop),
            "stop_token_ids": self._stop_ids,
            "logit_bias": self._bias,
            "logprobs": True,
            "return_token_ids": True,
        }

    def _read(self, job: _Job, answer: Any, expected: list[int]) -> list[Finished]:
        """The samples of an answer.

        Raises:
            RequestError: the server read other prompt tokens than the update will.
            LookupError, ValueError: the answer is not whole.
        """
        read = answer["prompt_token_ids"]
        if read != expected:
            raise RequestError(
                f"sample {job.request.sample.id}: the server read {len(read)} prompt tokens, the update would read "
                f"{len(expected)}, or others; serve the checkpoint whose template and processor are trained",
                ticket=job.ticket,
                reason="prompt",
            )
        choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
        if not job.request.sampling.temperature:
            choices = choices * job.request.num_samples
        if len(choices) != job.request.num_samples:
            raise ValueError(f"{len(choices)} samples came for {job.request.num_samples}")
        return [
            Finished(job.ticket, sample, self._completion(job.request, choice)) for sample, choice in enumerate(choices)
        ]

    def _completion(self, request: Request, choice: Any) -> Completion:
        reasons: dict[str, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}
        reason = reasons[choice["finish_reason"]]
        tokens = tuple(int(token) for token in choice["token_ids"])
        logprobs = tuple(float(one["logprob"]) for one in choice["logprobs"]["content"])
        if len(tokens) != len(logprobs) or not tokens:
            raise ValueError(f"{len(tokens)} tokens came with {len(logprobs)} log-probabilities")
        text = self.processor.tokenizer.decode(list(tokens))
        return Completion(until_stop(text, request.sampling.stop), reason, tokens, logprobs)


class _RefusedError(Exception):
    """A server answered with another status than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _shut(connection: http.client.HTTPConnection | None) -> None:
    """Break a connection that another thread waits on."""
    if connection and connection.sock:
        with suppress(OSError):
            connection.sock.shutdown(2)


def _url(media: Media) -> str:
    """A picture as a data URL."""
    from PIL import Image

    kind = (Image.open(io.BytesIO(media.data)).format or "png").lower()
    return f"data:image/{kind};base64,{base64.b64encode(media.data).decode()}"
