"""Checkpoint folders pass between this package and ``transformers`` in both directions, nothing lost."""

import json

import pytest
import torch
from safetensors import safe_open

from mimovl.data import Processor
from mimovl.model import build_model, load_checkpoint, preset, read_config, save_checkpoint
from mimovl.model.hf_checkpoint import hf_name, published_shape
from tests.data import small
from tests.parity import referee

PROCESSOR = small.processor()
SAMPLE = small.conversation(small.picture(131, 97), small.picture(252, 140))


def nested(name):
    """The name newer ``transformers`` gives a tensor of the published layout."""
    return name if name == "lm_head.weight" else "model." + name.replace("model.", "language_model.", 1)


def largest_difference(model, twin):
    encoded = PROCESSOR.encode(SAMPLE)
    return float((referee.ours(model, [encoded]) - referee.logits(twin, encoded, PROCESSOR)).abs().max())


@pytest.mark.parametrize("shard_bytes", [10**9, 100_000], ids=["whole", "sharded"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_ours_loads_there(tmp_path, tied, shard_bytes):
    model = small.model(tie_embeddings=tied)
    save_checkpoint(model, tmp_path / "ours", shard_bytes=shard_bytes)
    assert (len(list((tmp_path / "ours").glob("*.safetensors"))) > 1) == (shard_bytes < 10**9)
    twin = referee.hugging_face(tmp_path / "ours")
    assert (twin.lm_head.weight is twin.model.language_model.embed_tokens.weight) == tied
    assert largest_difference(model, twin) < referee.TOLERANCE


@pytest.mark.parametrize("shard_size", ["1GB", "100KB"], ids=["whole", "sharded"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_theirs_loads_here(tmp_path, tied, shard_size):
    """``save_pretrained`` of 5.x writes a nested configuration."""
    model = small.model(tie_embeddings=tied)
    twin = referee.twin(model, tmp_path)
    twin.save_pretrained(tmp_path / "theirs", max_shard_size=shard_size)
    assert "text_config" in json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert (len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1) == (shard_size == "100KB")
    loaded = load_checkpoint(tmp_path / "theirs")
    for (name, mine), back in zip(model.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(mine, back), name
    assert loaded.config.vision == model.config.vision
    assert loaded.config.language == model.config.language


def test_theirs_with_nested_names_loads_here(tmp_path):
    """Some releases stored the names of the modules as they are (``model.language_model.…``, ``model.visual.…``)."""
    from safetensors.torch import save_file

    model = small.model()
    twin = referee.twin(model, tmp_path)
    twin.save_pretrained(tmp_path / "theirs")
    state = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    assert nested("model.norm.weight") in state
    save_file(state, tmp_path / "theirs" / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "theirs")
    assert all(torch.equal(mine, back) for mine, back in zip(model.parameters(), loaded.parameters(), strict=True))


def test_there_and_back_and_there_again(tmp_path):
    """Ours → theirs → ours → theirs: the weights stay the same to the bit and so do the logits."""
    model = small.model()
    twin = referee.twin(model, tmp_path)
    twin.save_pretrained(tmp_path / "theirs")
    save_checkpoint(load_checkpoint(tmp_path / "theirs"), tmp_path / "back")
    again = referee.hugging_face(tmp_path / "back")
    for name, tensor in twin.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    encoded = PROCESSOR.encode(SAMPLE)
    assert torch.equal(referee.logits(twin, encoded, PROCESSOR), referee.logits(again, encoded, PROCESSOR))


def test_stored_precision_is_kept_and_told(tmp_path, transformers):
    save_checkpoint(small.model(), tmp_path / "half", dtype=torch.bfloat16)
    twin = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path / "half")
    assert twin.dtype == torch.bfloat16
    assert load_checkpoint(tmp_path / "half", dtype=None).dtype == torch.bfloat16
    assert load_checkpoint(tmp_path / "half").dtype == torch.float32


def test_a_config_written_by_transformers_follows_its_rule_after_videos(tmp_path):
    """Its forward pass places text after a video the ``spatial`` way since 5.3, so a model trained there expects it."""
    twin = referee.twin(small.model(text_after_video="maximum"), tmp_path)
    twin.save_pretrained(tmp_path / "theirs")
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    config.pop("mimovl", None)
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(config))
    assert read_config(tmp_path / "theirs").text_after_video == "spatial"


def test_our_own_word_on_videos_survives_their_hands(tmp_path):
    for rule in ("maximum", "spatial"):
        twin = referee.twin(small.model(text_after_video=rule), tmp_path / rule)
        twin.save_pretrained(tmp_path / rule / "theirs")
        assert read_config(tmp_path / rule / "theirs").text_after_video == rule


def test_the_whole_folder_is_a_checkpoint_there(tmp_path, transformers):
    """Configuration, tokenizer, image processor, template and generation settings, by the ``Auto`` classes."""
    model = small.model()
    model.side_files = PROCESSOR.files()
    folder = save_checkpoint(model, tmp_path / "ours")
    config = transformers.AutoConfig.from_pretrained(folder)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    images = transformers.AutoImageProcessor.from_pretrained(folder)
    generation = transformers.GenerationConfig.from_pretrained(folder)
    assert config.text_config.rope_parameters["mrope_section"] == [2, 3, 3]
    assert config.image_token_id == words.convert_tokens_to_ids("<|image_pad|>") == model.config.image_token_id
    assert (words.eos_token_id, words.pad_token_id) == (model.config.eos_token_id, model.config.pad_token_id)
    assert words.chat_template == PROCESSOR.template.source
    assert type(images).__name__.startswith("Qwen2VLImageProcessor")
    assert (images.size["shortest_edge"], images.size["longest_edge"]) == (56 * 56, 4096 * 28 * 28)
    assert generation.eos_token_id == [model.config.eos_token_id, model.config.pad_token_id]
    patches = images(images=[small.noise(131, 97)], return_tensors="pt")["pixel_values"]
    ours = PROCESSOR.visual(small.picture(131, 97), name="picture")[0]
    assert (patches - ours).abs().max() < 1e-6


def test_a_processor_saved_there_loads_here(tmp_path, transformers):
    """5.x keeps picture settings in ``processor_config.json`` and the template in ``chat_template.jinja``."""
    model = small.model()
    model.side_files = PROCESSOR.files()
    folder = save_checkpoint(model, tmp_path / "ours")
    twin = referee.hugging_face(folder)
    twin.save_pretrained(tmp_path / "theirs")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    images = transformers.AutoImageProcessor.from_pretrained(folder, max_pixels=64 * 28 * 28)
    table = {"processor_class": "Qwen2_5_VLProcessor", "image_processor": images.to_dict()}
    (tmp_path / "theirs" / "processor_config.json").write_text(json.dumps(table))
    loaded = Processor.load(tmp_path / "theirs")
    assert loaded.image.max_pixels == 64 * 28 * 28
    assert torch.equal(loaded.encode(small.conversation()).tokens, PROCESSOR.encode(small.conversation()).tokens)


# ---------------------------------------------------------------- mimo-vl-7b, on the meta device


@pytest.fixture(scope="module")
def seven_billion(transformers):
    config = transformers.Qwen2_5_VLConfig(**preset("mimo-vl-7b").to_hf())
    with torch.device("meta"):
        return transformers.Qwen2_5_VLForConditionalGeneration(config)


def test_mimo_vl_7b_has_the_published_number_of_parameters(seven_billion):
    """LLM 7.62 B, ViT 0.64 B, projector 47 M, in all 8.3 B (the shapes of MiMo-VL section 2.1 and appendix B)."""
    counts = build_model("mimo-vl-7b", device="meta").num_parameters()
    assert round(counts["language"] / 1e9, 2) == 7.62
    assert round(counts["vision"] / 1e9, 2) == 0.64
    assert round(counts["projector"] / 1e6) == 47
    assert sum(counts.values()) == sum(parameter.numel() for parameter in seven_billion.parameters())
    merger = sum(parameter.numel() for parameter in seven_billion.model.visual.merger.parameters())
    assert counts["projector"] == merger
    assert counts["vision"] == sum(parameter.numel() for parameter in seven_billion.model.visual.parameters()) - merger


def test_mimo_vl_7b_has_every_name_and_shape_of_the_referee(seven_billion):
    model = build_model("mimo-vl-7b", device="meta")
    ours = {
        nested(hf_name(name)): tuple(published_shape(name, parameter, model.config))
        for name, parameter in model.named_parameters()
    }
    assert ours == {name: tuple(tensor.shape) for name, tensor in seven_billion.state_dict().items()}


def test_names_on_disk_are_the_published_ones(tmp_path):
    """As in the releases of Qwen2.5-VL and MiMo-VL, which vLLM and llama.cpp also read."""
    folder = save_checkpoint(small.model(), tmp_path / "ours")
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
    for name in (
        "lm_head.weight",
        "model.embed_tokens.weight",
        "model.norm.weight",
        "model.layers.1.self_attn.q_proj.bias",
        "model.layers.0.mlp.gate_proj.weight",
        "visual.patch_embed.proj.weight",
        "visual.blocks.2.attn.qkv.bias",
        "visual.blocks.0.mlp.down_proj.bias",
        "visual.merger.ln_q.weight",
        "visual.merger.mlp.2.weight",
    ):
        assert name in names
