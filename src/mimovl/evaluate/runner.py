"""Ask a model every question of the tasks, thinking and not, and write what it said and what that is worth.

    out_dir/answers.jsonl   a line as soon as a chunk of questions is answered; a restarted evaluation asks the rest
    out_dir/scores.json     by task, at the end
    out_dir/summary.json    mean reward, seconds, tokens, at the end

Greedy (MiMo-VL §4.1), or sampled where a temperature is given. Questions go to the model in large chunks, in the order
given, so that an engine with continuous batching stays full and questions about one picture stay together.

A question that the model cannot be asked (its prompt is longer than the context, its picture cannot be read) or cannot
answer (its logits are no numbers) counts as wrong: its line says why, summary.json lists it and a warning names it.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mimovl.errors import DataError, UsageError
from mimovl.evaluate.answers import Answer, AnswerLog, as_json, write_json
from mimovl.evaluate.scoring import headline_answers, mean_reward, score_answers
from mimovl.evaluate.task import MODES, Mode, Task
from mimovl.evaluate.tasks import tasks_for
from mimovl.generate import RequestError, UnansweredError
from mimovl.reward import RewardRouter
from mimovl.types import Completion, Generate, Outcome, Request, Sample, SamplingParams, Verdict

__all__ = ["Progress", "evaluate"]

CHUNK_REQUESTS = 512

UNANSWERED = "unanswered"
"""The finish_reason of a question that the model could not be asked, or whose answer is no number."""

Progress = Callable[[int, int, str], None]
"""Called after each chunk with (questions answered, questions in all, mode)."""


def evaluate(
    generate: Generate,
    samples: Sequence[Sample],
    tasks: Sequence[Task] | None,
    out_dir: Path | str,
    *,
    modes: Sequence[Mode] = MODES,
    seed: int = 0,
    progress: Progress | None = None,
    router: RewardRouter | None = None,
    fingerprint: str = "",
    chunk_requests: int = CHUNK_REQUESTS,
    temperature: float = 0.0,
) -> dict[str, Any]:
    """Evaluate whatever answers on samples with gold.

    Args:
        generate: the model.
        samples: questions, ending with a user turn; those of no task are left out.
        tasks: the tasks to score; None for all that the samples belong to.
        out_dir: where to write; made if missing. Its name is the checkpoint's name in summary.json.
        modes: "thinking", "no_think" or both.
        seed: of the requests and of the intervals.
        progress: told after each chunk.
        router: the rewards written beside the scores; the default ones if None.
        fingerprint: what identifies the model, e.g. a hash of its checkpoint; answers of another one in ``out_dir`` are
            refused instead of taken for its own.
        chunk_requests: how many questions the model is handed at once.
        temperature: of the answers; 0 is greedy. A sampled answer's random numbers are its question's own, so two
            checkpoints asked the same are given the same luck.

    Returns:
        The content of scores.json, see ``mimovl.evaluate.scoring.score_answers``.

    Raises:
        UsageError: no sample belongs to a task, a mode is unknown, or ``out_dir`` holds answers of another model or to
            other questions.
        DataError: two samples share an id, or a gold cannot be graded.
    """
    started = time.monotonic()
    _check_modes(modes)
    tasks = tasks_for(samples) if tasks is None else list(tasks)
    questions = _questions(samples, tasks)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    if temperature and fingerprint:  # sampled answers are not taken for greedy ones
        fingerprint = f"temperature {temperature:g} {fingerprint}"
    log = AnswerLog(out_dir / "answers.jsonl", fingerprint)
    router = router or RewardRouter()
    wanted = [(sample.id, str(mode)) for mode in modes for sample, _ in questions]
    num_done = sum(key in log.answers for key in wanted)
    for mode in modes:
        rest = [(sample, task) for sample, task in questions if not _answered(log, sample, task, mode)]
        for start in range(0, len(rest), chunk_requests):
            chunk = rest[start : start + chunk_requests]
            answers = _ask(generate, [_request(sample, task, mode, seed, temperature) for sample, task in chunk])
            log.append(
                _answer(sample, task, mode, answer, router)
                for (sample, task), answer in zip(chunk, answers, strict=True)
            )
            num_done += len(chunk)
            if progress:
                progress(num_done, len(wanted), mode)
    return _write_scores(out_dir, log.select(wanted), tasks, seed, temperature, time.monotonic() - started)


def _check_modes(modes: Sequence[str]) -> None:
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes or len(set(modes)) != len(modes):
        raise UsageError(f"modes {list(modes)} are not a choice of {' and '.join(MODES)}; name each at most once")


def _questions(samples: Sequence[Sample], tasks: Sequence[Task]) -> list[tuple[Sample, Task]]:
    questions, seen = [], set()
    for sample in samples:
        task = next((task for task in tasks if task.takes(sample)), None)
        if task is None:
            continue
        if sample.id in seen:
            raise DataError(f"two samples have the id {sample.id!r}; ids must differ, answers are kept by them")
        seen.add(sample.id)
        questions.append((sample, task))
    if not questions:
        names = ", ".join(task.name for task in tasks) or "none"
        raise UsageError(f"none of {len(samples)} samples belongs to a task ({names}); give samples with gold answers")
    return questions


def _answered(log: AnswerLog, sample: Sample, task: Task, mode: Mode) -> bool:
    """Whether the log has this answer.

    Raises:
        UsageError: it has one under this id to another question.
    """
    answer = log.answers.get((sample.id, mode))
    if answer is None:
        return False
    if (answer["task"], answer["prompt"], answer["gold"]) != (task.name, _prompt(sample), as_json(_gold(sample))):
        raise UsageError(
            f"{log.path} answers another question under the id {sample.id!r}; delete it or choose another folder"
        )
    return True


def _prompt(sample: Sample) -> str:
    return next((message.text for message in reversed(sample.messages) if message.role == "user"), "")


def _gold(sample: Sample) -> dict[str, Any] | None:
    gold = sample.gold
    return None if gold is None else {"kind": gold.kind, "answer": gold.answer, "options": dict(gold.options)}


def _request(sample: Sample, task: Task, mode: Mode, seed: int, temperature: float) -> Request:
    own = hashlib.sha256(f"{seed} {mode} {sample.id}".encode()).digest()
    luck = int.from_bytes(own[:6], "big") if temperature else seed
    sampling = SamplingParams(temperature=temperature, max_tokens=task.max_tokens[mode], seed=luck)
    return Request(sample, sampling, num_samples=1, thinking=mode == "thinking")


def _ask(generate: Generate, requests: Sequence[Request]) -> list[Completion | RequestError]:
    """What was answered to each question, or why nothing was."""
    failures: Mapping[int, RequestError] = {}
    try:
        groups = generate.generate(requests)
    except UnansweredError as error:
        groups, failures = error.answers, error.failures
    sizes = [len(group) for place, group in enumerate(groups) if place not in failures]
    if len(groups) != len(requests) or any(size != 1 for size in sizes):
        raise UsageError(f"asked {len(requests)} questions for one answer each, got {[*map(len, groups)][:20]}")
    return [failures[place] if place in failures else group[0] for place, group in enumerate(groups)]


def _answer(sample: Sample, task: Task, mode: Mode, answer: Completion | RequestError, router: RewardRouter) -> Answer:
    gold = sample.gold
    failed = isinstance(answer, RequestError)
    completion = Completion("", "cancelled") if isinstance(answer, RequestError) else answer
    try:
        verdict = task.judge(sample, completion)
        extras = {} if gold is None else {extra.name: extra.measure(gold, completion.text) for extra in task.extras}
    except DataError as error:
        raise DataError(f"sample {sample.id!r} of task {task.name!r}: {error}") from error
    reward = router.score(sample, completion).score if gold is not None else verdict.score
    if failed:
        verdict, reward = Verdict(0.0, Outcome.NO_ANSWER, rule=f"not answered: {answer}"), 0.0
    media = [part.media for message in sample.messages for part in message.content if part.type != "text"]
    first = sample.media[media[0]] if media and media[0] in sample.media else None
    return {
        "id": sample.id,
        "task": task.name,
        "mode": mode,
        "language": sample.language,
        "prompt": _prompt(sample),
        "media": media,
        "width": first.width if first else 0,
        "height": first.height if first else 0,
        "gold": _gold(sample),
        "completion": completion.text,
        "answer": verdict.answer,
        "score": verdict.score,
        "reward": reward,
        "outcome": str(verdict.outcome),
        "rule": verdict.rule,
        "tokens": len(completion.tokens),
        "finish_reason": UNANSWERED if failed else completion.finish_reason,
        "cluster": _cluster(sample.meta, media, sample.id),
        "extra": {name: list(value) for name, value in extras.items() if value is not None},
    }


def _cluster(meta: Mapping[str, Any], media: Sequence[str], sample_id: str) -> str:
    """What was drawn independently: the scene, else the picture, else the question itself."""
    return str(meta.get("scene") or (media[0] if media else sample_id))


def _write_scores(
    out_dir: Path, answers: list[Answer], tasks: Sequence[Task], seed: int, temperature: float, seconds: float
) -> dict[str, Any]:
    scores = score_answers(answers, tasks, seed=seed)
    write_json(out_dir / "scores.json", scores)
    summary = {
        "checkpoint": out_dir.resolve().name,
        "temperature": temperature,
        "seconds": round(seconds, 2),
        "tokens": sum(answer["tokens"] for answer in answers),
        "mean_reward": mean_reward(headline_answers(answers, scores), seed=seed),
    }
    if unanswered := [answer for answer in answers if answer.get("finish_reason") == UNANSWERED]:
        summary["unanswered"] = [{name: answer[name] for name in ("id", "mode", "rule")} for answer in unanswered]
        warnings.warn(
            f"{len(unanswered)} of {len(answers)} questions could not be answered and count as wrong, the first: "
            f"{unanswered[0]['rule']}; {out_dir / 'summary.json'} names all",
            stacklevel=3,
        )
    write_json(out_dir / "summary.json", summary)
    return scores
