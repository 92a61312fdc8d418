"""Loss and gradient equal eq. 1 written out sequence by sequence; packing and sharing change nothing."""

from __future__ import annotations

import pytest
import torch

from mimovl.model import VisionLanguageModel
from mimovl.rl import loss as rl_loss
from mimovl.rl import pack_groups, policy_logprobs, policy_terms
from mimovl.types import Rollout, RolloutGroup
from tests import tiny
from tests.rl import groups as made
from tests.rl.groups import VERDICT, encoded, forbidden, gradients, naive


@pytest.fixture(scope="module")
def groups() -> list[RolloutGroup]:
    return made.rolled()


_model = made.policy


@pytest.mark.parametrize("length", [64, 200, 100_000], ids=["groups split", "some packs", "one pack"])
def test_loss_and_gradient_equal_the_naive_computation(groups, length) -> None:
    reference, model = _model(), _model()
    expected = naive(reference, groups)
    expected.backward()
    packs = pack_groups(groups, encoded(groups), model, length)
    assert len(packs) == {64: 6, 100_000: 1}.get(length, len(packs)) and (length != 200 or 1 < len(packs) < 5)
    loss = 0.0
    for pack in packs:
        terms = policy_terms(model, pack, forbidden(model))
        terms.loss.backward()
        loss += terms.loss.item()
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    difference = (gradients(model) - gradients(reference)).norm() / gradients(reference).norm()
    assert difference < 1e-5  # float32; 5e-7 measured


def test_in_float64_only_the_last_softmax_differs(groups) -> None:
    """The same with float64 parameters: what is left is the float32 of the logits; 4e-8 measured."""
    reference, model = _model().double(), _model().double()
    naive(reference, groups).backward()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    policy_terms(model, pack, forbidden(model)).loss.backward()
    difference = (gradients(model) - gradients(reference)).norm() / gradients(reference).norm()
    assert difference < 1e-6


def test_a_picture_is_encoded_once_a_group_and_a_prompt_computed_once(groups, monkeypatch) -> None:
    model = _model()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    pictures, tokens = [], []
    encode, embed = VisionLanguageModel.encode, VisionLanguageModel.embed
    monkeypatch.setattr(
        VisionLanguageModel, "encode", lambda self, *args: (pictures.append(len(args[0])), encode(self, *args))[1]
    )
    monkeypatch.setattr(
        VisionLanguageModel, "embed", lambda self, batch: (tokens.append(batch.num_tokens), embed(self, batch))[1]
    )
    policy_terms(model, pack, forbidden(model))
    assert pictures == [sum(len(patches) for prompt in encoded(groups) for patches in prompt.patches)]
    written = sum(len(rollout.completion.tokens) - 1 for group in groups for rollout in group.rollouts)
    assert tokens == [written + sum(prompt.num_tokens for prompt in encoded(groups))]


def test_logits_a_chunk_at_a_time_give_the_same_loss_and_gradient(groups, monkeypatch) -> None:
    plain, chunked = _model(), _model()
    (pack,) = pack_groups(groups, encoded(groups), plain, 100_000)
    expected = policy_terms(plain, pack, forbidden(plain))
    expected.loss.backward()
    monkeypatch.setattr(rl_loss, "CHUNK_LOGITS", 7 * plain.config.language.vocab_size)
    terms = policy_terms(chunked, pack, forbidden(chunked))
    terms.loss.backward()
    assert terms.loss.item() == pytest.approx(expected.loss.item(), abs=1e-6)
    assert (terms.entropy, terms.logprob_gap) == pytest.approx((expected.entropy, expected.logprob_gap), rel=1e-5)
    assert torch.allclose(gradients(chunked), gradients(plain), atol=1e-6)


def test_logprobs_are_those_of_each_sequence_alone(groups) -> None:
    """In the order of groups and rollouts; 1.5e-6 measured, of log-probabilities down to -20."""
    model = _model()
    with torch.no_grad():
        expected = [made.sequence_logprobs(model, group, rollout) for group in groups for rollout in group.rollouts]
        (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
        logprobs, _ = policy_logprobs(model, pack, forbidden(model))
    assert (logprobs - torch.cat(expected)).abs().max() < 1e-5


def test_a_group_of_some_counts_as_in_the_whole(groups) -> None:
    """Groups dealt out to several processes add up to the loss of all of them."""
    model = _model()
    parts = [groups[:2], groups[2:]]
    losses = [
        policy_terms(model, pack, forbidden(model)).loss.item()
        for part in parts
        for pack in pack_groups(part, encoded(part), model, 100_000, num_groups=len(groups))
    ]
    assert sum(losses) == pytest.approx(naive(model, groups).item(), abs=1e-6)


def test_the_gap_between_sampling_and_training_is_rounding(groups) -> None:
    """Of the parameters that sampled."""
    model = made.sampler()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    terms = policy_terms(model, pack, forbidden(model))
    assert terms.num_tokens == len(pack.sampled_logprobs)
    assert terms.logprob_gap / terms.num_tokens < 1e-5
    other = policy_terms(tiny.model(seed=1, sharp=8), pack, forbidden(model))
    assert other.logprob_gap / other.num_tokens > 0.1


def test_entropy_is_that_of_what_may_be_sampled(groups) -> None:
    model = tiny.model()
    with torch.no_grad():
        model.language.lm_head.weight.zero_()
    (pack,) = pack_groups(groups, encoded(groups), model, 100_000)
    terms = policy_terms(model, pack, forbidden(model))
    size = model.config.language.vocab_size - len(model.config.visual_token_ids)
    assert terms.entropy / terms.num_tokens == pytest.approx(torch.tensor(float(size)).log().item(), rel=1e-5)


def test_no_advantage_no_gradient(groups) -> None:
    model = _model()
    idle = [
        RolloutGroup(group.request, [Rollout(r.completion, 1.0, VERDICT, 0.0) for r in group.rollouts], 0)
        for group in groups
    ]
    (pack,) = pack_groups(idle, encoded(idle), model, 100_000)
    policy_terms(model, pack, forbidden(model)).loss.backward()
    assert gradients(model).abs().max() == 0
