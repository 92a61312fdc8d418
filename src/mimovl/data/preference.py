"""Preferences: two answers to one conversation, and which is better; as tensors, a pair of conversations.

    processor = PreferenceProcessor.of(Processor.load(checkpoint))
    encoded = processor.encode(preference)      both conversations end to end, two segments, one label

A pair is one thing to the packer: its halves never part, and neither sees the other. Whatever packs, draws and resumes
samples does so with pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from mimovl.data.chat_template import answer_of, ask_without_thinking, think
from mimovl.data.processor import Encoded, Processor
from mimovl.errors import DataError
from mimovl.media_check import check_media
from mimovl.types import IGNORE_INDEX, Message, Part, Sample

__all__ = ["TIE", "WINS", "Preference", "PreferenceProcessor", "with_answer"]

WINS, TIE = 0, 1
"""Labels of a pair, at the last token of its first conversation: the first answer is better, or neither is."""


@dataclass(frozen=True, slots=True)
class Preference(Sample):
    """A prompt with its pictures, ending with the user's turn, and two answers to it."""

    chosen: str = ""
    rejected: str = ""
    tie: bool = False
    """Neither answer is better; ``chosen`` and ``rejected`` are then just the first and the second."""


def with_answer(sample: Sample, answer: str) -> tuple[Message, ...]:
    """The conversation with an answer as its last turn.

    Raises:
        DataError: the last turn is not the user's.
    """
    if not sample.messages or sample.messages[-1].role != "user":
        last = sample.messages[-1].role if sample.messages else "nobody"
        raise DataError(f"sample {sample.id}: an answer follows the user's turn, but the last one is by {last}")
    return (*sample.messages, Message("assistant", (Part("text", answer),)))


@dataclass(frozen=True)
class PreferenceProcessor(Processor):
    """A processor of preferences.

    Args:
        text_only: refuse pictures, which a text reward model does not see.
        empty_thought: answers are read as MiMo-VL writes them when it does not think: after an empty thought, to a
            turn that asks for none. False for a model whose answers never have a thought.
    """

    text_only: bool = False
    empty_thought: bool = True

    @classmethod
    def of(cls, processor: Processor, *, text_only: bool = False, empty_thought: bool = True) -> PreferenceProcessor:
        """The same tokenizer, template and settings, for pairs."""
        values = {one.name: getattr(processor, one.name) for one in fields(Processor)}
        return cls(**values, text_only=text_only, empty_thought=empty_thought)

    def encode(self, sample: Sample) -> Encoded:
        """Both conversations of a preference, end to end; thoughts before the answers are left out, as in scoring.

        Raises:
            DataError: it is no preference, its answers are equal but not marked as a tie, its last turn is not the
                user's, its pictures do not match its text, or it has pictures and none are to be read; names it.
            MediaError: a picture or clip cannot be decoded.
        """
        if not isinstance(sample, Preference):
            raise DataError(f"sample {sample.id} is no preference: it has no chosen and rejected answer")
        chosen, rejected = answer_of(sample.chosen), answer_of(sample.rejected)
        if chosen == rejected and not sample.tie:
            raise DataError(f"pair {sample.id}: chosen and rejected are the same text; mark it as a tie, or drop it")
        first, second = self.encode_answer(sample, chosen), self.encode_answer(sample, rejected)
        labels = torch.full((first.num_tokens + second.num_tokens,), IGNORE_INDEX)
        labels[first.num_tokens - 1] = TIE if sample.tie else WINS
        return Encoded(
            id=sample.id,
            source=sample.source,
            tokens=torch.cat([first.tokens, second.tokens]),
            positions=torch.cat([first.positions, second.positions], dim=1),
            labels=labels,
            patches=[*first.patches, *second.patches],
            grid_thw=[*first.grid_thw, *second.grid_thw],
            segments=(first.num_tokens, second.num_tokens),
        )

    def encode_answer(self, sample: Sample, answer: str) -> Encoded:
        """One conversation with one answer, without labels; raises as :meth:`encode`."""
        check_media(sample)
        if self.text_only and sample.media:
            raise DataError(
                f"sample {sample.id} shows {len(sample.media)} pictures or clips, which a text reward model does not "
                "see; train or ask a multimodal one (kind: multimodal)"
            )
        *prompt, last = with_answer(sample, answer)
        if self.empty_thought:
            prompt, last = [*ask_without_thinking(prompt)], Message("assistant", (Part("text", think("", answer)),))
        encoded = self.encode_prompt([*prompt, last], sample.media, id=sample.id, generate=False)
        encoded.source = sample.source
        return encoded
