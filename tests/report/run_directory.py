"""Writes a run directory as ``mimovl run`` does, with invented figures over real held-out pictures of the world.

Look at its report in a browser:

    PYTHONPATH=src:. python tests/report/run_directory.py runs/pretended
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimovl.curate.world import WorldConfig, build_item, to_questions
from mimovl.evaluate import evaluate
from mimovl.store import DatasetWriter
from mimovl.types import Completion, Gold, Request, Sample
from mimovl.verify import grade

SOURCES = ("caption", "ocr", "grounding", "counting", "attributes", "gui", "clip", "arithmetic", "reasoning")
ALL_SOURCES = (*SOURCES, "interleaved", "text")
STAGES = (
    ("1-projector", ["projector"], {"projector": 2e-3}, 1024, 2.6, 1.35),
    ("2-vision", ["vision", "projector"], {"vision": 4e-4, "projector": 1e-3}, 1024, 1.3, 0.92),
    ("3-everything", ["vision", "projector", "language"], {"vision": 4e-4, "projector": 1e-3, "language": 1e-3}, 1024,
     0.95, 0.48),
    ("4-long-context", ["vision", "projector", "language"], {"vision": 1e-4, "projector": 3e-4, "language": 3e-4}, 4096,
     0.5, 0.37),
)  # fmt: skip
RL_TASKS = ("counting", "grounding", "gui_point", "clip_span", "arithmetic", "visual_reasoning")
REWARD_OPTIONS = {"box": {"metric": "giou"}, "span": {"metric": "iou"}}
RECIPE = """\
name: tiny
purpose: the whole recipe on two CPU cores
stages:
  - {name: projector, train: [projector], steps: %(steps)d, length: 1024, learning_rate: {projector: 2.0e-3}}
  - {name: vision, train: [vision, projector], steps: %(steps)d, length: 1024}
  - {name: everything, train: [vision, projector, language], steps: %(steps)d, length: 1024}
  - {name: long-context, train: [vision, projector, language], steps: %(steps)d, length: 4096}
rl:
  steps: %(steps)d
"""


@dataclass
class Size:
    """How much of everything; small in tests, large to look at."""

    steps: int = 30
    items: int = 6
    heldout_per_task: int = 8


def write_run(path: Path, size: Size = Size(), *, seed: int = 0) -> Path:  # noqa: B008
    """A finished run."""
    rng = random.Random(seed)
    path.mkdir(parents=True, exist_ok=True)
    (path / "recipe.yaml").write_text(RECIPE % {"steps": size.steps})
    questions = write_questions(path / "data" / "heldout", size)
    for number, stage in enumerate(STAGES):
        write_stage(path, stage, size, rng, weight=(1, 2, 5, 2)[number])
    write_rl(path / "5-morl", size, questions, rng)
    for level, name in enumerate([*(stage[0] for stage in STAGES), "5-morl"]):
        evaluate(Pretender(level, seed), questions, None, path / "evaluate" / name)
    write_json(path / "run.json", run_info(size))
    return path


def run_info(size: Size) -> dict[str, Any]:
    """``run.json`` of a finished run."""
    return {
        "name": "tiny",
        "purpose": "The whole recipe, small: a three-million-parameter vision-language model, trained, post-trained by "
        "reinforcement learning and evaluated on two CPU cores.",
        "started": "2026-11-23T20:04:11",
        "finished": "2026-11-23T20:18:43",
        "mimovl": "0.1.0",
        "torch": "2.13.0",
        "python": "3.11.2",
        "machine": {"cpu": "AMD EPYC 9B14", "cores": 2, "memory_gb": 7.8},
        "seconds": {"data": 48.2, "1-projector": 39.8, "evaluate/1-projector": 17.0, "2-vision": 81.0,
                    "evaluate/2-vision": 16.4, "3-everything": 242.5, "evaluate/3-everything": 18.2,
                    "4-long-context": 118.3, "evaluate/4-long-context": 21.0, "5-morl": 246.9,
                    "evaluate/5-morl": 23.1},
        "peak_memory_mb": 2215.4,
        "data": {
            "counts": {f"world/{name}": 600 + 371 * index for index, name in enumerate(ALL_SOURCES)},
            "dropped": {"two_answers": 18, "too_long": 4},
            "heldout_phash_removed": 37,
        },
        "model": {"parameters": 3_143_296, "vision": 812_544, "projector": 147_712, "language": 2_183_040},
        "base": {"recipe_hash": "9f2c61d0a7e4b853"},
    }  # fmt: skip


def write_questions(path: Path, size: Size) -> list[Sample]:
    """Held-out questions of the world, stored; at most ``heldout_per_task`` of each task."""
    kept: dict[str, list[Sample]] = {}
    with DatasetWriter(path) as writer:
        for source in SOURCES:
            for index in range(size.items * 40):
                item = build_item(f"world/{source}", seed=1, index=index, split="heldout", config=WorldConfig())
                asked = to_questions(item)
                if index >= size.items and all(len(kept[one.task]) >= size.heldout_per_task for one in asked):
                    break
                for question in asked:
                    if len(kept.setdefault(question.task, [])) < size.heldout_per_task:
                        kept[question.task].append(question)
                        writer.add(question)
    return [question for questions in kept.values() for question in questions]


def write_stage(path: Path, stage: tuple[Any, ...], size: Size, rng: random.Random, weight: float = 1) -> None:
    """Metrics and ``done.json`` of one training stage."""
    name, trained, rates, length, first, last = stage
    folder, steps = path / name, round(size.steps * weight)
    levels = {f"world/{source}": rng.uniform(0.5, 1.5) for source in ALL_SOURCES}
    lines, tokens, seconds = [], 0, 0.0
    for step in range(1, steps + 1):
        loss = (last + (first - last) * math.exp(-4 * step / steps)) * rng.lognormvariate(0, 0.05)
        speed = rng.gauss(9000, 500) * (0.8 if length > 2048 else 1)
        tokens, seconds = tokens + 8 * length, seconds + 8 * length / speed
        drawn = rng.sample(sorted(levels), 8)
        lines.append({
            "step": step, "steps": steps, "tokens": tokens, "images": step * 40, "loss": loss,
            "loss_by_source": {source: loss * levels[source] * rng.lognormvariate(0, 0.1) for source in drawn},
            "grad_norm": (norm := rng.lognormvariate(0, 0.5)),
            "grad_norm_by_part": {part: norm * 0.6**number for number, part in enumerate(trained)},
            "learning_rate": rates, "tokens_per_second": speed, "seconds": seconds, "memory_mb": 1800.0,
            "mfu": speed / 16000, "peak": {"tflops": 0.126, "source": "measured"},
        })  # fmt: skip
    write_lines(folder / "metrics.jsonl", lines)
    write_json(
        folder / "done.json",
        {"seconds": seconds, "steps": steps, "tokens": tokens, "trained": trained, "learning_rate": rates,
         "length": length},
    )  # fmt: skip


def write_rl(folder: Path, size: Size, questions: list[Sample], rng: random.Random) -> None:
    """Metrics, rollout groups and ``done.json`` of the reinforcement learning."""
    lines, groups = [], []
    pool = [question for question in questions if question.task in RL_TASKS]
    for step in range(1, size.steps + 1):
        share = step / size.steps
        by_task = {
            task: min(0.98, 0.45 + 0.06 * i + 0.22 * share + rng.gauss(0, 0.05)) for i, task in enumerate(RL_TASKS)
        }
        asked = {"heldout_reward": 0.4 + 0.1 * share, "blanked_same_by_task": {"counting": 0.3}}
        lines.append({
            "step": step, "steps": size.steps,
            "reward": sum(by_task.values()) / len(by_task), "reward_by_task": by_task,
            "length_by_task": {task: 14 + 9 * i + (12 * share if i > 3 else 0) + rng.gauss(0, 2)
                               for i, task in enumerate(RL_TASKS)},
            "groups_sampled": 48, "groups_kept": round(48 * min(1, max(0, 0.7 - 0.25 * share + rng.gauss(0, 0.06)))),
            "logprob_gap": rng.lognormvariate(math.log(2.2e-7), 0.3),
            "entropy": 0.42 - 0.2 * share + rng.gauss(0, 0.02), "grad_norm": rng.lognormvariate(-0.5, 0.3),
            "tokens_per_second": rng.gauss(5200, 300), "seconds": step * 2.1,
            "seconds_generate": 1.5, "seconds_update": 0.6, "kept_by_task": dict.fromkeys(by_task, 0.5),
            **(asked if step % 5 == 1 else {}),
        })  # fmt: skip
        for question in rng.sample(pool, min(3, len(pool))):
            groups.append(rollout_group(question, step, share, rng))
    write_lines(folder / "metrics.jsonl", lines)
    write_lines(folder / "rollouts.jsonl", groups)
    said = {"monitor": "blanked", "task": "counting", "value": 0.94, "limit": 0.9}
    message = "94% of the answers stay the same when the picture is blanked"
    examples = [group for group in groups if group["task"] == "counting"][:2]
    write_lines(
        folder / "alerts.jsonl",
        [{"step": step, **said, "message": message, "groups": examples} for step in (7, size.steps)],
    )
    write_json(
        folder / "done.json",
        {"seconds": 2.1 * size.steps, "steps": size.steps, "tokens": 9000 * size.steps,
         "trained": ["vision", "projector", "language"],
         "learning_rate": {"vision": 1e-5, "projector": 2e-5, "language": 2e-5}},
    )  # fmt: skip


def rollout_group(question: Sample, step: int, share: float, rng: random.Random) -> dict[str, Any]:
    """Eight completions of one prompt with rewards and group-normalised advantages."""
    gold = gold_of(question)
    attempts = []
    for _ in range(8):
        text = completion(question, rng, 0.4 + 0.3 * share, thinking=True)
        verdict = grade(gold.kind, text, gold.answer, **options(gold, REWARD_OPTIONS))
        attempts.append({"text": text, "reward": verdict.score, "outcome": verdict.outcome})
    mean = sum(one["reward"] for one in attempts) / 8
    deviation = math.sqrt(sum((one["reward"] - mean) ** 2 for one in attempts) / 8) + 1e-6
    for one in attempts:
        one["advantage"] = (one["reward"] - mean) / deviation
    return {
        "step": step, "task": question.task, "sample_id": question.id, "prompt": question.messages[-1].text,
        "media": list(question.media), "gold": gold_json(gold), "completions": attempts,
    }  # fmt: skip


@dataclass
class Pretender:
    """Answers like a model of some skill: the same question gets the same answer, better the higher ``level``."""

    level: int
    seed: int = 0

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """One completion a request, right with a chance that grows with ``level``."""
        return [[self.answer(request)] for request in requests]

    def answer(self, request: Request) -> Completion:
        """Thinking helps with reasoning and hurts a little elsewhere."""
        question, thinking = request.sample, bool(request.thinking)
        rng = random.Random(f"{self.seed} {self.level} {question.id} {thinking}")
        suits = thinking == (question.task in ("arithmetic", "visual_reasoning"))
        text = completion(question, rng, 0.12 + 0.15 * self.level + 0.1 * suits, thinking=thinking)
        cut = "<think>" in text and "</think>" not in text
        return Completion(text, "length" if cut else "stop", tokens=tuple(range(len(text) // 3 + 2)))


def completion(question: Sample, rng: random.Random, skill: float, *, thinking: bool) -> str:
    """What a model might say: right with chance ``skill``, else nearly right, or cut off, or nonsense."""
    gold = gold_of(question)
    thought = rng.choice(("top left: red circle", "1 left, 2 centre, 3 right", "7×5=35; 35+3=38", "3 objects"))
    if thinking and rng.random() < 0.12 * (1 - skill):
        return f"<think>\n{thought}, {thought}, {thought}"
    head = f"<think>\n{thought}\n</think>\n\n" if thinking else "<think>\n\n</think>\n\n"
    if rng.random() < 0.03:
        return head
    return head + wrong_or_right(gold, rng, rng.random() < skill)


def wrong_or_right(gold: Gold, rng: random.Random, right: bool) -> str:
    """An answer in the form that the task asks for."""
    spread = 2 if right else 14
    if gold.kind == "box":
        boxes = gold.answer if isinstance(gold.answer[0], list | tuple) else [gold.answer]
        if not right and rng.random() < 0.3:
            boxes = boxes[:-1] or boxes
        moved = [[max(0, round(side + rng.gauss(0, spread))) for side in box] for box in boxes]
        return json.dumps([{"bbox_2d": box, "label": "object"} for box in moved], separators=(",", ":"))
    if gold.kind == "point":
        x1, y1, x2, y2 = gold.answer
        x, y = (x1 + x2) / 2 + rng.gauss(0, spread), (y1 + y2) / 2 + rng.gauss(0, spread)
        return json.dumps({"action": "click", "start_point": [round(abs(x)), round(abs(y))]}, separators=(",", ":"))
    if gold.kind == "span":
        start, end = (max(0, round(second + (0 if right else rng.gauss(0, 2)))) for second in gold.answer)
        return f"[00:{start:02d},00:{max(end, start + 1):02d}]"
    if gold.kind == "text":
        words = str(gold.answer)
        return words if right else rng.choice(("red", "blue circle", words[1:] + words[:1], "top left", "yes"))
    number = gold.answer if right else rng.choice((0, 1, 2, 3, 5, 12, 40))
    return f"\\boxed{{{number}}}" if gold.kind == "number" else str(number)


def gold_of(question: Sample) -> Gold:
    """The gold of a gradable question."""
    assert question.gold is not None
    return question.gold


def gold_json(gold: Gold) -> dict[str, Any]:
    """As ``answers.jsonl`` has it."""
    return {"kind": gold.kind, "answer": gold.answer, "options": dict(gold.options)}


def options(gold: Gold, by_kind: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Grader options: the task's and the question's."""
    return {**by_kind.get(gold.kind, {}), **gold.options}


def write_json(path: Path, value: Any) -> None:
    """One JSON file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False))


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    """One JSONL file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


if __name__ == "__main__":
    from mimovl.report import write_report

    print(write_report(write_run(Path(sys.argv[1]), Size(steps=180, items=60, heldout_per_task=120))))
