"""The clipped surrogate, case by case and over real rollouts."""

from __future__ import annotations

import math

import pytest
import torch

from mimovl.rl import (
    PolicyTokens,
    VanillaConfig,
    clipped_loss,
    on_policy_loss,
    pack_groups,
    policy_logprobs,
    policy_terms,
)
from tests import tiny
from tests.rl import groups as made
from tests.rl.groups import encoded, forbidden, gradients, naive

CONFIG = VanillaConfig(clip_low=0.2, clip_high=0.3)


def one(ratio: float, advantage: float, config: VanillaConfig = CONFIG, behind: float | None = None):
    """Loss, gradient of the log-probability and figures of a single token."""
    logprob = torch.tensor([-1.0], requires_grad=True)
    reference = None if behind is None else torch.tensor([-1.0 + behind])
    tokens = PolicyTokens(
        logprob, torch.tensor([-1.0 - math.log(ratio)]), torch.tensor([advantage]), torch.tensor([1.0]), reference
    )
    loss, figures = clipped_loss(tokens, config)
    loss.backward()
    return loss.item(), logprob.grad.item(), figures


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.25, 2.0, -2.5, -2.5),
        (1.5, 2.0, -2.6, 0.0),  # too likely already: 1 + clip_high, and no more to learn
        (0.5, 2.0, -1.0, -1.0),  # become unlikely, though good: learns on
        (0.5, -2.0, 1.6, 0.0),  # unlikely enough: 1 - clip_low
        (0.9, -2.0, 1.8, 1.8),
        (1.5, -2.0, 3.0, 3.0),  # become likely, though bad: learns on
    ],
)
def test_the_clip_takes_the_gradient_only_where_the_ratio_has_gone_far_enough(ratio, advantage, loss, slope) -> None:
    value, gradient, figures = one(ratio, advantage)
    assert (value, gradient) == (pytest.approx(loss, abs=1e-5), pytest.approx(slope, abs=1e-5))
    assert figures == {"clipped": float(slope == 0)}


def test_the_divergence_is_schulmans_third() -> None:
    config = VanillaConfig(kl=0.1)
    for behind in (-1.0, 0.0, 0.7):
        value, gradient, figures = one(1.0, 0.0, config, behind)
        expected = math.exp(behind) - behind - 1
        assert value == pytest.approx(0.1 * expected, abs=1e-6) and figures["kl"] == pytest.approx(expected, abs=1e-6)
        assert gradient == pytest.approx(0.1 * (1 - math.exp(behind)), abs=1e-6)


def test_on_the_parameters_that_sampled_its_gradient_is_the_on_policy_one() -> None:
    groups = made.rolled()
    found = []
    for algorithm in (on_policy_loss, lambda tokens: clipped_loss(tokens, CONFIG)):
        model = made.sampler()
        (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
        policy_terms(model, pack, forbidden(model), algorithm).loss.backward()
        found.append(gradients(model))
    assert (found[0] - found[1]).norm() / found[0].norm() < 1e-5


@pytest.mark.parametrize("kl", [0.0, 0.2])
def test_loss_and_gradient_equal_those_written_out_sequence_by_sequence(kl: float) -> None:
    """On a policy some way from the one that sampled; clips at work on both sides."""
    groups, config = made.rolled(), VanillaConfig(clip_low=0.01, clip_high=0.02, kl=kl)
    other = tiny.model(seed=1, sharp=8)

    def moved():
        model = made.sampler()
        with torch.no_grad():
            model.language.norm.weight.mul_(1.05)
        return model

    def token_loss(logprobs, group, rollout):
        ratio = (logprobs - torch.tensor(rollout.completion.logprobs)).exp()
        clipped = torch.where(ratio > 1.02, 1.02, torch.where(ratio < 0.99, 0.99, ratio))
        losses = -torch.minimum(ratio * rollout.advantage, clipped * rollout.advantage)
        with torch.no_grad():
            reference = made.sequence_logprobs(other, group, rollout)
        return losses + kl * ((reference - logprobs).exp() - (reference - logprobs) - 1)

    reference, model = moved(), moved()
    expected = naive(reference, groups, token_loss)
    expected.backward()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    with torch.no_grad():
        beside = policy_logprobs(other, pack, forbidden(other))[0] if kl else None
    terms = policy_terms(model, pack, forbidden(model), lambda tokens: clipped_loss(tokens, config), beside)
    terms.loss.backward()
    assert terms.loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    assert (gradients(model) - gradients(reference)).norm() / gradients(reference).norm() < 1e-5
    assert 0.05 < terms.figures["clipped"] < 0.95
