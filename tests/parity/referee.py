"""The Hugging Face model, run on one sample of ours at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mimovl.data import Encoded, Processor
from mimovl.model import VisionLanguageModel, save_checkpoint
from tests.data import small

TOLERANCE = 3e-5
"""Of float32 logits up to 6. Worst measured: 8e-6 here, 1.0e-5 with the ``tiny`` preset; the product promises 1e-4.
Text alone is bit-equal; what differs is the patch embedding, one matrix product for their convolution over 1,176
values, whose sums are taken in another order."""


def hugging_face(path: Path | str, **options: Any) -> Any:
    """``from_pretrained`` of a folder, in float32 unless told, with every key accounted for."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    options = {"dtype": torch.float32, "attn_implementation": "sdpa", **options}
    model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(path, output_loading_info=True, **options)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return model.eval()


def twin(model: VisionLanguageModel, folder: Path) -> Any:
    """The Hugging Face model with the same weights."""
    return hugging_face(save_checkpoint(model, folder / "twin"))


def inputs(encoded: Encoded, processor: Processor) -> dict[str, Any]:
    """What ``forward`` takes for one sample; positions are left to the model."""
    config, tokens = processor.config, encoded.tokens
    kinds = (tokens == config.image_token_id).int() + 2 * (tokens == config.video_token_id).int()
    result: dict[str, Any] = {"input_ids": tokens[None], "mm_token_type_ids": kinds[None]}
    order = [int(kinds[token]) for token in _starts(kinds)]
    for kind, values, grid in ((1, "pixel_values", "image_grid_thw"), (2, "pixel_values_videos", "video_grid_thw")):
        places = [place for place, found in enumerate(order) if found == kind]
        if places:
            result[values] = torch.cat([encoded.patches[place] for place in places])
            result[grid] = torch.tensor([encoded.grid_thw[place] for place in places])
    return result


def _starts(kinds: torch.Tensor) -> list[int]:
    before = torch.cat([torch.zeros(1, dtype=kinds.dtype), kinds[:-1]])
    return ((kinds != 0) & (kinds != before)).nonzero().flatten().tolist()


@torch.no_grad()
def logits(referee: Any, encoded: Encoded, processor: Processor, **extra: Any) -> torch.Tensor:
    """Shape (N, V)."""
    out: torch.Tensor = referee(**inputs(encoded, processor), **extra).logits[0]
    return out


@torch.no_grad()
def ours(model: VisionLanguageModel, samples: list[Encoded]) -> torch.Tensor:
    """Logits of the samples in one pack, shape (N, V)."""
    return model.logits(model(small.batch(samples, model.config)))


def seconds_per_pair(media: Any, processor: Processor) -> float:
    """Seconds between the frame pairs of a clip."""
    return processor.visual(media, name="clip")[2]
