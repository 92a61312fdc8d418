"""A group of rollouts as a line of JSON, for people to read: rollouts.jsonl, and the examples of an alert."""

from __future__ import annotations

from typing import Any

from mimovl.types import RolloutGroup

__all__ = ["rollout_record"]


def rollout_record(step: int, group: RolloutGroup) -> dict[str, Any]:
    """Prompt, names of its pictures, gold answer, and every completion with its reward, advantage and outcome."""
    sample, gold = group.request.sample, group.request.sample.gold
    return {
        "step": step,
        "task": sample.task,
        "sample_id": sample.id,
        "prompt": sample.messages[-1].text + (" /no_think" if group.request.thinking is False else ""),
        "media": list(sample.media),
        "gold": gold and {"kind": gold.kind, "answer": gold.answer, "options": dict(gold.options)},
        "completions": [
            {
                "text": rollout.completion.text,
                "reward": rollout.reward,
                "advantage": rollout.advantage,
                "outcome": rollout.verdict.outcome.value,
            }
            for rollout in group.rollouts
        ],
    }
