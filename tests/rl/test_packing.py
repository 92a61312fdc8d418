import pytest
import torch

from mimovl.rl import pack_groups
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


def test_a_group_is_never_split_and_none_is_left_out(groups) -> None:
    packs = pack_groups(groups, encoded(groups), made.policy(), 64)
    assert [(pack.first_group, pack.num_groups) for pack in packs] == [(n, 1) for n in range(5)]
    several = pack_groups(groups, encoded(groups), made.policy(), 200)
    assert 1 < len(several) < 5
    assert sum(pack.num_groups for pack in several) == 5
    assert [pack.first_group for pack in several] == [
        sum(pack.num_groups for pack in several[:n]) for n in range(len(several))
    ]
    assert all(pack.batch.num_tokens <= 200 for pack in several if pack.num_groups > 1)
