"""What one may hand to ``Engine.generate``, made into requests."""

from __future__ import annotations

from collections.abc import Sequence

from mimovl.errors import UsageError
from mimovl.types import Message, Part, Request, Sample, SamplingParams

__all__ = ["Prompt", "as_requests"]

Prompt = Request | Sample | Sequence[Message] | str
"""A request as it is; or a sample, a conversation without pictures, or a user's words, asked with given sampling."""


def as_requests(
    prompts: Sequence[Prompt],
    sampling: SamplingParams | Sequence[SamplingParams] | None = None,
    num_samples: int = 1,
) -> list[Request]:
    """One request for each prompt.

    Args:
        prompts: requests, samples, conversations or texts.
        sampling: how to draw, one for all or one each; a request keeps its own.
        num_samples: answers to each; a request keeps its own.

    Raises:
        UsageError: one prompt in the place of a list, something else than a prompt, or another number of sampling
            settings than of prompts.
    """
    if isinstance(prompts, str | Request | Sample | Message):
        raise UsageError(f"prompts is one {type(prompts).__name__}; give a list of them")
    listed: object = prompts
    if not isinstance(listed, Sequence):
        raise UsageError(f"prompts is of type {type(prompts).__name__}; give a list")
    several: object = sampling
    if several is not None and not isinstance(several, SamplingParams | list | tuple):
        raise UsageError(f"sampling is of type {type(sampling).__name__}; give SamplingParams, or a list of them")
    if sampling is None or isinstance(sampling, SamplingParams):
        sampling = [sampling or SamplingParams()] * len(prompts)
    if len(sampling) != len(prompts):
        raise UsageError(f"{len(prompts)} prompts, {len(sampling)} sampling settings; give one for all, or one each")
    return [
        prompt if isinstance(prompt, Request) else Request(_sample(prompt, number), settings, num_samples)
        for number, (prompt, settings) in enumerate(zip(prompts, sampling, strict=True))
    ]


def _sample(prompt: Sample | Sequence[Message] | str, number: int) -> Sample:
    if isinstance(prompt, Sample):
        return prompt
    name = f"prompt-{number}"
    if isinstance(prompt, str):
        return Sample(name, (Message("user", (Part("text", text=prompt),)),))
    given: object = prompt
    if isinstance(given, list | tuple) and given and all(isinstance(message, Message) for message in given):
        return Sample(name, tuple(given))
    raise UsageError(
        f"prompt {number} is of type {type(prompt).__name__}; use a text, a list of Message, a Sample or a Request"
    )
