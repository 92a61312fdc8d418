"""Answers of models, kept on disk under what was asked, so that nothing is asked twice.

    FOLDER/ab/cd/abcd….json    one answer; the name is the hash of model, prompt, pictures and sampling

One file an answer: workers, also of several machines on a shared disk, need no lock; a file appears whole; one that
cannot be read (a disk was full) is asked again. Asking goes in batches; each is on disk before the next begins.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mimovl.errors import DataError, MimovlError, UsageError
from mimovl.types import Completion, Generate, Request

__all__ = ["AnswerStore", "Asker", "request_key"]

_LONGEST_WAIT = 60.0


def request_key(request: Request, model: str) -> str:
    """A hash of all that an answer depends on: the model's name, texts, pictures by content, sampling, thinking.

    The sample's id is no part of it: the same picture with the same text is asked once.
    """
    sample = request.sample
    parts = [
        [message.role, [[part.type, part.text, _media_key(request, part.media)] for part in message.content]]
        for message in sample.messages
    ]
    what = [model, parts, repr(request.sampling), request.thinking]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _media_key(request: Request, name: str) -> list[object]:
    if not name:
        return []
    media = request.sample.media[name]
    return [media.sha256 or hashlib.sha256(media.data).hexdigest(), media.fps]


class AnswerStore:
    """The files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Completion | None:
        """The answer kept under a key, if it is there and whole."""
        try:
            text, reason = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return Completion(text, reason) if isinstance(text, str) and reason in ("stop", "length") else None

    def put(self, key: str, answer: Completion) -> None:
        """Keep an answer; it appears whole or not at all."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        # JSON escapes whatever UTF-8 cannot hold: a byte-level tokenizer may emit a lone surrogate
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps([answer.text, answer.finish_reason]), encoding="utf-8")
        os.replace(temporary, path)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:4] / f"{key}.json"


class Asker:
    """A model with a memory.

    Args:
        model: it.
        name: how it is called in the recipe, for errors and keys.
        store: where answers are kept.
        batch: requests handed over at once.
        retries: how often a failed call is tried again, each wait twice the one before.
        wait: seconds before the first.
        sleep: waits; tests give their own.
    """

    def __init__(
        self,
        model: Generate,
        name: str,
        store: AnswerStore,
        *,
        batch: int = 32,
        retries: int = 3,
        wait: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.model = model
        self.name = name
        self.store = store
        self.batch = batch
        self.retries = retries
        self.wait = wait
        self.sleep = sleep
        # a model that can say what it is (its checkpoint's content) is not mistaken for another of the same name
        self._identity = json.dumps([name, str(getattr(model, "fingerprint", ""))])

    def ask(self, requests: Sequence[Request]) -> list[Completion | None]:
        """One answer to each request, from the store where it is there; None where the model failed on it alone.

        Raises:
            DataError: the model failed again and again, on every request of a batch.
            UsageError: it gave another number of answers than requests.
        """
        keys = [request_key(request, self._identity) for request in requests]
        found: dict[str, Completion | None] = {}
        waiting: dict[str, Request] = {}
        for key, request in zip(keys, requests, strict=True):
            if key not in found and key not in waiting:
                if (kept := self.store.get(key)) is not None:
                    found[key] = kept
                else:
                    waiting[key] = request
        rest = list(waiting.items())
        for start in range(0, len(rest), self.batch):
            found.update(self._ask(rest[start : start + self.batch]))
        return [found[key] for key in keys]

    def _ask(self, batch: Sequence[tuple[str, Request]]) -> dict[str, Completion | None]:
        """A batch; request by request when it fails as a whole, so that one that cannot be answered stops no other."""
        try:
            return self._try(batch)
        except _Failed as failure:
            error = failure.error
        found: dict[str, Completion | None] = {}
        if len(batch) > 1:
            for key, request in batch:
                try:
                    found.update(self._try([(key, request)], retries=0))
                except _Failed as failure:
                    found[key], error = None, failure.error
        if any(found.values()):
            return found
        raise DataError(
            f"model {self.name} failed {self.retries + 1} times on {len(batch)} requests, the first of sample "
            f"{batch[0][1].sample.id!r}: {type(error).__name__}: {str(error)[:300]}; mend it and run again, answers so "
            "far are kept"
        ) from error

    def _try(self, batch: Sequence[tuple[str, Request]], retries: int | None = None) -> dict[str, Completion | None]:
        retries = self.retries if retries is None else retries
        for attempt in range(retries + 1):
            try:
                groups = self.model.generate([request for _, request in batch])
                break
            except MimovlError:
                raise  # the user's to mend: another try gives the same
            except Exception as error:
                if attempt == retries:
                    raise _Failed(error) from error
                self.sleep(min(self.wait * 2.0**attempt, _LONGEST_WAIT))
        if [len(group) for group in groups] != [1] * len(batch):
            raise UsageError(
                f"model {self.name} gave {[len(group) for group in groups][:10]} answers, asked was one to each of "
                f"{len(batch)} requests"
            )
        answers: dict[str, Completion | None] = {}
        for (key, _), (answer,) in zip(batch, groups, strict=True):
            if answer.finish_reason == "cancelled":
                answers[key] = None
            else:
                self.store.put(key, answer)
                answers[key] = answer
        return answers


class _Failed(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
