"""The rollout queue of a step in plain values, so that a killed run goes on in the middle of it.

Kept are the groups that have finished, with their rewards or still waiting for them, and the numbers of those that were
running. A running group is sampled again from its seed, which gives the same answers; a pending reward is asked for
again; random states are the seeds of the draws, functions of their numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mimovl.rl.ledger import Entry
from mimovl.types import Completion, Outcome, Request, Verdict

__all__ = ["KnownGroup", "load_queue", "restore_groups", "save_groups", "save_queue"]


@dataclass(frozen=True, slots=True)
class KnownGroup:
    """A group that had finished before the process ended."""

    asked: list[Any]
    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...] | None

    def answers(self, request: Request) -> bool:
        """Whether it is what this request would bring."""
        return self.asked == _asked(request)


def save_groups(first: int, version: int, entries: Iterable[Entry]) -> dict[str, Any]:
    """The queue of a step as plain values.

    Args:
        first: number of the step's first prompt.
        version: of the policy.
        entries: in the order they were started. Groups dropped for a fault are tried again after a resumption.
    """
    finished, running = [], []
    for entry in entries:
        if entry.completions is None or entry.failure:
            running.append(entry.number)
            continue
        verdicts = entry.verdicts and [
            [verdict.score, verdict.outcome.value, verdict.answer, verdict.rule] for verdict in entry.verdicts
        ]
        completions = [
            [completion.text, completion.finish_reason, list(completion.tokens), list(completion.logprobs)]
            for completion in entry.completions
        ]
        finished.append([entry.number, _asked(entry.request), completions, verdicts])
    return {"first": first, "version": version, "finished": finished, "running": running}


def restore_groups(state: Mapping[str, Any] | None) -> dict[int, KnownGroup]:
    """The finished groups of a queue, by number."""
    return {
        number: KnownGroup(
            asked,
            tuple(
                Completion(text, reason, tuple(tokens), tuple(logprobs))
                for text, reason, tokens, logprobs in completions
            ),
            verdicts
            and tuple(Verdict(score, Outcome(outcome), answer, rule) for score, outcome, answer, rule in verdicts),
        )
        for number, asked, completions, verdicts in (state or {}).get("finished", ())
    }


def save_queue(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the queue's file; a kill at any moment leaves the old one or the new one.

    The queue only saves work: on a disk that refuses it, the old one stays and the step goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError):  # torch's word for a full disk
        partial.unlink(missing_ok=True)
        return
    partial.replace(path)


def load_queue(path: Path, *, first: int, version: int) -> dict[str, Any] | None:
    """The queue, if it is that of this very step; it only saves work, so one that cannot be read is done without."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        return state if (state["first"], state["version"]) == (first, version) else None
    except Exception:  # torch raises many kinds
        return None


def _asked(request: Request) -> list[Any]:
    sampling = request.sampling
    return [
        request.sample.id,
        request.num_samples,
        request.thinking,
        [sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens, sampling.seed],
    ]
