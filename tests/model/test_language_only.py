from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mimovl.errors import CheckpointError
from mimovl.model.language_only import load_language_model
from tests import parts
from tests.data import small

IDS = {
    name: small.tokenizer().id(f"<|{name.removesuffix('_token_id')}_pad|>")
    for name in ("image_token_id", "video_token_id")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return parts.mimo(tmp_path_factory.mktemp("mimo") / "model")


def test_a_decoder_alone_gives_the_logits_of_its_own_library(folder: Path) -> None:
    model = load_language_model(folder, **IDS)
    twin = parts.mimo_classes()[1].from_pretrained(folder, dtype=torch.float32).eval()
    batch = small.batch([small.processor().encode(small.conversation())], model.config)
    with torch.no_grad():
        theirs = twin(input_ids=batch.tokens[None]).logits[0]
        ours = model.logits(model(batch))
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_its_tower_is_empty(folder: Path) -> None:
    model = load_language_model(folder, **IDS)
    assert model.config.vision.depth == 0
    assert model.num_parameters()["vision"] + model.num_parameters()["projector"] < 10_000


def test_a_missing_tensor_and_one_too_many_are_named(folder: Path, tmp_path: Path) -> None:
    for change, message in (
        (lambda t: t.pop("model.norm.weight"), "lacks 1 tensors, model.norm.weight"),
        (lambda t: t.update(extra=torch.zeros(1)), "holds extra"),
    ):
        broken = tmp_path / message[:5]
        broken.mkdir()
        (broken / "config.json").write_bytes((folder / "config.json").read_bytes())
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, broken / "model.safetensors")
        with pytest.raises(CheckpointError, match=message):
            load_language_model(broken, **IDS)
