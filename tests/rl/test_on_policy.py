import pytest
import torch

from mimovl.rl import PolicyTokens, on_policy_loss


def test_the_gradient_of_each_logprob_is_its_advantage_times_its_share() -> None:
    logprobs = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantages, shares = torch.tensor([1.0, -0.5, 2.0]), torch.tensor([0.2, 0.3, 0.5])
    loss, figures = on_policy_loss(PolicyTokens(logprobs, torch.zeros(3), advantages, shares))
    loss.backward()
    assert loss.item() == pytest.approx(0.2 - 0.3 + 0.5)
    assert logprobs.grad.tolist() == pytest.approx([-0.2, 0.15, -1.0])
    assert figures == {}
