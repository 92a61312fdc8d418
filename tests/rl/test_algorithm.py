import torch

from mimovl.rl import PolicyTokens, pack_groups, policy_terms
from tests.rl import groups as made


def test_an_algorithm_of_ones_own_sees_every_sampled_token_with_its_advantage_and_share() -> None:
    seen: list[PolicyTokens] = []

    def mine(tokens: PolicyTokens) -> tuple[torch.Tensor, dict[str, float]]:
        seen.append(tokens)
        return (tokens.logprobs * tokens.shares).sum(), {"sum": float(tokens.shares.sum())}

    groups, model = made.rolled(), made.policy()
    (pack,) = pack_groups(groups, made.encoded(groups), model, 100_000)
    terms = policy_terms(model, pack, made.forbidden(model), mine)
    (tokens,) = seen
    assert len(tokens.logprobs) == sum(len(r.completion.tokens) for group in groups for r in group.rollouts)
    assert torch.equal(tokens.advantages, pack.advantages) and tokens.reference_logprobs is None
    assert terms.loss.item() == (tokens.logprobs * tokens.shares).sum().item()
    assert abs(terms.figures["sum"] - 1) < 1e-5
