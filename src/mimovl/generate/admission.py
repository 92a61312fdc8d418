"""What is refused before any work is done, and how much room a request may come to need."""

from __future__ import annotations

from mimovl.data import Tokenizer
from mimovl.errors import DataError, UsageError
from mimovl.generate.page_pool import PagePool
from mimovl.generate.sampling import check_sampling
from mimovl.model import VisionLanguageModel
from mimovl.types import Request

__all__ = ["check_place", "check_request", "longest"]


def check_request(request: Request, slots: int, tokenizer: Tokenizer) -> None:
    """Refuse what cannot be run.

    Raises:
        DataError: it asks for no sample or for more than there are slots, or its sampling means nothing.
    """
    name = f"sample {request.sample.id}"
    number: object = request.num_samples
    if not isinstance(number, int) or not 1 <= number <= slots:
        raise DataError(
            f"{name}: {number} samples are asked for, the engine has {slots} slots; "
            "ask for at least one and at most that many, or raise slots"
        )
    check_sampling(request.sampling, name)
    if never := [text for text in request.sampling.stop if tokenizer.number(text) in tokenizer.special_ids]:
        raise DataError(
            f"{name}: stop is {never[0]!r}, a control token and no text; answers end with their turn anyway"
        )


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
