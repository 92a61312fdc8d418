"""Generation the plain way, to compare with: no cache, no batching, the whole sequence again for every token."""

from __future__ import annotations

import torch

from mimovl.data import Encoded
from mimovl.model import VisionLanguageModel
from mimovl.types import Request
from tests import tiny


def encoded(request: Request) -> Encoded:
    sample = request.sample
    return tiny.processor().encode_prompt(sample.messages, sample.media, id=sample.id, thinking=request.thinking)


def continued(prompt: Encoded, tokens: list[int]) -> Encoded:
    """A prompt with tokens behind it, positions counting on."""
    start = int(prompt.positions[0, -1]) + 1  # the last token is text: the same number on all axes
    positions = torch.arange(start, start + len(tokens)).repeat(3, 1)
    return Encoded(
        prompt.id,
        prompt.source,
        torch.cat([prompt.tokens, torch.tensor(tokens, dtype=torch.long)]),
        torch.cat([prompt.positions, positions], dim=1),
        torch.full((prompt.num_tokens + len(tokens),), -100),
        prompt.patches,
        prompt.grid_thw,
    )


@torch.no_grad()
def logits(model: VisionLanguageModel, sequence: Encoded) -> torch.Tensor:
    """Of every position, placeholders impossible; shape (N, V)."""
    values = model.logits(model(tiny.batch([sequence])))
    values[:, list(model.config.visual_token_ids)] = float("-inf")
    return values


def greedy(model: VisionLanguageModel, request: Request) -> tuple[list[int], str]:
    """Tokens and the reason to stop."""
    prompt, tokens = encoded(request), []
    stops = {tiny.tokenizer().im_end, tiny.tokenizer().end_of_text}
    while True:
        tokens.append(int(logits(model, continued(prompt, tokens))[-1].argmax()))
        if tokens[-1] in stops:
            return tokens, "stop"
        if len(tokens) == request.sampling.max_tokens:
            return tokens, "length"


def logprobs(model: VisionLanguageModel, request: Request, tokens: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities of a completion by one forward pass over prompt and completion, as in training."""
    prompt = encoded(request)
    values = logits(model, continued(prompt, list(tokens)))[prompt.num_tokens - 1 : -1].log_softmax(-1)
    return values.gather(-1, torch.tensor(tokens)[:, None])[:, 0]
