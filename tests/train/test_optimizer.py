import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mimovl.data.processor import Encoded
from mimovl.model import build_model
from mimovl.train import Optimizer, OptimizerConfig, language_model_loss, learning_rate_factor, set_trainable
from tests import tiny
from tests.data import small

RATES = {"vision": 1e-4, "projector": 1e-3, "language": 1e-2}


def parts(model):
    return {name: part for name, part in model.named_children() if any(p.requires_grad for p in part.parameters())}


def random_gradients(model, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = scale * torch.randn(parameter.shape, generator=generator)


# ---------------------------------------------------------------- schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, *(0.2 + 0.8 * (1 - n / 8) for n in range(8))]),
        ("cosine", [1 / 3, 2 / 3, *(0.2 + 0.4 * (1 + math.cos(math.pi * n / 8)) for n in range(8))]),
    ],
)
def test_schedules_by_hand(schedule, expected):
    """Ten steps, two of them warm-up, a fifth left in the end."""
    factors = [learning_rate_factor(step, 10, warmup=0.2, schedule=schedule, final=0.2) for step in range(10)]
    assert factors == pytest.approx(expected)


@given(
    steps=st.integers(1, 300),
    warmup=st.floats(0, 1),
    final=st.floats(0, 1),
    schedule=st.sampled_from(["constant", "cosine", "linear"]),
)
def test_a_schedule_rises_then_falls_within_its_bounds(steps, warmup, final, schedule):
    factors = [learning_rate_factor(n, steps, warmup=warmup, schedule=schedule, final=final) for n in range(steps)]
    rise, fall = factors[: math.ceil(warmup * steps)], factors[math.ceil(warmup * steps) :]
    assert rise == sorted(rise) and all(0 < factor <= 1 for factor in rise)
    assert fall == sorted(fall, reverse=True) and all(final - 1e-9 <= factor <= 1 for factor in fall)


# ---------------------------------------------------------------- which parameters, how


def test_set_trainable_lets_exactly_these_parts_learn():
    model = tiny.model()
    for chosen in (["projector"], ["vision", "projector"], ["language"], []):
        set_trainable(model, chosen)
        assert {name for name, p in model.named_parameters() if p.requires_grad} == {
            name for name, _ in model.named_parameters() if name.split(".")[0] in chosen
        }


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_frozen_parts_stay_to_the_bit(name):
    model = tiny.model()
    before = copy.deepcopy(model.state_dict())
    set_trainable(model, ["projector"])
    optimizer = Optimizer(parts(model), {"projector": 1e-2}, OptimizerConfig(name=name))
    for step in range(3):
        random_gradients(model, step)
        optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) == (not key.startswith("projector.")), key


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_each_part_has_its_own_learning_rate(name):
    """The first update of every matrix has the size of its part's rate, for muon as for adamw."""
    model = tiny.model()
    before = copy.deepcopy(dict(model.named_parameters()))
    optimizer = Optimizer(parts(model), RATES, OptimizerConfig(name=name, weight_decay=0))
    random_gradients(model)
    optimizer.step(0.5)
    for key, parameter in model.named_parameters():
        if parameter.ndim == 2:
            size = (parameter - before[key]).detach().square().mean().sqrt().item()
            assert size == pytest.approx(0.5 * RATES[key.split(".")[0]], rel=0.85), key
            if name == "adamw":
                assert size == pytest.approx(0.5 * RATES[key.split(".")[0]], rel=1e-3), key


def test_matrices_decay_and_embeddings_heads_norms_and_biases_do_not():
    model = tiny.model()
    before = copy.deepcopy(dict(model.named_parameters()))
    optimizer = Optimizer(parts(model), dict.fromkeys(RATES, 0.1), OptimizerConfig(weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for key, parameter in model.named_parameters():
        decays = parameter.ndim == 2 and "embed_tokens" not in key and "lm_head" not in key
        expected = before[key] * (1 - 0.1 * 0.5) if decays else before[key]
        assert torch.allclose(parameter, expected, rtol=1e-6), key


def test_muon_takes_the_matrices_of_blocks_and_adamw_the_rest():
    model = tiny.model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    adamw, muon = Optimizer(parts(model), RATES, OptimizerConfig(name="muon")).inner
    assert isinstance(adamw, torch.optim.AdamW) and isinstance(muon, torch.optim.Muon)
    owned = [
        {names[id(parameter)] for group in inner.param_groups for parameter in group["params"]}
        for inner in (adamw, muon)
    ]
    assert not owned[0] & owned[1] and owned[0] | owned[1] == set(names.values())
    assert {"language.embed_tokens.weight", "language.lm_head.weight", "language.norm.weight"} <= owned[0]
    assert {"language.layers.0.self_attn.q_proj.weight", "vision.patch_embed.weight", "projector.up.weight"} <= owned[1]
    assert all(model.get_parameter(name).ndim == 2 for name in owned[1])


def test_a_tied_head_is_updated_once():
    model = build_model(small.config(tie_embeddings=True), seed=0)
    optimizer = Optimizer(parts(model), RATES, OptimizerConfig())
    assert len({id(parameter) for parameter in optimizer.parameters}) == len(optimizer.parameters)
    owned = [parameter for inner in optimizer.inner for group in inner.param_groups for parameter in group["params"]]
    assert len({id(parameter) for parameter in owned}) == len(owned) == len(list(model.parameters()))


# ---------------------------------------------------------------- clipping, state


@pytest.mark.parametrize(("scale", "clipped"), [(1e-4, False), (10.0, True)])
def test_gradients_above_the_bound_are_scaled_down_to_it(scale, clipped, monkeypatch):
    model = tiny.model()
    optimizer = Optimizer(parts(model), RATES, OptimizerConfig(clip_norm=0.7))
    random_gradients(model, scale=scale)
    before = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    seen = []
    monkeypatch.setattr(
        optimizer.inner[0], "step", lambda: seen.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    )
    assert optimizer.step() == pytest.approx(before.norm().item(), rel=1e-5)
    assert seen[0].norm().item() == pytest.approx(0.7 if clipped else before.norm().item(), rel=1e-5)
    assert torch.cosine_similarity(seen[0], before, dim=0).item() == pytest.approx(1, abs=1e-5)


def test_gradients_are_cleared_and_a_step_without_any_changes_nothing():
    model = tiny.model()
    optimizer = Optimizer(parts(model), RATES, OptimizerConfig(name="muon"))
    random_gradients(model)
    optimizer.step()
    assert all(parameter.grad is None for parameter in model.parameters())
    before = copy.deepcopy(model.state_dict())
    assert optimizer.step() == 0
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_restored_state_goes_on_to_the_bit(name):
    def steps(model, optimizer, numbers):
        for number in numbers:
            random_gradients(model, number)
            optimizer.step(1 / (1 + number))

    config = OptimizerConfig(name=name)
    whole = tiny.model()
    steps(whole, Optimizer(parts(whole), RATES, config), range(4))
    first, second = tiny.model(), tiny.model(seed=1)
    before = Optimizer(parts(first), RATES, config)
    steps(first, before, range(2))
    after = Optimizer(parts(second), RATES, config)
    second.load_state_dict(first.state_dict())
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    steps(second, after, range(2, 4))
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in whole.state_dict().items())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_both_algorithms_lower_the_loss(name):
    model = tiny.model()
    optimizer = Optimizer(parts(model), dict.fromkeys(RATES, 3e-3), OptimizerConfig(name=name))
    encoded: list[Encoded] = [tiny.processor().encode(sample) for sample in tiny.mixed()[::6]]
    losses = []
    for _ in range(16):
        loss = language_model_loss(model, tiny.batch(encoded))
        (loss.total / loss.num_tokens).backward()
        losses.append(loss.total.item() / loss.num_tokens)
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_modules_that_share_a_parameter_give_it_the_first_ones_rate():
    layer = nn.Linear(3, 3)
    optimizer = Optimizer({"a": layer, "b": nn.Sequential(layer)}, {"a": 1.0, "b": 2.0}, OptimizerConfig())
    assert {group["lr"] for inner in optimizer.inner for group in inner.param_groups} == {1.0}
