from pathlib import Path

import pytest
import torch

from mimovl.errors import CheckpointError
from mimovl.model import load_checkpoint
from mimovl.pipeline.reward_start import check_start, load_start
from tests import parts
from tests.data import small


def test_it_starts_from_a_vision_language_checkpoint(tiny_start: Path) -> None:
    model, processor = load_start(str(tiny_start), "multimodal")
    same = load_checkpoint(tiny_start).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in model.state_dict().items())
    assert processor.files().keys() >= {"tokenizer.json", "chat_template.jinja"}


def test_a_text_model_starts_from_a_language_model_with_its_own_template(tmp_path: Path) -> None:
    folder = parts.mimo(tmp_path / "mimo")
    model, processor = load_start(str(folder), "text")
    assert model.config.vision.depth == 0
    assert processor.template.source == "{{ 'text only' }}"
    assert processor.tokenizer.encode("three") == small.tokenizer().encode("three")
    with pytest.raises(CheckpointError, match="is a language model and sees no pictures"):
        load_start(str(folder), "multimodal")


def test_a_start_that_is_not_there_is_refused_before_anything_is_made_and_says_what_makes_one(tiny_start: Path) -> None:
    check_start(str(tiny_start))
    check_start("embedded")
    with pytest.raises(CheckpointError, match=r"start none/at/all: no such .* mimovl run recipes/tiny.yaml"):
        check_start("none/at/all")


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(CheckpointError, match="none/at/all: no such checkpoint folder"):
        load_start("none/at/all", "multimodal")
