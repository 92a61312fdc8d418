"""Rewards equal those of ``transformers``: its sequence classifier for text, its model and our head for pictures."""

from pathlib import Path

import torch
from torch.nn.functional import linear

from mimovl.data import PreferenceProcessor
from mimovl.model import RewardNetwork
from mimovl.model.language_only import load_language_model
from tests import parts
from tests.data import small
from tests.parity import referee
from tests.preference_pairs import preference

PROCESSOR = PreferenceProcessor.of(small.processor())
ANSWERS = ("3", "There are 12 blue squares and 3 red circles.", "是")


def test_a_text_reward_is_that_of_a_sequence_classifier_with_one_label(tmp_path: Path) -> None:
    from transformers import Qwen2Config, Qwen2ForSequenceClassification

    ids = {f"{kind}_token_id": small.tokenizer().id(f"<|{kind}_pad|>") for kind in ("image", "video")}
    folder = parts.mimo(tmp_path / "mimo", num_nextn_predict_layers=0)
    network = RewardNetwork(load_language_model(folder, **ids), seed=1)
    tensors = {f"model.{name}": value for name, value in network.language.state_dict().items() if "lm_head" not in name}
    # the same layers under their library's own name
    mimo = parts.mimo_classes()[0].from_pretrained(folder).to_dict()
    own = {
        key: mimo[key] for key in Qwen2Config().to_dict() if key in mimo and key not in ("model_type", "architectures")
    }
    twin = Qwen2ForSequenceClassification(Qwen2Config(**{**own, "num_labels": 1, "pad_token_id": 0})).eval()
    twin.load_state_dict({**tensors, "score.weight": network.reward.score.weight})
    encoded = [PROCESSOR.encode_answer(preference(), answer) for answer in ANSWERS]
    with torch.no_grad():
        ours = network.rewards(small.batch(encoded, network.config))
        theirs = torch.cat(
            [
                twin(input_ids=one.tokens[None], attention_mask=torch.ones(1, one.num_tokens)).logits[0]
                for one in encoded
            ]
        )
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_a_multimodal_reward_is_the_head_on_the_last_hidden_state_of_their_model(tmp_path: Path) -> None:
    network = RewardNetwork(small.model(), seed=1)
    twin = referee.twin(small.model(), tmp_path)
    pair = preference(small.picture(131, 97), small.picture(60, 90))
    encoded = [PROCESSOR.encode_answer(pair, answer) for answer in ANSWERS]
    with torch.no_grad():
        ours = network.rewards(small.batch(encoded))
        theirs = torch.stack(
            [
                linear(
                    twin(**referee.inputs(one, PROCESSOR), output_hidden_states=True).hidden_states[-1][0, -1],
                    network.reward.score.weight,
                )[0]
                for one in encoded
            ]
        )
    torch.testing.assert_close(ours, theirs, atol=3e-5, rtol=1e-4)
