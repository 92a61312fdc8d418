"""Rounding is right on average and exact where it can be; the optimizer is torch's where nothing is narrow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mimovl.train.low_precision import Gradients, Noise, RoundedAdamW, local, round_stochastically

BF16 = torch.bfloat16


def test_rounding_is_to_a_neighbour_and_right_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    value = torch.tensor([1.0 + 1 / 512, -3.0 - 1 / 100, 1e-20, 0.3]).repeat(40_000, 1)
    rounded = round_stochastically(value, generator).float()
    exact = value[0].double()
    step = exact.abs() / 128
    assert ((rounded - value).abs() <= step).all()
    assert all(len(column.unique()) == 2 for column in rounded.T)
    mean = rounded.double().mean(0)
    assert ((mean - exact).abs() < 5 * step / 40_000**0.5).all()
    nearest = value[0].to(BF16).double()
    assert ((mean - exact).abs() < (nearest - exact).abs() / 4).all()


def test_what_bfloat16_holds_stays_as_it_is() -> None:
    value = torch.tensor([0.0, -0.0, 1.0, -2.5, float("inf"), -float("inf"), 2.0**-130])
    assert torch.equal(round_stochastically(value).float(), value)
    assert torch.isnan(round_stochastically(torch.tensor([float("nan")]))).all()
    largest = torch.tensor([3.3895313892515355e38])
    assert torch.equal(round_stochastically(largest).float(), largest)


def test_the_same_step_rounds_alike_and_other_steps_and_shards_do_not() -> None:
    value = torch.full((1000,), 1.001)

    def written(seed: int, shard: int, step: int) -> torch.Tensor:
        noise, target = Noise(seed, shard), torch.zeros(1000, dtype=BF16)
        noise.begin(step, value.device)
        noise.write(target, value)
        return target

    first = written(1, 0, 5)
    assert torch.equal(first, written(1, 0, 5))
    for other in ((2, 0, 5), (1, 1, 5), (1, 0, 6)):
        assert not torch.equal(first, written(*other)), other
    wide = torch.zeros(1000)
    Noise(1, 0).write(wide, value)
    assert torch.equal(wide, value)


def optimizer(parameters: list[nn.Parameter], gradients: Gradients, states: torch.dtype) -> RoundedAdamW:
    groups = [{"params": parameters, "lr": 0.01, "weight_decay": 0.1}]
    return RoundedAdamW(groups, gradients, Noise(0, 0), betas=(0.9, 0.95), state_dtype=states)


def descend(parameter: nn.Parameter, inner: torch.optim.Optimizer, steps: int) -> list[float]:
    """Towards a fixed point, from the gradient of half the square."""
    target = torch.linspace(-1, 1, parameter.numel())
    distances = []
    for _ in range(steps):
        loss = (parameter.float() - target).square().sum() / 2
        loss.backward()
        inner.step()
        inner.zero_grad()
        distances.append(float(loss.detach()))
    return distances


def test_in_float32_it_is_torchs_adamw() -> None:
    ours, theirs = nn.Parameter(torch.ones(64)), nn.Parameter(torch.ones(64))
    descend(ours, optimizer([ours], Gradients(), torch.float32), 30)
    descend(theirs, torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.95), weight_decay=0.1), 30)
    torch.testing.assert_close(ours, theirs, rtol=2e-6, atol=1e-7)


def test_updates_too_small_for_bfloat16_arrive_all_the_same() -> None:
    """At 1.0 the type's step is 1/128; updates of 1/10,000 would all be lost to nearest rounding."""
    parameter = nn.Parameter(torch.ones(4096, dtype=BF16))
    inner = optimizer([parameter], Gradients(), BF16)
    for group in inner.param_groups:
        group |= {"lr": 1e-4, "weight_decay": 0.0}
    for _ in range(50):
        parameter.grad = torch.ones_like(parameter)
        inner.step()
        inner.zero_grad()
    assert float(parameter.detach().float().mean()) == pytest.approx(1 - 50 * 1e-4, abs=4e-4)
    assert {state.dtype for key, state in inner.state[parameter].items() if key != "step"} == {BF16}


def test_narrow_states_descend_as_wide_ones() -> None:
    wide, narrow = nn.Parameter(torch.ones(64)), nn.Parameter(torch.ones(64))
    reached = descend(wide, optimizer([wide], Gradients(), torch.float32), 60)[-1]
    assert descend(narrow, optimizer([narrow], Gradients(), BF16), 60)[-1] == pytest.approx(reached, rel=0.05)


@pytest.mark.parametrize(("kept", "summed"), [(BF16, torch.float32), (torch.float32, BF16)])
def test_gradients_add_up_in_their_own_type_and_none_is_left_to_autograd(kept, summed) -> None:
    parameter = nn.Parameter(torch.zeros(3, dtype=kept))
    gradients = Gradients(summed)
    gradients.watch([parameter])
    for value in (1.0, 2**-7, 2**-7):
        (parameter * value).sum().backward()
        assert parameter.grad is None
    found = gradients(parameter)
    assert found is not None and found.dtype == summed
    # 1 + 2 · 2⁻⁷ in both: what is added is above half a step of bfloat16 at 1.
    assert found.tolist() == [1 + 2**-6] * 3
    gradients.drop(parameter)
    assert gradients(parameter) is None


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    parameter = nn.Parameter(torch.ones(3))
    inner = optimizer([parameter], Gradients(), torch.float32)
    inner.step()
    assert parameter.tolist() == [1, 1, 1] and not inner.state[parameter]


def test_a_tensor_that_is_not_divided_is_its_own_part() -> None:
    tensor = torch.ones(2)
    assert local(tensor) is tensor
