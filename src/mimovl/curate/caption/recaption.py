"""Write every caption anew from its picture and its raw text (MiMo-VL §2.2.1), by a model that the recipe names.

The prompts are files in ``prompts/``, in the language the caption shall have; the report does not give its own. The
old text stays in ``meta["raw_caption"]``. What the model said is kept under what it was asked (``answers``), so a run
that was stopped asks only the rest. An answer that cannot be used (empty, cut off, a refusal) is asked for again, drawn
at a temperature; when none can be used, the record is dropped with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field

from mimovl.curate.caption.answers import AnswerStore, Asker
from mimovl.curate.caption.captions import caption_of, with_caption
from mimovl.curate.caption.language import tell_language
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.data import answer_of
from mimovl.errors import RecipeError
from mimovl.types import Completion, Message, Part, Request, Sample, SamplingParams

__all__ = ["Recaption", "read_prompt", "read_answer"]

_REFUSAL = re.compile(
    "(?:i(?:'|’)?m sorry|sorry,|i (?:can(?:'|’)?t|cannot|am unable|am not able)|as an ai|unfortunately, i"
    "|抱歉|对不起|很遗憾|作为(?:一个|一名)?(?:ai|人工智能|语言模型)|我无法|我不能)",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    "(?:(?:sure|certainly|of course)[^\n:]{0,60}[:\n]\\s*|(?:here is|here's)[^\n:]{0,60}:\\s*"
    "|(?:caption|description|描述|图片描述|标题)\\s*[:：]\\s*)",
    re.IGNORECASE,
)


class Recaption(Step):
    """Describe each picture anew, with its raw text in view."""

    step: Literal["recaption"] = "recaption"
    model: str
    """Name of the captioner among the recipe's models."""
    language: Literal["raw", "en", "zh"] = "raw"
    """Language to write in; ``raw``: that of the raw text, English where it is neither."""
    prompt_en: str = ""
    """File with an English prompt of one's own; ``{text}`` stands for the raw text."""
    prompt_zh: str = ""
    """File with a Chinese one."""
    max_tokens: int = Field(default=384, ge=1)
    """Longest answer."""
    temperature: float = Field(default=0.0, ge=0)
    """Of the first attempt; 0 is greedy."""
    retry_temperature: float = Field(default=0.7, gt=0)
    """Of the attempts after an answer that cannot be used."""
    attempts: int = Field(default=3, ge=1)
    """Answers asked for before a record is dropped."""
    batch: int = Field(default=32, ge=1)
    """Requests handed to the model at once."""
    retries: int = Field(default=3, ge=0)
    """How often a call that failed is made again."""
    wait: float = Field(default=1.0, ge=0)
    """Seconds before the first of these; each further wait is twice as long."""
    max_raw: int = Field(default=2000, ge=0)
    """Characters of raw text shown to the model."""
    thinking: bool | None = False
    """Whether the model shall think first; none leaves that to its template."""

    def open(self, tools: Tools) -> Apply:
        """Read the prompts, get the model.

        Raises:
            RecipeError: a prompt file is not there or has no place for the text.
        """
        prompts = {
            ("en", True): read_prompt("recaption_en", self.prompt_en, "prompt_en"),
            ("zh", True): read_prompt("recaption_zh", self.prompt_zh, "prompt_zh"),
            ("en", False): read_prompt("describe_en"),
            ("zh", False): read_prompt("describe_zh"),
        }
        asker = Asker(
            tools.generate(self.model),
            self.model,
            AnswerStore(tools.cache / "recaption"),
            batch=self.batch,
            retries=self.retries,
            wait=self.wait,
        )

        def request(sample: Sample, language: str, attempt: int) -> Request:
            raw = caption_of(sample).strip()[: self.max_raw]
            text = prompts[language, bool(raw)].replace("{text}", raw)
            shown = [part for message in sample.messages for part in message.content if part.media]
            asked = Sample(
                sample.id,
                (Message("user", (*shown, Part("text", text))),),
                {part.media: sample.media[part.media] for part in shown},
                language=language,
            )
            temperature = self.retry_temperature if attempt else self.temperature
            sampling = SamplingParams(temperature, max_tokens=self.max_tokens, seed=tools.seed + attempt)
            return Request(asked, sampling, thinking=self.thinking)

        def apply(batch: Sequence[Sample]) -> list[Result]:
            results: list[Result] = [Dropped("no_picture")] * len(batch)
            waiting = [number for number, sample in enumerate(batch) if sample.media]
            languages = [self._language_for(sample) for sample in batch]
            for attempt in range(self.attempts):
                answers = asker.ask([request(batch[number], languages[number], attempt) for number in waiting])
                for number, answer in zip(waiting, answers, strict=True):
                    results[number] = self._result(batch[number], languages[number], answer)
                waiting = [number for number in waiting if _may_improve(results[number])]
            return results

        return apply

    def _language_for(self, sample: Sample) -> str:
        if self.language != "raw":
            return self.language
        told = tell_language(caption_of(sample)).language
        return told if told in ("en", "zh") else sample.language if sample.language in ("en", "zh") else "en"

    def _result(self, sample: Sample, language: str, answer: Completion | None) -> Result:
        if answer is None:
            return Dropped("model_failed", f"{self.model} gave no answer to this request alone")
        text, reason = read_answer(answer)
        if reason:
            return Dropped(reason, answer.text[:200])
        meta = {"raw_caption": caption_of(sample), "captioner": self.model}
        return with_caption(sample, text, language=language, meta=meta)


def _may_improve(result: Result) -> bool:
    return isinstance(result, Dropped) and result.reason != "model_failed"


def read_answer(answer: Completion) -> tuple[str, str]:
    """The caption in an answer, and why it cannot be used (empty if it can)."""
    text = answer_of(answer.text)
    if wrapped := _PREFIX.match(text):
        text = text[wrapped.end() :].strip() or text
    if len(text) > 1 and text[0] + text[-1] in ('""', "“”") and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    if answer.finish_reason == "length":
        return text, "recaption_cut"
    if not text:
        return text, "recaption_empty"
    if _REFUSAL.match(text):
        return text, "recaption_refused"
    return text, ""


def read_prompt(name: str, own: str = "", field: str = "") -> str:
    """A prompt of ours, or of a file.

    Raises:
        RecipeError: the file is not there, is not UTF-8, or has no ``{text}``.
    """
    if not own:
        path = files("mimovl.curate.caption") / "prompts" / f"{name}.txt"
        return path.read_text(encoding="utf-8").strip()
    try:
        text = Path(own).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"recaption.{field}: {own} cannot be read ({error}); give a text file in UTF-8") from None
    if "{text}" not in text:
        raise RecipeError(f"recaption.{field}: {own} has no {{text}}; put it where the raw text shall stand")
    return text
