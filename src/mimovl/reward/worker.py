"""A worker of the reward service: grades items, a line of JSON each, until its connection ends or an item ends it.

    → [id, task, [kind, answer, options] or null, completion, cut, prompt or null]
    ← ["verdict", score, outcome, answer, rule]     decided
    ← ["open", given, gold, reason]                 left for Math-Verify, which the service asks
    ← ["refused", message]                          the item is at fault: its gold, its options
    ← ["failed", message]                           a reward function raised

An item may do anything: crash the process, eat memory, never return. Memory has a limit; a loop ends when the kernel's
timer of the worker's own CPU seconds fires, for which there is no handler, so that even C code is ended; a sleep is
ended by the pool's clock. The pool sees the connection end and knows which item it was.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mimovl.errors import DataError
from mimovl.reward.router import RewardRouter
from mimovl.reward.schema import RewardItem, media_of, messages_of
from mimovl.types import Completion, Gold, Outcome, Sample, Verdict

__all__ = ["OUT_OF_MEMORY", "WorkerLimits", "read_result", "wire", "work"]

OUT_OF_MEMORY = 77
"""Exit status of a worker that met its memory limit."""

MAX_ANSWER_CHARS = 4000


@dataclass(frozen=True)
class WorkerLimits:
    """What one item, and one worker, may take."""

    cpu_seconds: float
    memory_mb: int


def wire(item: RewardItem, id: str, gold: Gold | None, *, prompt: bool) -> bytes:
    """An item as a line for a worker; with its messages and media only if ``prompt``."""
    return (
        json.dumps(
            [
                id,
                item.task,
                None if gold is None else [gold.kind, gold.answer, dict(gold.options)],
                item.completion,
                item.finish_reason == "length",
                item.model_dump(include={"messages", "media"}) if prompt else None,
            ]
        ).encode()
        + b"\n"
    )


def grade_line(line: bytes, router: RewardRouter) -> list[Any]:
    """The reply to a line.

    Raises:
        MemoryError: there was not enough; the worker must be replaced.
    """
    id, task, gold, text, cut, prompt = json.loads(line)
    try:
        sample = _sample(id, task, gold, prompt)
        started = router.start(sample, Completion(text, "length" if cut else "stop"))
    except DataError as error:
        return ["refused", str(error)]
    except MemoryError:
        raise
    except Exception as error:  # a reward function of the user's: its failure is the item's reason, not ours
        return ["failed", f"the reward of task {task!r} raised {type(error).__name__}: {error}"[:MAX_ANSWER_CHARS]]
    if isinstance(started, Verdict):
        answer, rule = (str(text)[:MAX_ANSWER_CHARS] for text in (started.answer, started.rule))
        return ["verdict", float(started.score), str(started.outcome), answer, rule]
    assert started.pending is not None, "models live in the service, not in its workers"
    return ["open", *started.pending]


def read_result(reply: list[Any]) -> tuple[str, Any]:
    """("verdict", Verdict), or the reply's kind with its rest."""
    kind, *rest = reply
    if kind != "verdict":
        return kind, rest
    score, outcome, answer, rule = rest
    return kind, Verdict(score, Outcome(outcome), answer, rule)


def _sample(id: str, task: str, gold: list[Any] | None, prompt: Mapping[str, Any] | None) -> Sample:
    item = None if prompt is None else RewardItem.model_validate({"task": task, "completion": "", **prompt})
    try:
        media = {} if item is None else media_of(item)
    except DataError as error:
        raise DataError(f"sample {id!r} of task {task!r}, {error}") from error
    return Sample(
        id=id,
        messages=() if item is None else messages_of(item),
        media=media,
        task=task,
        gold=None if gold is None else Gold(*gold),
    )


def work(connection: socket.socket, router: RewardRouter, limits: WorkerLimits) -> int:
    """Grade until the connection ends; the process's exit status."""
    _limit_memory(limits.memory_mb)
    with connection, connection.makefile("rb", buffering=1 << 20) as lines:
        for line in lines:
            signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
            try:
                reply = grade_line(line, router)
                data = json.dumps(reply).encode() + b"\n"
            except MemoryError:
                return OUT_OF_MEMORY
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            try:
                connection.sendall(data)
            except OSError:  # the service is gone
                return 0
    return 0


def _limit_memory(megabytes: int) -> None:
    """Allow so much beyond what is mapped now, which for torch's libraries alone is gigabytes."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = mapped + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):  # not Linux: the system's own limits hold
        return
