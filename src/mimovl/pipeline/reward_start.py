"""What a reward model starts from: a vision-language checkpoint, the shipped base, or, for text, a language model.

A language model (MiMo-7B, or another of Qwen2's layout) becomes one of ours with an empty vision tower, which is never
run: on text alone the rotary positions of the three axes are equal, and the decoder is the same function
(tests/parity/test_reward.py compares it with ``transformers``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mimovl.data import ChatTemplate, Processor, Tokenizer
from mimovl.errors import CheckpointError
from mimovl.model import VisionLanguageModel, load_checkpoint
from mimovl.model.hf_checkpoint import read_side_files
from mimovl.model.language_only import load_language_model
from mimovl.pipeline.assets import embedded_base

__all__ = ["check_start", "load_start"]


def check_start(start: str) -> None:
    """Refuse a start that is not there before any pair is made.

    Raises:
        CheckpointError: there is no such folder; says what makes one.
        UsageError: it is the embedded base, and this installation has none.
    """
    if start == "embedded":
        embedded_base()
    elif not (Path(start) / "config.json").is_file():
        raise CheckpointError(
            f"start {start}: no such checkpoint folder; name one with --set start=…, or make it first (each stage of a "
            "run leaves one: mimovl run recipes/tiny.yaml --out runs/tiny)"
        )


def load_start(start: str, kind: str) -> tuple[VisionLanguageModel, Processor]:
    """A model and its processor.

    Args:
        start: a checkpoint folder, or embedded.
        kind: multimodal or text.

    Raises:
        CheckpointError: the folder cannot be used, or is a language model alone and pictures are to be judged.
        UsageError: it starts from the embedded base, and this installation has none.
    """
    folder = embedded_base().folder if start == "embedded" else Path(start)
    if _model_type(folder) in ("qwen2", "mimo"):
        if kind != "text":
            raise CheckpointError(
                f"{folder} is a language model and sees no pictures; start from a vision-language checkpoint, or set "
                "kind: text"
            )
        files = read_side_files(folder)
        tokenizer = Tokenizer.from_files(files, where=str(folder))
        places = [tokenizer.id(f"<|{kind}_pad|>") for kind in ("image", "video")]
        model = load_language_model(folder, image_token_id=places[0], video_token_id=places[1])
        model.side_files = files
        return model, Processor(tokenizer, ChatTemplate.from_files(files, where=str(folder)), model.config)
    model = load_checkpoint(folder)
    return model, Processor.from_files(model.side_files, model.config, where=str(folder))


def _model_type(folder: Path) -> Any:
    """Of ``config.json``; whatever is wrong with it, the loader says."""
    try:
        table = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return table.get("model_type") if isinstance(table, dict) else None
