"""Real rollouts for tests of the update, and its loss written out sequence by sequence."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mimovl.data import Encoded
from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel
from mimovl.rl import group_advantages
from mimovl.types import Completion, Outcome, Request, Rollout, RolloutGroup, Sample, SamplingParams, Verdict
from tests import tiny
from tests.data import small
from tests.generate import plain

VERDICT = Verdict(0.0, Outcome.WRONG)


def prompts() -> list[Sample]:
    """One picture, none, a clip, two pictures; answers of different lengths."""
    pair = [small.picture(56, 84, 1), small.picture(84, 56, 2)]
    return [
        *tiny.questions("world/counting", 2),
        tiny.questions("world/arithmetic", 1)[0],
        tiny.questions("world/clip", 1)[0],
        Sample("pair", (small.user("Which?", *pair),), {item.sha256: item for item in pair}),
    ]


def policy() -> VisionLanguageModel:
    """The policy that is trained."""
    return tiny.model(sharp=8)


def sampler() -> VisionLanguageModel:
    """The policy that sampled: but for one row of its head the same, so that answers end at different lengths."""
    model = policy()
    with torch.no_grad():
        model.language.lm_head.weight[tiny.tokenizer().im_end] *= 4
    return model


def rolled() -> list[RolloutGroup]:
    """Four rollouts a prompt, rewarded by a made-up rule; some of a single token."""
    requests = [
        Request(sample, SamplingParams(temperature=1.0, max_tokens=6 + n, seed=n), 4, thinking=(None, False)[n % 2])
        for n, sample in enumerate(prompts())
    ]
    made = []
    for request, completions in zip(requests, Engine(sampler(), tiny.processor()).generate(requests), strict=True):
        # One that was to write a single token; its draw is the same.
        short = completions[1]
        completions[1] = Completion("", "length", short.tokens[:1], short.logprobs[:1])
        rewards = [(sum(completion.tokens) % 7) / 6 for completion in completions]
        rollouts = [
            Rollout(completion, reward, VERDICT, advantage)
            for completion, reward, advantage in zip(completions, rewards, group_advantages(rewards), strict=True)
        ]
        made.append(RolloutGroup(request, rollouts, 0))
    lengths = {len(rollout.completion.tokens) for group in made for rollout in group.rollouts}
    assert len(lengths) > 3 and 1 in lengths
    return made


def encoded(groups: list[RolloutGroup]) -> list[Encoded]:
    return [plain.encoded(group.request) for group in groups]


def forbidden(model: VisionLanguageModel) -> torch.Tensor:
    return torch.tensor(model.config.visual_token_ids)


def gradients(model: VisionLanguageModel) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def sequence_logprobs(model: VisionLanguageModel, group: RolloutGroup, rollout: Rollout) -> torch.Tensor:
    """One completion behind its whole prompt, pictures encoded anew, float64 softmax."""
    prompt = plain.encoded(group.request)
    tokens = torch.tensor(rollout.completion.tokens)
    values = model.logits(model(tiny.batch([plain.continued(prompt, tokens.tolist())])))
    values[:, list(model.config.visual_token_ids)] = float("-inf")
    return values[prompt.num_tokens - 1 : -1].double().log_softmax(-1).gather(-1, tokens[:, None])[:, 0]


def naive(
    model: VisionLanguageModel,
    groups: list[RolloutGroup],
    token_loss: Callable[[torch.Tensor, RolloutGroup, Rollout], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Mean over groups of token means of a loss; by default eq. 1 of the report, − advantage · log π."""
    total = torch.zeros((), dtype=torch.float64)
    for group in groups:
        num_tokens = sum(len(rollout.completion.tokens) for rollout in group.rollouts)
        for rollout in group.rollouts:
            logprobs = sequence_logprobs(model, group, rollout)
            losses = token_loss(logprobs, group, rollout) if token_loss else -rollout.advantage * logprobs
            total = total + losses.sum() / num_tokens
    return total / len(groups)
