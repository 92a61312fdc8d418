"""A reward model: our own model with a scalar head that reads the last token of a conversation.

    network = RewardNetwork(load_checkpoint(start), seed=0)
    network.rewards(batch)                                  one number a conversation
    save_checkpoint(network, folder)                        Hugging Face folder, and the head beside it
    network = load_reward_network(folder)

MiMo-VL §3.2 trains two, a text one from MiMo-7B and a multimodal one from MiMo-VL-7B; size and head are not given. The
head is that of ``transformers``' sequence classifiers with one label: a row without bias, at the last token. A reward
is only compared with others of the same prompt, so a bias would have no gradient. The head is drawn with standard
deviation (E + 1)^-½ (Stiennon et al., 2020, appendix B). ``log_tie`` is Davidson's (1970) parameter of ties, see
``train/preference_loss``.

Legend: N tokens, S conversations, P patches, E hidden size.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from mimovl.errors import CheckpointError
from mimovl.model.hf_checkpoint import load_checkpoint
from mimovl.model.vlm import VisionLanguageModel
from mimovl.types import PackedBatch

__all__ = ["HEAD_FILE", "RewardHead", "RewardNetwork", "load_reward_network"]

HEAD_FILE = "reward_head.safetensors"
"""Beside the weights: ``score.weight``, shape (1, E), and ``log_tie``, shape (), where ties were learned."""
_FIRST_TIE = 0.5
"""Of the parameter of ties at the beginning: one pair of equal answers in five is a tie."""


class RewardHead(nn.Module):
    """Hidden states to rewards, shape (…, E) to (…); float32 whatever the model computes in.

    Args:
        hidden_size: E.
        ties: learn how often answers of nearly equal worth are called a tie.
    """

    def __init__(self, hidden_size: int, *, ties: bool) -> None:
        super().__init__()
        # Left blank: the network draws it, or a file fills it.
        self.score = nn.Linear(hidden_size, 1, bias=False)
        self.log_tie = nn.Parameter(torch.tensor(_FIRST_TIE).log()) if ties else None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Shape (…, E) to (…)."""
        return nn.functional.linear(hidden.float(), self.score.weight.float()).squeeze(-1)


class RewardNetwork(VisionLanguageModel):
    """A model with a reward head.

    Args:
        model: taken over, not copied; its language model's output head stays as it is and has no gradient.
        ties: see :class:`RewardHead`.
        seed: draws the head.
    """

    def __init__(self, model: VisionLanguageModel, *, ties: bool = False, seed: int = 0) -> None:
        nn.Module.__init__(self)
        self.config = model.config
        self.vision, self.projector, self.language = model.vision, model.projector, model.language
        self.side_files = model.side_files
        size = model.config.language.hidden_size
        self.reward = RewardHead(size, ties=ties).to(model.device)
        drawn = torch.randn(1, size, generator=torch.Generator().manual_seed(seed)) * (size + 1) ** -0.5
        with torch.no_grad():
            self.reward.score.weight.copy_(drawn)

    def encode(self, patches: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
        """Visual tokens; a picture that is there several times is looked at once.

        Both answers of a pair show the same pictures, and so do all rollouts of a group.
        """
        sizes = grid_thw.prod(dim=1).tolist()
        pictures = torch.split(patches, sizes)
        numbers: dict[tuple[int, ...], list[int]] = {}  # grid → unequal pictures of it
        unequal: list[int] = []
        place: list[int] = []
        for number, (picture, grid) in enumerate(zip(pictures, grid_thw.tolist(), strict=True)):
            known = numbers.setdefault(tuple(grid), [])
            same = next((one for one in known if torch.equal(pictures[one], picture)), None)
            if same is None:
                known.append(number)
                unequal.append(number)
            place.append(unequal.index(number if same is None else same))
        if len(unequal) == len(pictures):
            return super().encode(patches, grid_thw)
        unit = self.config.vision.merge_unit
        once = super().encode(torch.cat([pictures[number] for number in unequal]), grid_thw[unequal])
        parts = torch.split(once, [sizes[number] // unit for number in unequal])
        return torch.cat([parts[number] for number in place])

    def rewards(self, batch: PackedBatch) -> torch.Tensor:
        """The reward of every conversation of a batch, read at its last token; float32, shape (S,)."""
        last = batch.cu_seqlens[1:].long() - 1
        out: torch.Tensor = self.reward(self(batch)[last])
        return out

    def extra_files(self) -> dict[str, bytes]:
        """The head."""
        return {HEAD_FILE: save({name: tensor.detach().cpu() for name, tensor in self.reward.state_dict().items()})}


def load_reward_network(
    path: str | Path, *, dtype: torch.dtype | None = torch.float32, device: torch.device | str = "cpu"
) -> RewardNetwork:
    """A reward model from its folder.

    Args:
        path: the folder.
        dtype: of the model's parameters; the head's are float32.
        device: where they are put.

    Raises:
        CheckpointError: as ``load_checkpoint``; or the head is missing, unreadable, or of another model.
    """
    file = Path(path) / HEAD_FILE
    if Path(path).is_dir() and not file.is_file():
        raise CheckpointError(
            f"{file} is missing: the folder holds a language model and no reward model, or its head was not copied "
            "along; train one with mimovl reward train"
        )
    model = load_checkpoint(path, dtype=dtype, device=device)
    size = model.config.language.hidden_size
    try:
        tensors = load(file.read_bytes())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error}); copy it again") from None
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    if not {"score.weight"} <= shapes.keys() <= {"score.weight", "log_tie"}:
        raise CheckpointError(f"{file}: holds {', '.join(sorted(shapes)) or 'nothing'}, not score.weight and log_tie")
    if shapes["score.weight"] != [1, size]:
        raise CheckpointError(
            f"{file}: score.weight has shape {shapes['score.weight']}, config.json makes it {[1, size]}; the head is "
            "of another model"
        )
    network = RewardNetwork(model, ties="log_tie" in tensors)
    network.reward.load_state_dict(tensors)
    return network
