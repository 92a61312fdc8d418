import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mimovl.data import PreferenceProcessor
from mimovl.model import RewardNetwork
from mimovl.train import Optimizer, OptimizerConfig
from mimovl.train.preference_loss import pair_losses, preference_loss
from tests import tiny
from tests.preference_pairs import Pairs, about_the_world, preference

PROCESSOR = PreferenceProcessor.of(tiny.processor())


def test_without_ties_it_is_bradley_terry() -> None:
    difference = torch.tensor([-30.0, -1.0, 0.0, 0.7, 30.0])
    losses = pair_losses(difference, torch.zeros(5, dtype=torch.bool), None)
    np.testing.assert_allclose(losses, np.logaddexp(0, -difference.double().numpy()), rtol=1e-5)


@pytest.mark.parametrize("level", [1e-6, 0.3, 2.0])
def test_with_ties_it_is_davidson_and_its_three_outcomes_sum_to_one(level: float) -> None:
    difference = torch.linspace(-8, 8, 33, dtype=torch.float64)
    log_tie = torch.tensor(math.log(level), dtype=torch.float64)
    false, true = torch.zeros(33, dtype=torch.bool), torch.ones(33, dtype=torch.bool)
    wins = pair_losses(difference, false, log_tie).neg().exp()
    loses = pair_losses(-difference, false, log_tie).neg().exp()
    ties = pair_losses(difference, true, log_tie).neg().exp()
    torch.testing.assert_close(wins + loses + ties, torch.ones(33, dtype=torch.float64))
    # Davidson's own words: probabilities in the ratio p_A : p_B : ν √(p_A p_B)
    torch.testing.assert_close(wins / loses, difference.exp())
    torch.testing.assert_close(ties, level * (wins * loses).sqrt())


def test_fitted_to_drawn_outcomes_it_finds_the_strengths_and_ties_they_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    strengths, level = np.array([0.0, 1.0, -0.5, 2.0]), 0.6
    one, other = rng.integers(0, 4, 40_000), rng.integers(0, 4, 40_000)
    half = (strengths[one] - strengths[other]) / 2
    weights = np.stack([np.exp(half), np.exp(-half), np.full_like(half, level)])
    drawn = (rng.random(len(half)) > (weights / weights.sum(0)).cumsum(0)).sum(0)
    swap = drawn == 1
    first, second = np.where(swap, other, one), np.where(swap, one, other)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        values = torch.tensor(x, requires_grad=True)
        r = torch.cat([torch.zeros(1, dtype=torch.float64), values[:3]])
        total = pair_losses(r[first] - r[second], torch.tensor(drawn == 2), values[3]).mean()
        total.backward()
        return float(total.detach()), values.grad.numpy()

    found = minimize(loss, np.zeros(4), jac=True).x
    np.testing.assert_allclose(found[:3], strengths[1:], atol=0.08)
    assert math.exp(found[3]) == pytest.approx(level, abs=0.04)


@torch.no_grad()
def test_a_pack_is_the_sum_of_its_pairs_by_source() -> None:
    pairs = [*about_the_world("world/counting", 4, ties=True), *about_the_world("world/attributes", 2)]
    network = RewardNetwork(tiny.model(), ties=True)
    loss = preference_loss(network, tiny.batch([PROCESSOR.encode(pair) for pair in pairs]))
    alone = [float(preference_loss(network, tiny.batch([PROCESSOR.encode(pair)])).total) for pair in pairs]
    assert float(loss.total) == pytest.approx(sum(alone), rel=1e-5)
    assert loss.by_source["world/counting"] == (pytest.approx(sum(alone[:4]), rel=1e-5), 4)
    assert loss.by_source["world/attributes"][1] == 2


@torch.no_grad()
def test_the_centre_adds_the_squared_sum_of_each_pair() -> None:
    network = RewardNetwork(tiny.model(), ties=True)
    pairs = about_the_world("world/counting", 3)
    batch = tiny.batch([PROCESSOR.encode(pair) for pair in pairs])
    sums = network.rewards(batch).view(-1, 2).sum(1)
    plain, centred = preference_loss(network, batch), preference_loss(network, batch, centre=0.1)
    assert float(centred.total - plain.total) == pytest.approx(0.1 * float(sums.square().sum()), rel=1e-3)
    assert centred.by_source == plain.by_source


def test_training_on_pairs_turns_their_rewards_round_and_draws_ties_together() -> None:
    pairs = Pairs(
        [preference(id="a", chosen="3", rejected="5"), preference(id="b", chosen="7", rejected="9 9", tie=True)]
    )
    network = RewardNetwork(tiny.model(), ties=True, seed=1)
    batch = tiny.batch([PROCESSOR.encode(pair) for pair in pairs])
    config = OptimizerConfig(weight_decay=0.0)
    optimizer = Optimizer(
        {"language": network.language, "reward": network.reward}, {"language": 3e-3, "reward": 1e-2}, config
    )
    before = float(network.reward.log_tie.detach())
    for _ in range(25):
        (preference_loss(network, batch).total / 2).backward()
        optimizer.step()
    first, tied = network.rewards(batch).view(-1, 2).diff(dim=1).neg().flatten().tolist()
    assert first > 2 and abs(tied) < 0.5
    assert float(network.reward.log_tie.detach()) != before
