"""What is refused before any work is done, and how much room a request may come to need."""

from __future__ import annotations

from dataclasses import replace

from mimovl.data import Tokenizer
from mimovl.errors import DataError, UsageError
from mimovl.generate.page_pool import PagePool
from mimovl.generate.sampling import check_sampling, whole
from mimovl.model import VisionLanguageModel
from mimovl.types import Request

__all__ = ["check_engine", "check_place", "check_request", "longest"]


def check_engine(model: object, *, slots: object, page_tokens: object, cache_tokens: object) -> None:
    """Refuse what no engine can be made with; the last two may be None.

    Raises:
        UsageError: names it, and what it should be.
    """
    if not isinstance(model, VisionLanguageModel):
        raise UsageError(f"model is of type {type(model).__name__}; give a model, as load_checkpoint(PATH) returns one")
    numbers = {"slots": slots}
    numbers |= {"page_tokens": page_tokens} if page_tokens is not None else {}
    numbers |= {"cache_tokens": cache_tokens} if cache_tokens is not None else {}
    for name, value in numbers.items():
        if (whole(value) or 0) < 1:
            raise UsageError(f"{name} is {value!r}; it must be a whole number of at least 1")


def check_request(request: Request, slots: int, tokenizer: Tokenizer) -> Request:
    """The request, in numbers of Python's own; what cannot be run is refused.

    Raises:
        DataError: it asks for no sample or for more than there are slots, or its sampling means nothing.
    """
    name = f"sample {request.sample.id}"
    number = whole(request.num_samples)
    if number is None or not 1 <= number <= slots:
        raise DataError(
            f"{name}: {request.num_samples} samples are asked for, the engine has {slots} slots; "
            "ask for at least one and at most that many, or raise slots"
        )
    sampling = check_sampling(request.sampling, name)
    if never := [text for text in sampling.stop if tokenizer.number(text) in tokenizer.special_ids]:
        raise DataError(
            f"{name}: stop is {never[0]!r}, a control token and no text; answers end with their turn anyway"
        )
    if sampling is request.sampling and number is request.num_samples:
        return request
    return replace(request, sampling=sampling, num_samples=number)


def check_place(model: VisionLanguageModel, pool: PagePool) -> None:
    """Refuse to go on with a model that has changed its type or device.

    Raises:
        UsageError: names both.
    """
    made = pool.keys
    if (made.dtype, made.device) != (model.dtype, model.device):
        raise UsageError(
            f"the engine was made for a model in {made.dtype} on {made.device}, which is now in {model.dtype} on "
            f"{model.device}; make another engine"
        )


def longest(prompt: int, request: Request, samples: int, page_tokens: int, cache_tokens: int | None) -> int:
    """Pages a group takes if so many samples grow to their longest.

    Args:
        prompt: its tokens.
        request: whose answers have at most ``max_tokens``.
        samples: that are written.
        page_tokens: tokens of a page.
        cache_tokens: that there are; None for no limit.

    Raises:
        DataError: it never fits; names the sample and both numbers.
    """
    pages = prompt // page_tokens + samples * -(-(prompt % page_tokens + request.sampling.max_tokens) // page_tokens)
    if cache_tokens is not None and pages * page_tokens > cache_tokens:
        raise DataError(
            f"sample {request.sample.id}: a prompt of {prompt} tokens with {samples} answers of "
            f"{request.sampling.max_tokens} takes up to {pages * page_tokens} tokens of the cache, which has "
            f"{cache_tokens}; raise cache_tokens, or ask for less"
        )
    return pages
