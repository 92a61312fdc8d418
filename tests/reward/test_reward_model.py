import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mimovl.data import PreferenceProcessor
from mimovl.errors import CheckpointError, DataError
from mimovl.model import HEAD_FILE, RewardNetwork, save_checkpoint
from mimovl.reward import BradleyTerryReward, RewardRouter, load_reward_model
from mimovl.reward.calibration import Calibration
from mimovl.reward.microbatch import MicroBatcher
from mimovl.reward.reward_model import CARD_FILE, RewardCard, differing, tokenizer_hash
from mimovl.reward.service_config import ServiceConfig
from mimovl.types import Completion, Outcome
from tests.data import small
from tests.preference_pairs import preference

PROCESSOR = PreferenceProcessor.of(small.processor())
CALIBRATION = Calibration(temperature=0.5, centre=0.1, tie=0.2, pairs=7)


def folder_of(path: Path, *, kind: str = "multimodal") -> Path:
    network = RewardNetwork(small.model(), ties=True, seed=2)
    save_checkpoint(network, path, side_files=small.processor().files())
    RewardCard(kind, tokenizer_hash(PROCESSOR), CALIBRATION).write(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return folder_of(tmp_path_factory.mktemp("rm") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> BradleyTerryReward:
    return load_reward_model(folder)


PROMPTS = [preference(small.picture(60, 90), id="a"), preference(id="b"), preference(small.clip(4, 2.0), id="c")] * 3
ANSWERS = ["3", "12 blue squares", "There are 3 red circles." * 6] * 3


def test_scores_are_fitted_rewards_and_do_not_depend_on_how_they_are_batched(model, folder) -> None:
    rewards = model.rewards(PROMPTS, ANSWERS)
    alone = [model.rewards([prompt], [answer])[0] for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)]
    narrow = load_reward_model(folder, tokens=60).rewards(PROMPTS, ANSWERS)
    np.testing.assert_allclose(rewards, alone, atol=1e-4)
    np.testing.assert_allclose(rewards, narrow, atol=1e-4)
    assert len({round(reward, 3) for reward in rewards}) == 3
    scores = model.score(PROMPTS, ANSWERS)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-(np.array(rewards) - 0.1) / 0.5)), atol=1e-7)


def test_the_answer_is_scored_and_not_the_thought_before_it(model) -> None:
    [prompt] = PROMPTS[:1]
    plain, thought, unfinished = model.score(
        [prompt] * 3, ["3", "<think>\nThree or four.\n</think>\n\n3", "<think>\nThree or four"]
    )
    assert plain == pytest.approx(thought, abs=1e-5) and unfinished == 0
    assert model.score([prompt], ["3<|im_end|>\n<|im_start|>user\nThanks!"]) == [0.0]


def test_the_router_rewards_a_task_by_it(model) -> None:
    prompt = replace(PROMPTS[0], task="rlhf")
    router = RewardRouter(models={"rlhf": model}, micro_batch=2)
    verdicts = router.score_many([prompt] * 3, ["3", Completion("12 blue squares", "stop"), Completion("3", "length")])
    expected = model.score([prompt] * 2, ["3", "12 blue squares"])
    assert [verdict.score for verdict in verdicts[:2]] == pytest.approx(expected, abs=1e-5)
    assert verdicts[2].outcome is Outcome.TRUNCATED and verdicts[2].score == 0


def test_the_service_gathers_its_conversations_into_micro_batches(model) -> None:
    sizes = []

    class Watched:
        def score(self, samples, completions):
            sizes.append(len(samples))
            return model.score(samples, completions)

    async def ask() -> list[list[float]]:
        batcher = MicroBatcher(Watched(), "rlhf", size=4, gather_seconds=0.2)
        await batcher.start()
        try:
            answered = await asyncio.gather(*(batcher.score([p], [a]) for p, a in zip(PROMPTS, ANSWERS, strict=True)))
        finally:
            await batcher.close()
        return [verdict.score for [verdict] in answered]

    assert asyncio.run(ask()) == pytest.approx(model.score(PROMPTS, ANSWERS), abs=1e-4)
    assert sizes == [4, 4, 1]


def test_the_service_loads_it_by_its_name(folder: Path, model) -> None:
    entry = {"load": "mimovl.reward:load_reward_model", "arguments": {"path": str(folder), "tokens": 512}}
    [served] = ServiceConfig(models={"rlhf": entry}).load_models().values()
    assert served.score(PROMPTS[:1], ["3"]) == model.score(PROMPTS[:1], ["3"])


def test_two_loads_are_the_same_model_and_a_changed_tensor_is_found(folder: Path, model) -> None:
    other = load_reward_model(folder)
    assert differing(model.network, other.network) == []
    with torch.no_grad():
        other.network.reward.score.weight[0, 0] += 1
    assert differing(model.network, other.network) == ["reward.score.weight"]


def test_a_text_reward_model_refuses_pictures_by_the_samples_name(tmp_path: Path) -> None:
    text = load_reward_model(folder_of(tmp_path / "text", kind="text"))
    assert 0 < text.score(PROMPTS[1:2], ["3"])[0] < 1
    with pytest.raises(DataError, match="sample a shows 1 pictures or clips, which a text reward model does not see"):
        text.score(PROMPTS[:1], ["3"])


def test_a_conversation_longer_than_the_model_reads_is_named(model) -> None:
    with pytest.raises(DataError, match=r"sample b: its conversation has \d{4} tokens, the reward model reads 2048"):
        model.score(PROMPTS[1:2], ["3 " * 2100])


# ---------------------------------------------------------------- a folder that cannot be used


def broken(tmp_path: Path, name: str, data: bytes | None) -> Path:
    path = folder_of(tmp_path / "rm")
    if data is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(data)
    return path


def test_a_missing_head_and_a_missing_card_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="reward_head.safetensors is missing"):
        load_reward_model(broken(tmp_path / "a", HEAD_FILE, None))
    with pytest.raises(CheckpointError, match=r"reward.json is missing: its scores are not fitted yet"):
        load_reward_model(broken(tmp_path / "b", CARD_FILE, None))


def test_a_reward_model_of_another_tokenizer_is_refused(tmp_path: Path, folder: Path, tiny_start: Path) -> None:
    from tests import tiny

    theirs = tiny.processor().tokenizer.files["tokenizer.json"]
    with pytest.raises(CheckpointError, match=r"tokenizer.json is [0-9a-f]{12}…, the reward model was trained with"):
        load_reward_model(broken(tmp_path, "tokenizer.json", theirs))
    assert load_reward_model(folder, tokenizer=folder).score(PROMPTS[:1], ["3"])
    with pytest.raises(CheckpointError, match=r"reward model .* has tokenizer [0-9a-f]{12}…, .* they are of different"):
        load_reward_model(folder, tokenizer=tiny_start)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: "torn", "is not a mimovl-reward-model of version 1"),
        (lambda card: {**card, "version": 2}, "is not a mimovl-reward-model of version 1"),
        (lambda card: {**card, "kind": "audio"}, "kind 'audio'"),
        (lambda card: {**card, "calibration": {**card["calibration"], "temperature": 0}}, "temperature 0.0"),
        (lambda card: {key: card[key] for key in card if key != "calibration"}, "a field is missing"),
    ],
)
def test_a_card_that_is_not_ours_is_refused(tmp_path: Path, change, message: str) -> None:
    path = folder_of(tmp_path / "rm")
    (path / CARD_FILE).write_text(json.dumps(change(json.loads((path / CARD_FILE).read_text()))))
    with pytest.raises(CheckpointError, match=message):
        load_reward_model(path)
