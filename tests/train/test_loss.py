"""The loss equals a computation written out in float64, and packing changes nothing."""

import pytest
import torch

from mimovl.train import language_model_loss, token_losses
from mimovl.types import IGNORE_INDEX
from tests import tiny


@pytest.fixture(scope="module")
def encoded():
    """Pictures, clips and text; several sources."""
    return [tiny.processor().encode(sample) for sample in tiny.mixed()[::5]]


@pytest.fixture(scope="module")
def model():
    return tiny.model(sharp=8)


@torch.no_grad()
def reference(model, sample):
    """Minus the log-probability of every learned token of one sample, from all its logits, in float64."""
    logits = model.logits(model(tiny.batch([sample]))).double()
    logprobs = logits - logits.exp().sum(-1, keepdim=True).log()
    return [-logprobs[n, label].item() for n, label in enumerate(sample.labels.tolist()) if label != IGNORE_INDEX]


def test_the_loss_of_a_pack_is_that_of_its_samples_alone(model, encoded):
    expected = [loss for sample in encoded for loss in reference(model, sample)]
    loss = language_model_loss(model, tiny.batch(encoded))
    assert loss.num_tokens == len(expected) == sum(sample.num_labels for sample in encoded)
    assert loss.total.item() == pytest.approx(sum(expected), rel=1e-6)
    where, losses = token_losses(model, tiny.batch(encoded))
    assert losses.tolist() == pytest.approx(expected, abs=2e-5)
    labels = torch.cat([sample.labels for sample in encoded])
    assert where.tolist() == (labels != IGNORE_INDEX).nonzero().flatten().tolist()


def test_gradients_of_a_pack_are_the_sum_of_those_of_its_samples(encoded):
    """In float64, so that nothing but the computation itself could differ."""
    packed, alone = tiny.model(sharp=8).double(), tiny.model(sharp=8).double()
    language_model_loss(packed, tiny.batch(encoded)).total.backward()
    for sample in encoded:
        language_model_loss(alone, tiny.batch([sample])).total.backward()
    for (name, one), other in zip(packed.named_parameters(), alone.parameters(), strict=True):
        # Logits go through float32 on their way to the cross-entropy.
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5 * other.grad.abs().max().item()), name


def test_losses_by_source_add_up_to_the_whole(model, encoded):
    loss = language_model_loss(model, tiny.batch(encoded))
    assert set(loss.by_source) == {"world/counting", "world/clip", "world/arithmetic"}
    assert sum(total for total, _ in loss.by_source.values()) == pytest.approx(loss.total.item(), rel=1e-6)
    assert sum(count for _, count in loss.by_source.values()) == loss.num_tokens
    for source, (total, count) in loss.by_source.items():
        own = [value for sample in encoded if sample.source == source for value in reference(model, sample)]
        assert (total, count) == (pytest.approx(sum(own), rel=1e-5), len(own))


def test_weights_scale_the_total_and_the_normaliser_but_not_the_losses_by_source(model, encoded):
    plain, weighted = tiny.batch(encoded), tiny.batch(encoded)
    weighted.loss_weights *= 0.5
    one, half = language_model_loss(model, plain), language_model_loss(model, weighted)
    assert half.total.item() == pytest.approx(one.total.item() / 2)
    assert half.num_tokens == one.num_tokens / 2
    assert half.by_source == one.by_source
