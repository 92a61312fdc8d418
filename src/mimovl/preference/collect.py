"""Collect preferences: several models answer, a ranker says which answer is better (MiMo-VL §3.2).

    collect_preferences(prompts, {"ours": engine, "other": endpoint}, ranker, out)

    OUT.collecting/answers.jsonl, rankings.jsonl    what is done so far; a restarted collection asks the rest
    OUT/pairs-*.parquet                             the preferences, all at once when the last pair is ranked
    OUT/dropped.jsonl                               what was left out, and why
    OUT/summary.json                                verdicts, and the ranker's taste for the first place

Each prompt's answers, of all models, make pairs of unequal ones. Prompts without their gold answers: what is asked for
here is taste, not truth. The same prompts serve reward model and policy (§3.2).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mimovl.atomic import AtomicDirectory
from mimovl.data import Preference, answer_of, write_pairs
from mimovl.errors import DataError, UsageError
from mimovl.evaluate.statistics import clustered_proportion
from mimovl.preference.journal import Journal
from mimovl.preference.rank import PROMPT, Ranking, rank_pairs, ranking_of
from mimovl.types import Generate, Request, Sample, SamplingParams

__all__ = ["CollectSettings", "collect_preferences"]

Progress = Callable[[int, int, str], None]
"""Called with (prompts done, prompts in all, what is being done)."""

SUMMARY_FILE, DROPPED_FILE = "summary.json", "dropped.jsonl"


@dataclass(frozen=True)
class CollectSettings:
    """How answers are drawn and pairs are made."""

    samples: int = 1
    """Answers of each model to a prompt."""
    pairs_per_prompt: int = 4
    """Most pairs of a prompt, drawn from all."""
    sampling: SamplingParams = SamplingParams(temperature=1.0)
    """Of the answers."""
    ranking: SamplingParams = SamplingParams(max_tokens=16)
    """Of the ranker's replies."""
    prompt: str = PROMPT
    """What the ranker is asked."""
    chunk: int = 64
    """Prompts handed to a model at once."""


def collect_preferences(
    prompts: Sequence[Sample],
    generators: Mapping[str, Generate],
    ranker: Generate,
    out: Path | str,
    settings: CollectSettings | None = None,
    *,
    about: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Collect preferences, or what is left of them.

    Args:
        prompts: each ends with a user's turn; ids must differ.
        generators: the models that answer, by name.
        ranker: the model that judges.
        out: folder to make; made whole or not at all.
        settings: how.
        about: what identifies the models, beyond their names: answers of others are refused, not mixed.
        progress: told after each chunk.

    Returns:
        The content of summary.json.

    Raises:
        UsageError: ``out`` is there already, what was begun had other prompts or settings, or there is no model.
        DataError: two prompts share an id, or one does not end with the user's turn.
    """
    settings = settings or CollectSettings()
    out = Path(out)
    _check(prompts, generators, settings, out)
    working = out.with_name(f"{out.name}.collecting")
    asked = hashlib.sha256(repr([(one.id, one.messages) for one in prompts]).encode()).hexdigest()
    about = json.dumps([about, asked, sorted(generators), repr(settings)])
    answers = Journal(working / "answers.jsonl", about)
    rankings = Journal(working / "rankings.jsonl", about)
    for name, generator in generators.items():
        _answer(prompts, name, generator, answers, settings, progress)
    _rank(prompts, ranker, generators, answers, rankings, settings, progress)
    dropped: list[dict[str, str]] = []
    counts: Counter[str] = Counter()
    pairs = _preferences(prompts, generators, answers, rankings, settings, dropped, counts)
    with AtomicDirectory(out) as directory:
        written = write_pairs(directory.temporary, pairs)
        summary = {
            "prompts": len(prompts),
            "generators": sorted(generators),
            "pairs": written,
            "verdicts": dict(sorted(counts.items())),
            "dropped": dict(sorted(Counter(one["reason"] for one in dropped).items())),
            "first_place_preferred": _place(rankings),
        }
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in dropped)
        (directory.temporary / DROPPED_FILE).write_bytes(lines.encode("utf-8", errors="backslashreplace"))
        (directory.temporary / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(working)
    return summary


def _check(prompts: Sequence[Sample], generators: Mapping[str, Generate], settings: CollectSettings, out: Path) -> None:
    if out.exists():
        raise UsageError(f"{out} is there already; choose another --out, or delete it")
    if not generators or len(generators) * settings.samples < 2:
        raise UsageError(
            f"{len(generators)} generators with {settings.samples} samples each give no two answers to compare; name "
            "two generators, or ask one for several samples"
        )
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise DataError(f"two prompts have the id {prompt.id!r}; ids must differ, answers are kept by them")
        seen.add(prompt.id)
        if not prompt.messages or prompt.messages[-1].role != "user":
            raise DataError(f"prompt {prompt.id} does not end with the user's turn; cut the answer off")
    if not prompts:
        raise UsageError("there is no prompt to collect answers to")


def _answer(
    prompts: Sequence[Sample],
    name: str,
    generator: Generate,
    answers: Journal,
    settings: CollectSettings,
    progress: Progress | None,
) -> None:
    """One model's answers to the prompts it has not answered yet."""
    rest = [prompt for prompt in prompts if _key(name, prompt) not in answers.entries]
    done = len(prompts) - len(rest)
    for start in range(0, len(rest), settings.chunk):
        chunk = rest[start : start + settings.chunk]
        groups = generator.generate(
            [Request(prompt, settings.sampling, settings.samples, thinking=False) for prompt in chunk]
        )
        if [len(group) for group in groups] != [settings.samples] * len(chunk):
            raise UsageError(
                f"generator {name} gave {[len(group) for group in groups][:10]} answers, asked were {settings.samples} "
                f"to each of {len(chunk)} prompts"
            )
        answers.add(
            (_key(name, prompt), [[one.text, one.finish_reason] for one in group])
            for prompt, group in zip(chunk, groups, strict=True)
        )
        done += len(chunk)
        if progress:
            progress(done, len(prompts), f"answers of {name}")


def _rank(
    prompts: Sequence[Sample],
    ranker: Generate,
    generators: Mapping[str, Generate],
    answers: Journal,
    rankings: Journal,
    settings: CollectSettings,
    progress: Progress | None,
) -> None:
    for start in range(0, len(prompts), settings.chunk):
        chunk = prompts[start : start + settings.chunk]
        asked = [
            (key, (prompt, one.text, other.text))
            for prompt in chunk
            for key, one, other in _pairs(prompt, generators, answers, settings, [])
            if key not in rankings.entries
        ]
        found = rank_pairs(ranker, [pair for _, pair in asked], sampling=settings.ranking, prompt=settings.prompt)
        rankings.add((key, [ranking.forward, ranking.backward]) for (key, _), ranking in zip(asked, found, strict=True))
        if progress:
            progress(start + len(chunk), len(prompts), "ranked")


@dataclass(frozen=True)
class _Answer:
    generator: str
    number: int
    text: str


def _pairs(
    prompt: Sample,
    generators: Mapping[str, Generate],
    answers: Journal,
    settings: CollectSettings,
    dropped: list[dict[str, str]],
) -> Iterator[tuple[str, _Answer, _Answer]]:
    """A prompt's pairs of unequal, finished answers, in an order of their own; the same in every run."""
    found: list[_Answer] = []
    for name in generators:
        for number, (text, reason) in enumerate(answers.entries[_key(name, prompt)]):
            answer = answer_of(text)
            same = next((one for one in found if one.text == answer), None)
            why = "cut" if reason == "length" else "empty" if not answer else "same_answer" if same else ""
            if why:
                dropped.append({"id": f"{prompt.id}/{name}/{number}", "reason": why, "answer": answer[:200]})
            else:
                found.append(_Answer(name, number, answer))
    rng = random.Random(f"pairs/{prompt.id}")
    every = list(itertools.combinations(found, 2))
    for one, other in rng.sample(every, min(settings.pairs_per_prompt, len(every))):
        if rng.random() < 0.5:
            one, other = other, one
        yield f"{prompt.id}/{one.generator}{one.number}-{other.generator}{other.number}", one, other


def _preferences(
    prompts: Sequence[Sample],
    generators: Mapping[str, Generate],
    answers: Journal,
    rankings: Journal,
    settings: CollectSettings,
    dropped: list[dict[str, str]],
    counts: Counter[str],
) -> Iterator[Preference]:
    """Ranked pairs as preferences, in the order of the prompts; what the ranker did not decide is a tie and says so."""
    for prompt in prompts:
        values = {one.name: getattr(prompt, one.name) for one in fields(Sample)}
        for key, one, other in _pairs(prompt, generators, answers, settings, dropped):
            ranking: Ranking = ranking_of(*rankings.entries[key])
            counts[ranking.verdict] += 1
            if ranking.verdict == "unread":
                dropped.append({"id": key, "reason": "unread", "answer": ""})
                continue
            if ranking.verdict == "win" and not ranking.first_wins:
                one, other = other, one
            meta = {
                "scene": str(prompt.meta.get("scene") or prompt.id),
                "set": ranking.verdict,
                "generators": [one.generator, other.generator],
                "ranker": [ranking.forward, ranking.backward],
            }
            yield Preference(
                **{**values, "id": key, "gold": None, "meta": meta},
                chosen=one.text,
                rejected=other.text,
                tie=ranking.verdict != "win",
            )


def _place(rankings: Journal) -> dict[str, Any]:
    """How often a decided reply names the answer shown first; ½ where the place does not matter."""
    replies = [(key, reply) for key, both in rankings.entries.items() for reply in both if reply in ("A", "B")]
    prompts = [key.rpartition("/")[0] for key, _ in replies]
    found = clustered_proportion([float(reply == "A") for _, reply in replies], prompts)
    return {"value": round(found.value, 4), "interval": [round(side, 4) for side in found.interval], "n": found.n}


def _key(name: str, prompt: Sample) -> str:
    return f"{name}/{prompt.id}"
