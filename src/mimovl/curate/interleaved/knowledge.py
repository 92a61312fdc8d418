"""Keep documents that hold knowledge: textbook, encyclopedia, manual, guide, patent, biography (§2.2.2).

Rules decide first, by the cues of ``knowledge_cues.py``; a model of the recipe may be asked where they are undecided,
or always. How often the rules are right is known only for the labelled texts of the tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from mimovl.curate.interleaved.blocks import Block, blocks_of
from mimovl.curate.interleaved.knowledge_cues import CUES, KINDS, Kind
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.types import Generate, Message, Part, Request, Sample, SamplingParams

__all__ = ["KnowledgeType", "Verdict", "knowledge_type"]

_HEAD = 1200
_TEXT = 20_000
_ASKED = 3000
"""Characters of a document that a model is shown."""
_DECIDED = 2.0
"""A kind is decided when its cues weigh this much, and one and a half times the next."""
_MARGIN = 1.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """A document's kind (``other`` where no cue speaks), what its cues weigh, and whether that decides."""

    kind: Kind | Literal["other"]
    weight: float
    decided: bool


def knowledge_type(blocks: Sequence[Block], title: str = "") -> Verdict:
    """What kind of knowledge a document holds, by rules."""
    texts = [block.text for block in blocks if block.text]
    text = "\n".join(texts)[:_TEXT]
    headings = "\n".join(block.text for block in blocks if block.kind == "heading")[:_HEAD]
    prose = "\n".join(block.text for block in blocks if block.kind == "text")[:_HEAD]
    head = f"{title}\n{headings}\n{prose}"
    weights = dict.fromkeys(KINDS, 0.0)
    for cue in CUES:
        found = len(cue.pattern.findall(head if cue.where == "head" else text))
        weights[cue.kind] += cue.weight * min(found, cue.cap)
    order = sorted(KINDS, key=lambda kind: (-weights[kind], KINDS.index(kind)))
    best, second = weights[order[0]], weights[order[1]]
    if best < 1.0:
        return Verdict("other", best, best == 0)
    return Verdict(order[0], round(best, 3), best >= _DECIDED and best >= _MARGIN * second)


class KnowledgeType(Step):
    """Keeps documents of the kinds named; ``meta["knowledge"]`` says which and who said so. Drops: knowledge_type."""

    step: Literal["knowledge_type"] = "knowledge_type"
    keep: list[Kind] = Field(default=list(KINDS), min_length=1)
    """Kinds to keep."""
    keep_undecided: bool = True
    """Whether to keep a document whose best kind is among those, when the rules are not sure and no model is asked."""
    ask: str = ""
    """A model of the recipe's ``models`` to ask; nobody where empty."""
    ask_when: Literal["undecided", "always"] = "undecided"
    """Which documents the model is asked about."""

    def open(self, tools: Tools) -> Apply:
        """Get the model, if one is to be asked."""
        model = _Classifier(tools.generate(self.ask), tools.cache / "knowledge_type", self.ask) if self.ask else None

        def apply(batch: Sequence[Sample]) -> list[Result]:
            documents = [blocks_of(sample) for sample in batch]
            verdicts = [
                knowledge_type(blocks, str(sample.meta.get("title", "")))
                for blocks, sample in zip(documents, batch, strict=True)
            ]
            answers: dict[int, str] = {}
            if model is not None:
                asked = [
                    index for index, verdict in enumerate(verdicts) if self.ask_when == "always" or not verdict.decided
                ]
                said = model.classify([_excerpt(documents[index], batch[index]) for index in asked])
                answers = {index: kind for index, kind in zip(asked, said, strict=True) if kind}
            return [
                self._result(sample, verdict, answers.get(index))
                for index, (sample, verdict) in enumerate(zip(batch, verdicts, strict=True))
            ]

        return apply

    def _result(self, sample: Sample, verdict: Verdict, answer: str | None) -> Result:
        kind = answer or verdict.kind
        by = "model" if answer else "rules"
        if kind not in self.keep or not (answer or verdict.decided or self.keep_undecided):
            sure = "" if answer or verdict.decided else ", undecided"
            return Dropped("knowledge_type", f"{kind} by {by} (cues weigh {verdict.weight:g}{sure})")
        known = {"type": kind, "by": by, "weight": verdict.weight, "decided": bool(answer) or verdict.decided}
        return replace(sample, meta={**sample.meta, "knowledge": known})


class _Classifier:
    """Asks a model for the kind of documents and keeps its answers in files, one a document."""

    def __init__(self, generate: Generate, folder: Path, name: str) -> None:
        self.generate = generate
        self.folder = folder
        self.name = name
        self.prompt = files("mimovl.curate.interleaved").joinpath("prompts/knowledge_type.txt").read_text("utf-8")
        folder.mkdir(parents=True, exist_ok=True)

    def classify(self, documents: Sequence[str]) -> list[str]:
        """The kind of each, or "" where the answer names none."""
        prompts = [self.prompt.replace("{document}", document) for document in documents]
        paths = [self.folder / f"{hashlib.sha256(f'{self.name} {text}'.encode()).hexdigest()}.json" for text in prompts]
        missing = [index for index, path in enumerate(paths) if not path.is_file()]
        if missing:
            requests = [_request(prompts[index]) for index in missing]
            for index, completions in zip(missing, self.generate.generate(requests), strict=True):
                _write(paths[index], _kind_in(completions[0].text if completions else ""))
        return [str(json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def _request(prompt: str) -> Request:
    name = hashlib.sha256(prompt.encode()).hexdigest()[:16]
    sample = Sample(name, (Message("user", (Part("text", prompt),)),))
    return Request(sample, SamplingParams(temperature=0.0, max_tokens=16), thinking=False)


def _kind_in(answer: str) -> str:
    """The first kind an answer names."""
    match = re.search(rf"\b({'|'.join((*get_args(Kind), 'other'))})\b", answer.lower())
    return match.group(1) if match else ""


def _excerpt(blocks: Sequence[Block], sample: Sample) -> str:
    text = "\n\n".join(block.text for block in blocks if block.text)
    title = str(sample.meta.get("title", ""))
    return f"{title}\n\n{text}"[:_ASKED].strip()


def _write(path: Path, answer: str) -> None:
    """Whole or not at all; two workers that ask the same write the same."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        json.dump(answer, file)
    os.replace(file.name, path)
