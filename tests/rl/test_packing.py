import pytest
import torch

from mimovl.rl import pack_groups, policy_terms
from mimovl.rl.on_policy import on_policy_loss
from mimovl.types import RolloutGroup
from tests.rl import groups as made
from tests.rl.groups import encoded


@pytest.fixture(scope="module")
def groups() -> list[RolloutGroup]:
    return made.rolled()


def test_a_pack_holds_each_prompt_once_with_its_answers_behind_it(groups) -> None:
    (pack,) = pack_groups(groups, encoded(groups), made.policy(), 100_000)
    start = 0
    for group, prompt, family in zip(groups, encoded(groups), pack.families, strict=True):
        end = start + prompt.num_tokens
        assert family.prompt == prompt.num_tokens and torch.equal(pack.batch.tokens[start:end], prompt.tokens)
        assert torch.equal(pack.batch.positions[:, start:end], prompt.positions)
        after = int(prompt.positions[:, -1].max()) + 1
        assert len(family.answers) == len(group.rollouts)
        start = end
        for rollout, length in zip(group.rollouts, family.answers, strict=True):
            tokens = rollout.completion.tokens
            assert length == len(tokens) - 1
            assert pack.batch.tokens[start : start + length].tolist() == list(tokens[:-1])
            assert pack.batch.positions[:, start : start + length].tolist() == [list(range(after, after + length))] * 3
            start += length
    assert start == pack.batch.num_tokens
    assert len(pack.batch.grid_thw) == sum(len(prompt.grid_thw) for prompt in encoded(groups)) == 5


def test_every_sampled_token_is_predicted_from_the_one_before_it(groups) -> None:
    (pack,) = pack_groups(groups, encoded(groups), made.policy(), 100_000)
    place = 0
    ends = iter(torch.tensor([sum(family.answers) + family.prompt for family in pack.families]).cumsum(0).tolist())
    start = 0
    for group, family in zip(groups, pack.families, strict=True):
        last = start + family.prompt - 1
        for rollout in group.rollouts:
            tokens = rollout.completion.tokens
            rows = pack.rows[place : place + len(tokens)]
            assert pack.targets[place : place + len(tokens)].tolist() == list(tokens)
            assert int(rows[0]) == last
            assert pack.batch.tokens[rows[1:]].tolist() == list(tokens[:-1])
            assert pack.sampled_logprobs[place : place + len(tokens)].tolist() == pytest.approx(
                rollout.completion.logprobs
            )
            assert pack.advantages[place : place + len(tokens)].tolist() == pytest.approx(
                [rollout.advantage] * len(tokens)
            )
            place += len(tokens)
        start = next(ends)
    assert place == len(pack.rows) == len(pack.targets)


@pytest.mark.parametrize("normaliser", ["group", "sequence"])
def test_shares_are_equal_within_what_they_are_normalised_by_and_sum_to_one(groups, normaliser) -> None:
    packs = pack_groups(groups, encoded(groups), made.policy(), 64, normaliser=normaliser)
    shares = torch.cat([pack.shares for pack in packs])
    assert shares.sum().item() == pytest.approx(1.0)
    expected = []
    for group in groups:
        whole = sum(len(rollout.completion.tokens) for rollout in group.rollouts)
        for rollout in group.rollouts:
            count = len(rollout.completion.tokens)
            parts = whole if normaliser == "group" else count * len(group.rollouts)
            expected += [1 / (len(groups) * parts)] * count
    assert shares.tolist() == pytest.approx(expected)


def test_packs_keep_to_their_length_and_every_answer_is_in_one_of_them(groups) -> None:
    whole = pack_groups(groups, encoded(groups), made.policy(), 100_000)
    longest = max(
        prompt.num_tokens + len(rollout.completion.tokens) - 1
        for group, prompt in zip(groups, encoded(groups), strict=True)
        for rollout in group.rollouts
    )
    for length in (longest, 200):
        packs = pack_groups(groups, encoded(groups), made.policy(), length)
        assert len(packs) > 1 and all(pack.batch.num_tokens <= length for pack in packs)
        assert torch.equal(torch.cat([pack.targets for pack in packs]), whole[0].targets)
        assert torch.equal(torch.cat([pack.shares for pack in packs]), whole[0].shares)
    alone = pack_groups(groups, encoded(groups), made.policy(), 1)
    assert [len(family.answers) for pack in alone for family in pack.families] == [1] * 20


def test_a_group_that_is_split_gives_the_gradient_of_the_whole_one(groups) -> None:
    gradients = []
    for length in (100_000, 1):
        model = made.policy()
        for pack in pack_groups(groups, encoded(groups), model, length):
            policy_terms(model, pack, torch.zeros(0, dtype=torch.long), on_policy_loss).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert (gradient - gradients[1][name]).norm() <= 1e-5 * gradient.norm() + 1e-9, name
