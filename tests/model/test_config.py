import json
from dataclasses import replace

import pytest

from mimovl.errors import CheckpointError
from mimovl.model import PRESETS, ModelConfig, preset
from tests.data import small

FLAT = preset("mimo-vl-7b").to_hf()


def published(**changes):
    """A configuration as published: no word of ours, written by an older transformers."""
    data = json.loads(json.dumps(FLAT))
    del data["mimovl"]
    data["transformers_version"] = "4.41.2"
    for path, value in changes.items():
        *parents, key = path.split(".")
        table = data
        for parent in parents:
            table = table[parent]
        if value is DELETE:
            del table[key]
        else:
            table[key] = value
    return data


DELETE = object()


def nested(data):
    """The same in the layout of transformers 5."""
    text_keys = (
        "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads vocab_size "
        "max_position_embeddings rms_norm_eps hidden_act use_sliding_window eos_token_id bos_token_id"
    ).split()
    outer = {key: value for key, value in data.items() if key not in (*text_keys, "rope_theta", "rope_scaling")}
    text = {key: data[key] for key in text_keys}
    section = data["rope_scaling"]["mrope_section"]
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": data["rope_theta"], "mrope_section": section}
    return {**outer, "text_config": text}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_the_round_trip(name):
    assert ModelConfig.from_hf(json.loads(json.dumps(preset(name).to_hf()))) == preset(name)


def test_the_preset_is_the_published_model():
    """Every figure of MiMo-VL's configuration (report, section 2.1 and appendix B)."""
    language, vision = preset("mimo-vl-7b").language, preset("mimo-vl-7b").vision
    assert (language.num_layers, language.num_heads, language.num_kv_heads, language.head_dim) == (36, 32, 8, 128)
    assert (language.hidden_size, language.intermediate_size, language.vocab_size) == (4096, 11008, 151_680)
    assert (language.rope_theta, language.mrope_section, language.norm_eps) == (640_000, (16, 24, 24), 1e-5)
    assert (vision.depth, vision.num_heads, vision.hidden_size, vision.intermediate_size) == (32, 16, 1280, 3456)
    assert (vision.full_attention_blocks, vision.window_size) == ((7, 15, 23, 31), 112)
    assert (vision.patch_size, vision.temporal_patch_size, vision.spatial_merge_size) == (14, 2, 2)
    assert (vision.tokens_per_second, vision.patch_dim, vision.norm_eps) == (2, 1176, 1e-6)
    assert not language.tie_embeddings


def test_flat_and_nested_files_read_the_same():
    assert ModelConfig.from_hf(nested(published())) == ModelConfig.from_hf(published()) == preset("mimo-vl-7b")


def test_entries_that_are_not_ours_are_written_back():
    data = published(max_window_layers=70, attention_dropout=0.1, initializer_range=0.01, note={"by": "someone"})
    written = ModelConfig.from_hf(data).to_hf()
    for key in ("max_window_layers", "attention_dropout", "initializer_range", "note"):
        assert written[key] == data[key]


def test_a_changed_configuration_is_written_as_changed():
    config = ModelConfig.from_hf(published(vocab_size=100, rope_parameters={"rope_theta": 5.0})).with_vocabulary(
        200, image_token_id=7
    )
    config = replace(config, language=replace(config.language, rope_theta=9.0))
    again = ModelConfig.from_hf(config.to_hf())
    assert (again.language.vocab_size, again.image_token_id, again.language.rope_theta) == (200, 7, 9.0)


@pytest.mark.parametrize(
    ("version", "rule"),
    [
        ("4.41.2", "maximum"),
        ("5.2.0", "maximum"),
        ("5.2rc1", "maximum"),
        ("5.3.0.dev0", "spatial"),
        ("5.23.0", "spatial"),
        ("6.0", "spatial"),
        (None, "maximum"),
        ("nonsense", "maximum"),
    ],
)
def test_text_after_a_video_follows_the_library_that_wrote_the_file(version, rule):
    assert ModelConfig.from_hf(published(transformers_version=version)).text_after_video == rule


@pytest.mark.parametrize("rule", ["maximum", "spatial"])
def test_text_after_a_video_follows_our_own_word_first(rule):
    data = published(transformers_version="4.41.2" if rule == "spatial" else "5.23.0")
    assert ModelConfig.from_hf({**data, "mimovl": {"text_after_video": rule}}).text_after_video == rule


def test_token_ids_may_be_lists_or_stand_in_either_table():
    config = ModelConfig.from_hf(published(eos_token_id=[151645, 151643], pad_token_id=None, bos_token_id=11))
    assert (config.eos_token_id, config.pad_token_id) == (151645, 11)
    data = nested(published())
    data["text_config"]["pad_token_id"] = 12
    data["pad_token_id"] = None
    assert ModelConfig.from_hf(data).pad_token_id == 12


def test_a_missing_number_of_key_value_heads_is_not_guessed_but_null_means_all():
    assert ModelConfig.from_hf(published(num_key_value_heads=None)).language.num_kv_heads == 32
    with pytest.raises(CheckpointError, match="num_key_value_heads is missing"):
        ModelConfig.from_hf(published(num_key_value_heads=DELETE))


def test_defaults_of_older_files():
    config = ModelConfig.from_hf(
        published(**{"rope_scaling": DELETE, "rope_theta": DELETE, "vision_config.tokens_per_second": DELETE})
    )
    assert config.language.mrope_section == (16, 24, 24)
    assert config.language.rope_theta == 1e6
    assert config.vision.tokens_per_second == 4


REFUSED = {
    "another model": ({"model_type": "qwen3_vl"}, "model_type is 'qwen3_vl'"),
    "no model": ({"model_type": DELETE}, "model_type is None"),
    "no hidden size": ({"hidden_size": DELETE}, "hidden_size is missing"),
    "no vision": ({"vision_config": DELETE}, "vision_config.depth is missing"),
    "null in vision": ({"vision_config.depth": None}, "vision_config.depth is missing"),
    "no full blocks": ({"vision_config.fullatt_block_indexes": DELETE}, "fullatt_block_indexes is missing"),
    "a string for a number": ({"hidden_size": "4096"}, "hidden_size must be a whole number, it is '4096'"),
    "a float for a number": ({"vocab_size": 151680.5}, "vocab_size must be a whole number"),
    "a list for a table": ({"vision_config": [1]}, "vision_config must be a table"),
    "a number for a list": ({"vision_config.fullatt_block_indexes": 7}, "must be a list of whole numbers"),
    "another activation": ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; supported: 'silu'"),
    "another activation there": ({"vision_config.hidden_act": "gelu"}, "vision_config.hidden_act is 'gelu'"),
    "sliding windows": ({"use_sliding_window": True}, "use_sliding_window is True"),
    "stretched positions": ({"rope_scaling.type": "yarn"}, "rope_scaling.type is 'yarn'"),
    "stretched positions by their newer name": ({"rope_scaling.rope_type": "yarn"}, "rope_type is 'yarn'"),
    "quantised weights": ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}"),
    "another head size": ({"head_dim": 64}, "head_dim is 64; supported: 128"),
    "another projector": ({"vision_config.out_hidden_size": 3584}, "out_hidden_size is 3584; supported: 4096"),
    "two sections": ({"rope_scaling.mrope_section": [16, 48]}, "mrope_section has 2 entries, it needs 3"),
    "sections too long": ({"rope_scaling.mrope_section": [16, 24, 32]}, "sums to 72, half of head_dim 128 is 64"),
    "uneven heads": ({"num_attention_heads": 31}, "hidden_size 4096 is not divisible by its 31 heads"),
    "no heads": ({"num_attention_heads": 0}, "num_heads is 0; it must be at least 1"),
    "unshared heads": ({"num_key_value_heads": 5}, "32 heads cannot share 5 key/value heads"),
    "uneven vision heads": ({"vision_config.num_heads": 7}, "hidden_size 1280 is not divisible by its 7 heads"),
    "odd vision heads": ({"vision_config.num_heads": 128}, "head size 10 is not divisible by 4"),
    "windows too small": ({"vision_config.window_size": 14}, "window_size 14 is below one merged patch of 28"),
    "an unknown rule": ({"mimovl": {"text_after_video": "both"}}, "text_after_video is 'both'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_computed_is_refused_by_name(case):
    changes, message = REFUSED[case]
    data = published(**changes) if "mimovl" not in changes else {**published(), **changes}
    with pytest.raises(CheckpointError) as caught:
        ModelConfig.from_hf(data, where="folder/config.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("folder/config.json: ")


def test_visual_token_ids_are_those_a_model_never_writes():
    config = small.config()
    words = small.tokenizer()
    names = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    assert set(config.visual_token_ids) == {words.id(name) for name in names}


def test_describe_is_plain_data():
    described = preset("tiny").describe()
    assert json.loads(json.dumps(described))["language"]["hidden_size"] == preset("tiny").language.hidden_size
    assert "extra" not in described
