import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mimovl.data import PreferenceProcessor
from mimovl.errors import CheckpointError
from mimovl.model import (
    HEAD_FILE,
    RewardNetwork,
    VisionLanguageModel,
    load_checkpoint,
    load_reward_network,
    save_checkpoint,
)
from tests.data import small
from tests.preference_pairs import preference

PROCESSOR = PreferenceProcessor.of(small.processor())


def network(*, ties: bool = True) -> RewardNetwork:
    return RewardNetwork(small.model(), ties=ties, seed=3)


def batch(*answers: str):
    pair = preference(small.picture(60, 90))
    return small.batch([PROCESSOR.encode_answer(pair, answer) for answer in answers])


def test_a_reward_is_the_head_at_the_last_token_of_each_conversation() -> None:
    one, packed = network(), batch("3", "12 circles", "5")
    hidden = one(packed)
    expected = [hidden[end - 1] @ one.reward.score.weight[0] for end in packed.cu_seqlens[1:].tolist()]
    torch.testing.assert_close(one.rewards(packed), torch.stack(expected))


def test_a_reward_does_not_depend_on_what_else_is_in_the_pack() -> None:
    one = network()
    together = one.rewards(batch("3", "12 circles", "5"))
    alone = torch.cat([one.rewards(batch(answer)) for answer in ("3", "12 circles", "5")])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-4)


def test_a_picture_shown_several_times_is_looked_at_once_and_gradients_are_the_same(monkeypatch) -> None:
    one = network()
    first, second = small.picture(60, 90), small.picture(60, 90, 1)
    pairs = [preference(first, second, id="a"), preference(second, id="b"), preference(small.picture(90, 60), id="c")]
    packed = small.batch([PROCESSOR.encode(pair) for pair in pairs])
    seen = []
    plain = VisionLanguageModel.encode

    def watched(self, patches, grid_thw):
        seen.append(len(grid_thw))
        return plain(self, patches, grid_thw)

    monkeypatch.setattr(VisionLanguageModel, "encode", watched)
    once = one.encode(packed.patches, packed.grid_thw)
    every = plain(one, packed.patches, packed.grid_thw)
    assert len(packed.grid_thw) == 8 and seen == [3]
    torch.testing.assert_close(once, every, atol=1e-5, rtol=1e-4)
    gradients = []
    for visual in (once, every):
        one.zero_grad()
        visual.square().sum().backward()
        gradients.append(one.projector.up.weight.grad.clone())
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("ties", [True, False])
def test_a_reward_model_is_a_hugging_face_folder_and_a_head_and_comes_back_bit_for_bit(tmp_path: Path, ties) -> None:
    one = network(ties=ties)
    folder = save_checkpoint(one, tmp_path / "rm", side_files=small.processor().files())
    assert sorted(load_file(folder / HEAD_FILE)) == (["log_tie", "score.weight"] if ties else ["score.weight"])
    read = load_reward_network(folder)
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in one.state_dict().items())
    assert one.state_dict().keys() == read.state_dict().keys()
    assert torch.equal(one.rewards(batch("3")), read.rewards(batch("3")))
    # and the language model in it is one as before
    assert torch.equal(load_checkpoint(folder)(batch("3")), one(batch("3")))


def test_a_language_model_without_a_head_is_no_reward_model(tmp_path: Path) -> None:
    folder = save_checkpoint(small.model(), tmp_path / "lm")
    with pytest.raises(CheckpointError, match=r"reward_head.safetensors is missing: the folder holds a language model"):
        load_reward_network(folder)
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        load_reward_network(tmp_path / "none")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"score.weight": torch.zeros(1, 32)}, r"score.weight has shape \[1, 32\], config.json makes it \[1, 64\]"),
        ({"weight": torch.zeros(1, 64)}, "holds weight, not score.weight and log_tie"),
        (None, "cannot be read"),
    ],
)
def test_a_head_of_another_model_is_refused(tmp_path: Path, tensors, message: str) -> None:
    folder = save_checkpoint(network(), tmp_path / "rm")
    if tensors is None:
        (folder / HEAD_FILE).write_bytes(b"torn")
    else:
        save_file(tensors, folder / HEAD_FILE)
    with pytest.raises(CheckpointError, match=message):
        load_reward_network(folder)


def test_the_head_is_drawn_by_its_seed_alone() -> None:
    torch.manual_seed(1)
    first = network().reward.score.weight
    torch.manual_seed(2)
    assert torch.equal(first, network().reward.score.weight)
    other = RewardNetwork(copy.deepcopy(small.model()), seed=4).reward.score.weight
    assert not torch.equal(first, other)
    assert float(other.detach().std()) == pytest.approx(65**-0.5, rel=0.3)
