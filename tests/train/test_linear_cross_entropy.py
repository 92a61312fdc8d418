"""Chunks change nothing but memory: losses and gradients are those of F.cross_entropy, computed in float64."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mimovl.train import language_model_loss
from mimovl.train import linear_cross_entropy as module
from mimovl.train.linear_cross_entropy import linear_cross_entropy
from mimovl.types import IGNORE_INDEX
from tests import tiny


def problem(tokens, size, vocabulary, *, dtype=torch.float32, seed=0, ignored=0.0, device="cpu"):
    """Hidden states, output matrix, targets of which a share is ignored, and weights of which some are zero."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, size, generator=generator).to(dtype)
    weight = (2 * torch.randn(vocabulary, size, generator=generator) / size**0.5).to(dtype)
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    targets[torch.rand(tokens, generator=generator) < ignored] = IGNORE_INDEX
    # Powers of two: where a narrow gradient is rounded, before or after its weight, makes no difference.
    weights = torch.tensor([0.0, 0.25, 1.0, 2.0])[torch.randint(4, (tokens,), generator=generator)]
    return [value.to(device) for value in (hidden, weight, targets, weights)]


def results(total, losses, hidden, weight):
    (total / 4).backward()
    return total.detach(), losses.detach(), hidden.grad, weight.grad


def chunked(hidden, weight, targets, weights, *, rows):
    """Total, losses and gradients in chunks of at most ``rows`` tokens."""
    hidden, weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    total, losses = linear_cross_entropy(hidden, weight, targets, weights, chunk_logits=rows * len(weight))
    return results(total, losses, hidden, weight)


def plain(hidden, weight, targets, weights, *, dtype=None):
    """The same from all logits, in ``dtype`` or that of the values."""
    hidden, weight = (value.detach().to(dtype or value.dtype, copy=True).requires_grad_() for value in (hidden, weight))
    logits = F.linear(hidden, weight)
    losses = F.cross_entropy(logits if dtype else logits.float(), targets, reduction="none", ignore_index=IGNORE_INDEX)
    return results((losses * weights).sum(), losses, hidden, weight)


def distance(one, other):
    return (one.double() - other.double()).norm().item()


@given(
    tokens=st.integers(1, 70),
    size=st.integers(1, 24),
    vocabulary=st.integers(2, 300),
    rows=st.integers(1, 40),
    ignored=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_values_and_gradients_are_those_of_float64(tokens, size, vocabulary, rows, ignored, seed):
    values = problem(tokens, size, vocabulary, seed=seed, ignored=ignored)
    for one, exact in zip(chunked(*values, rows=rows), plain(*values, dtype=torch.float64), strict=True):
        # A loss or a gradient may cancel to nearly nothing; what it is made of sets the scale then: logits, that carry
        # rounding of their own size, and weighted hidden states.
        logits = (values[0].double() @ values[1].double().T).abs().max().item()
        assert distance(one, exact) <= 1e-6 * max(exact.norm().item(), values[3].norm().item(), logits)


def test_a_large_vocabulary_is_added_up_to_1e_6():
    """151,680 terms, added by F.cross_entropy in float32 one after another, are some 5e-6 off."""
    values = problem(24, 32, 151_680)
    for one, exact in zip(chunked(*values, rows=7), plain(*values, dtype=torch.float64), strict=True):
        assert distance(one, exact) <= 1e-6 * exact.norm().item()


def test_bfloat16_is_rounded_where_a_linear_layer_rounds():
    """Logits round alike, so values agree in float32; gradients agree but for entries at the edge of two numbers."""
    values = problem(300, 64, 3000, dtype=torch.bfloat16, ignored=0.1)
    ours, theirs, exact = chunked(*values, rows=37), plain(*values), plain(*values, dtype=torch.float64)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert one.dtype == torch.float32
        assert distance(one, other) <= 1e-6 * other.norm().item()
    for one, other, true in zip(ours[2:], theirs[2:], exact[2:], strict=True):
        assert one.dtype == torch.bfloat16
        assert (one == other).double().mean() > 0.998
        assert distance(one, true) <= 1.001 * distance(other, true)


def test_float64_keeps_its_gradients():
    values = problem(50, 16, 90, dtype=torch.float64)
    for one, other in zip(chunked(*values, rows=8), plain(*values), strict=True):
        assert one.dtype == other.dtype
        assert distance(one, other) <= 1e-6 * other.norm().item()


def test_what_fits_in_one_chunk_is_bit_for_bit_the_plain_computation():
    values = problem(40, 16, 90, ignored=0.2)
    for one, other in zip(chunked(*values, rows=40), plain(*values), strict=True):
        assert torch.equal(one, other)


def test_the_same_input_gives_the_same_bits():
    values = problem(100, 32, 500)
    for one, other in zip(chunked(*values, rows=9), chunked(*values, rows=9), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("rows", [7, 100])
def test_a_token_without_target_or_weight_teaches_nothing(rows):
    hidden, weight, targets, weights = problem(60, 16, 90, ignored=0.3)
    _, losses, grad_hidden, _ = chunked(hidden, weight, targets, weights, rows=rows)
    silent = (targets == IGNORE_INDEX) | (weights == 0)
    assert 0 < silent.sum() < len(silent)
    assert torch.equal((grad_hidden == 0).all(-1), silent)
    # A weight of zero does not hide the loss; there is none without a target.
    assert torch.equal(losses == 0, targets == IGNORE_INDEX)


def test_every_token_weighs_one_without_weights():
    hidden, weight, targets, _ = problem(60, 16, 90)
    total, losses = linear_cross_entropy(hidden, weight, targets, chunk_logits=500)
    assert total.item() == pytest.approx(losses.double().sum().item(), rel=1e-6)


@pytest.mark.parametrize("rows", [7, 100])
def test_what_is_frozen_gets_no_gradient(rows):
    hidden, weight, targets, weights = problem(60, 16, 90)
    expected = plain(hidden, weight, targets, weights)[2:]
    for learning in ((True, False), (False, True), (False, False)):
        inputs = [value.clone().requires_grad_(on) for value, on in zip((hidden, weight), learning, strict=True)]
        total, losses = linear_cross_entropy(*inputs, targets, weights, chunk_logits=rows * 90)
        assert total.requires_grad is any(learning)
        assert not losses.requires_grad
        if any(learning):
            (total / 4).backward()
        for value, on, gradient in zip(inputs, learning, expected, strict=True):
            assert (value.grad is not None) is on
            assert not on or torch.allclose(value.grad, gradient, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        total, _ = linear_cross_entropy(hidden.requires_grad_(), weight, targets, weights, chunk_logits=rows * 90)
    assert not total.requires_grad


def test_without_gradients_none_are_computed(monkeypatch):
    hidden, weight, targets, weights = problem(60, 16, 90)
    expected = plain(hidden, weight, targets, weights)[1]
    monkeypatch.setattr(module, "_add_product", None)
    with torch.no_grad():
        _, losses = linear_cross_entropy(hidden, weight.requires_grad_(), targets, weights, chunk_logits=500)
    assert torch.allclose(losses, expected, rtol=1e-5, atol=1e-6)


def test_logits_far_beyond_the_range_of_exp_are_no_trouble():
    hidden, weight, targets, weights = problem(60, 16, 90)
    values = hidden * 300, weight, targets, weights
    assert F.linear(values[0], weight).max() > 500
    for one, exact in zip(chunked(*values, rows=8), plain(*values, dtype=torch.float64), strict=True):
        assert distance(one, exact) <= 1e-5 * exact.norm().item()  # the logits themselves are rounded at 1e-7 of 1000


def test_gradients_of_several_packs_add_up():
    hidden, weight, targets, weights = problem(60, 16, 90)
    weight.requires_grad_()
    for part in (slice(0, 25), slice(25, 60)):
        linear_cross_entropy(hidden[part], weight, targets[part], weights[part], chunk_logits=500)[0].backward()
    expected = plain(hidden, weight, targets, weights)[3] * 4
    assert torch.allclose(weight.grad, expected, rtol=1e-5, atol=1e-6)


def test_a_second_backward_is_refused_not_wrong():
    hidden, weight, targets, weights = problem(60, 16, 90)
    for retain in (False, True):
        total, _ = linear_cross_entropy(hidden.requires_grad_(), weight, targets, weights, chunk_logits=500)
        (total / 3).backward(retain_graph=retain)
        with pytest.raises(RuntimeError, match="second time|modified by an inplace"):
            total.backward()


@pytest.mark.parametrize("target", [90, -1])
def test_a_target_outside_the_vocabulary_is_an_error(target):
    hidden, weight, targets, weights = problem(60, 16, 90)
    targets[33] = target
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        linear_cross_entropy(hidden, weight, targets, weights, chunk_logits=500)


def test_the_trainers_loss_is_the_same_in_chunks(monkeypatch):
    batch = tiny.batch([tiny.processor().encode(sample) for sample in tiny.mixed()[::5]])
    whole, parts = tiny.model(), tiny.model()
    expected = language_model_loss(whole, batch)
    expected.total.backward()
    monkeypatch.setattr(module, "MIN_CHUNK_LOGITS", 1)
    assert expected.num_tokens > 2 * whole.config.language.hidden_size // 4  # so there are several chunks
    loss = language_model_loss(parts, batch)
    loss.total.backward()
    assert loss.total.item() == pytest.approx(expected.total.item(), rel=1e-6)
    assert loss.by_source.keys() == expected.by_source.keys()
    for source, (total, count) in expected.by_source.items():
        assert loss.by_source[source] == (pytest.approx(total, rel=1e-6), count)
    for (name, one), other in zip(parts.named_parameters(), whole.parameters(), strict=True):
        assert distance(one.grad, other.grad) <= 1e-5 * other.grad.norm().item(), name


MEASURE = """
import sys, torch
import torch.nn.functional as F
from mimovl.train.linear_cross_entropy import linear_cross_entropy

def run(tokens, vocabulary):
    hidden, weight = torch.randn(tokens, 32, requires_grad=True), torch.randn(vocabulary, 32, requires_grad=True)
    targets, weights = torch.randint(vocabulary, (tokens,)), torch.rand(tokens)
    before = kilobytes("VmRSS")
    if sys.argv[1] == "plain":
        total = (F.cross_entropy(F.linear(hidden, weight), targets, reduction="none") * weights).sum()
    else:
        total = linear_cross_entropy(hidden, weight, targets, weights)[0]
    gradients = torch.autograd.grad(total, (hidden, weight))
    return kilobytes("VmHWM") - before - sum(gradient.nbytes for gradient in gradients) // 1024

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

run(256, 2000)
print(run(640, 151_680))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory_at_a_large_vocabulary_is_at_most_15_percent_of_full_logits():
    """Both sides are measured, beyond inputs and the gradients that both must return."""
    peak = {
        side: int(subprocess.run([sys.executable, "-c", MEASURE, side], capture_output=True, check=True).stdout)
        for side in ("plain", "chunked")
    }
    assert peak["plain"] > 2 * 640 * 151_680 * 4 / 1024  # logits at least twice
    assert peak["chunked"] <= 0.15 * peak["plain"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_it_is_the_same(dtype):
    values = problem(300, 64, 3000, dtype=dtype, ignored=0.1, device="cuda")
    ours, theirs, exact = chunked(*values, rows=37), plain(*values), plain(*values, dtype=torch.float64)
    for one, other, true in zip(ours, theirs, exact, strict=True):
        assert one.dtype == other.dtype
        assert distance(one, true) <= 1.01 * distance(other, true) + 1e-6 * true.norm().item()
