"""A trained reward model as the router and the service ask it: conversations in, scores in [0, 1] out.

    model = load_reward_model("runs/reward-tiny/model")
    RewardRouter(models={"multimodal_rlhf": model})                                   in this process
    models: {multimodal_rlhf: {load: "mimovl.reward:load_reward_model", arguments: {path: rm/}}}      in a service

What is scored is the answer; the thought before it is left out, as pairs have none and a thought is not what people
see. Conversations are packed up to ``tokens`` for each forward pass, and a picture that many of them show, as the
rollouts of a group do, is encoded once.

The folder is a Hugging Face folder with two files more: ``reward_head.safetensors`` and ``reward.json``, which says how
rewards become scores and by which tokenizer it was trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from mimovl.atomic import write_file
from mimovl.data import PreferenceProcessor, Processor, collate, pack
from mimovl.data.tokenizer import SPECIAL_TOKENS
from mimovl.errors import CheckpointError, DataError
from mimovl.model import RewardNetwork, load_reward_network
from mimovl.model.hf_checkpoint import read_side_files
from mimovl.reward.calibration import Calibration
from mimovl.types import Sample
from mimovl.verify.answer import split_thought

__all__ = [
    "CARD_FILE",
    "BradleyTerryReward",
    "RewardCard",
    "RewardKind",
    "load_reward_model",
    "differing",
    "tokenizer_hash",
]

CARD_FILE = "reward.json"
FORMAT, VERSION = "mimovl-reward-model", 1
TOKENS = 8192
"""Tokens of one forward pass."""

RewardKind = Literal["multimodal", "text"]
"""Of a vision-language model, or of a language model, which sees no pictures."""


@dataclass(frozen=True)
class RewardCard:
    """What the weights do not say: the content of ``reward.json``."""

    kind: RewardKind
    tokenizer: str
    """SHA-256 of ``tokenizer.json``."""
    calibration: Calibration
    empty_thought: bool = True
    """See ``PreferenceProcessor``."""

    def write(self, folder: Path) -> None:
        """Put it into the model's folder, whole or not at all."""
        values = {"format": FORMAT, "version": VERSION, **asdict(self)}
        write_file(folder / CARD_FILE, (json.dumps(values, indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> RewardCard:
        """The card of a model's folder.

        Raises:
            CheckpointError: it is missing or not one of ours.
        """
        file = folder / CARD_FILE
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(
                f"{file} is missing: its scores are not fitted yet, or the file was not copied along; run the mimovl "
                "reward train that makes the folder to its end"
            ) from None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{file}: cannot be read ({error}); copy it again") from None
        if not isinstance(values, dict) or (values.pop("format", None), values.pop("version", None)) != (
            FORMAT,
            VERSION,
        ):
            raise CheckpointError(f"{file} is not a {FORMAT} of version {VERSION}; train the model again")
        try:
            numbers = {name: float(values["calibration"][name]) for name in ("temperature", "centre", "tie")}
            calibration = Calibration(**numbers, pairs=int(values["calibration"]["pairs"]))
            card = cls(values["kind"], str(values["tokenizer"]), calibration, bool(values["empty_thought"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{file}: a field is missing or of another type ({error!r}); copy it again") from None
        if card.kind not in get_args(RewardKind) or not 0 < calibration.temperature < float("inf"):
            raise CheckpointError(
                f"{file}: kind {card.kind!r}, temperature {calibration.temperature}; a kind is one of "
                f"{', '.join(get_args(RewardKind))} and a temperature is above 0"
            )
        return card


def tokenizer_hash(processor: Processor) -> str:
    """SHA-256 of a processor's ``tokenizer.json``."""
    return hashlib.sha256(processor.tokenizer.files["tokenizer.json"]).hexdigest()


class BradleyTerryReward:
    """A reward model; a ``RewardModel`` of the router.

    Args:
        network: the model with its head.
        processor: of its checkpoint.
        calibration: the map from rewards to scores.
        tokens: of one forward pass; a longer conversation is passed alone.
    """

    def __init__(
        self,
        network: RewardNetwork,
        processor: PreferenceProcessor,
        calibration: Calibration | None = None,
        *,
        tokens: int = TOKENS,
    ) -> None:
        self.network = network
        self.processor = processor
        self.calibration = calibration or Calibration()
        self.tokens = tokens

    def score(self, samples: Sequence[Sample], completions: Sequence[str]) -> list[float]:
        """Scores in [0, 1], in order; 0.5 is an average answer.

        0 where there is nothing to score: the thought was never finished, or the text spells out control tokens, with
        which a policy could write turns of its own.

        Raises:
            DataError: a conversation does not end with the user's turn, or its pictures cannot be used; names it.
        """
        answers = [_answer(completion) for completion in completions]
        asked = [number for number, answer in enumerate(answers) if answer is not None]
        rewards = self.rewards([samples[n] for n in asked], [answers[n] or "" for n in asked])
        scores = [0.0] * len(answers)
        for number, score in zip(asked, self.calibration.scores(rewards).tolist(), strict=True):
            scores[number] = score
        return scores

    @torch.inference_mode()
    def rewards(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        """Rewards of answers as they are, without bounds, in order; raises as :meth:`score`."""
        encoded = [self.processor.encode_answer(*pair) for pair in zip(samples, answers, strict=True)]
        if not encoded:
            return []
        config = self.network.config
        longest = max(one.num_tokens for one in encoded)
        if longest > config.language.max_position:
            worst = next(one for one in encoded if one.num_tokens == longest)
            raise DataError(
                f"sample {worst.id}: its conversation has {longest} tokens, the reward model reads "
                f"{config.language.max_position}; shorten it"
            )
        rewards = [0.0] * len(encoded)
        training = self.network.training
        self.network.eval()
        try:
            for places in pack([one.num_tokens for one in encoded], max(self.tokens, longest)):
                batch = collate(
                    [encoded[place] for place in places],
                    visual_token_ids=(config.image_token_id, config.video_token_id),
                    merge_unit=config.vision.merge_unit,
                )
                found = self.network.rewards(batch.to(self.network.device)).tolist()
                for place, reward in zip(places, found, strict=True):
                    rewards[place] = reward
        finally:
            self.network.train(training)
        return rewards


def load_reward_model(
    path: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: str = "float32",
    tokens: int = TOKENS,
    tokenizer: str | Path | None = None,
) -> BradleyTerryReward:
    """A reward model that ``mimovl reward train`` made.

    Args:
        path: its folder.
        device: where it computes.
        dtype: of its parameters: float32, bfloat16 or float16.
        tokens: of one forward pass.
        tokenizer: a checkpoint folder whose tokenizer it must share, such as the policy's; None does not ask.

    Raises:
        CheckpointError: a file is missing or unreadable, the tokenizer is not the one it was trained with, or
            ``tokenizer`` holds another one.
    """
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in types:
        raise CheckpointError(f"dtype {dtype!r} of reward model {path} is none of {', '.join(types)}")
    folder = Path(path)
    network = load_reward_network(folder, dtype=types[dtype], device=device)
    card = RewardCard.read(folder)
    processor = PreferenceProcessor.of(
        Processor.from_files(network.side_files, network.config, where=str(folder)),
        text_only=card.kind == "text",
        empty_thought=card.empty_thought,
    )
    if (found := tokenizer_hash(processor)) != card.tokenizer:
        raise CheckpointError(
            f"{folder / 'tokenizer.json'} is {found[:12]}…, the reward model was trained with {card.tokenizer[:12]}… "
            f"({CARD_FILE}); put its own tokenizer back"
        )
    if tokenizer is not None:
        theirs = hashlib.sha256(read_side_files(tokenizer).get("tokenizer.json", b"")).hexdigest()
        if theirs != card.tokenizer:
            raise CheckpointError(
                f"reward model {folder} has tokenizer {card.tokenizer[:12]}…, {tokenizer} has {theirs[:12]}…: they are "
                "of different models; train a reward model from a checkpoint with this tokenizer"
            )
    return BradleyTerryReward(network, processor, card.calibration, tokens=tokens)


def _answer(completion: str) -> str | None:
    """What is scored of a completion; None where there is nothing to score."""
    answer = split_thought(completion)
    return None if answer is None or any(token in answer for token in SPECIAL_TOKENS) else answer


def differing(one: RewardNetwork, other: RewardNetwork) -> list[str]:
    """Names of the tensors in which two networks differ, the head's among them."""
    mine, theirs = one.state_dict(), other.state_dict()
    return sorted(
        {*mine.keys() ^ theirs.keys()}
        | {name for name in mine.keys() & theirs.keys() if not torch.equal(mine[name].cpu(), theirs[name].cpu())}
    )
