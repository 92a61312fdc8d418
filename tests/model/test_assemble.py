"""Shapes and weights of MiMo-VL from the two published layouts; ``transformers`` writes both (``tests/parts.py``)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mimovl.errors import CheckpointError
from mimovl.model import PRESETS, assemble, load_checkpoint
from mimovl.model.assemble import assemble_weights, assembled_config
from mimovl.model.hf_checkpoint import published_name
from tests import parts

pytest.importorskip("transformers", reason="transformers writes the checkpoints that are put together")

PUBLISHED_TOWER = {
    "model_type": "qwen2_5_vl",
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "hidden_size": 8192,
    "intermediate_size": 29568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 152064,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "use_sliding_window": False,
    "vision_config": {
        "depth": 32,
        "hidden_act": "silu",
        "hidden_size": 1280,
        "intermediate_size": 3456,
        "num_heads": 16,
        "in_chans": 3,
        "out_hidden_size": 8192,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
    },
}
"""The flat configuration of a released Qwen2.5-VL, with the feed-forward size of MiMo-VL's tower."""

PUBLISHED_DECODER = {
    "architectures": ["MiMoForCausalLM"],
    "auto_map": {"AutoConfig": "configuration_mimo.MiMoConfig"},
    "attention_bias": True,
    "attention_dropout": 0.0,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 32768,
    "model_type": "mimo",
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "num_nextn_predict_layers": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 640000,
    "sliding_window": 32768,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_mrope": False,
    "use_sliding_window": False,
    "vocab_size": 151680,
}
"""The configuration of the released MiMo-7B-Base."""

Folders = tuple[Path, Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Both checkpoints, in several files each; not to be changed."""
    folder = tmp_path_factory.mktemp("parts")
    return parts.qwen(folder / "qwen", shard_size="100KB"), parts.mimo(folder / "mimo", shard_size="100KB")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both checkpoints in one file each; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    parts.qwen(folder / "qwen")
    parts.mimo(folder / "mimo")
    return folder


@pytest.fixture
def folders(whole: Path, tmp_path: Path) -> Folders:
    """Both checkpoints in one file each, to be spoiled."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path / "qwen", tmp_path / "mimo"


def put_together(folders: Folders, out: Path, **options: Any) -> Any:
    out.mkdir()
    return assemble_weights(*folders, assembled_config(*folders), out, **{"dtype": torch.float32, **options})


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    table = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in table.items() if value != "gone"}))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    values = load_file(folder / "model.safetensors")
    change(values)
    save_file(values, folder / "model.safetensors", metadata={"format": "pt"})


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}


# ---------------------------------------------------------------- shapes


def test_the_released_configurations_give_the_published_model(tmp_path: Path) -> None:
    for name, table in (("qwen", PUBLISHED_TOWER), ("mimo", PUBLISHED_DECODER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(table))
    config = assembled_config(tmp_path / "qwen", tmp_path / "mimo")
    assert config == PRESETS["mimo-vl-7b"]
    assert not config.extra, "nothing of either is carried along unread, least of all code to run (auto_map)"


def test_both_spellings_of_the_configurations_are_read_alike(folders: Folders) -> None:
    new = assembled_config(*folders)
    for folder in folders:
        parts.released(folder)
    assert assembled_config(*folders) == new
    assert (new.language.rope_theta, new.language.mrope_section) == (640_000.0, (2, 3, 3))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'; --language takes a decoder of type 'mimo'"),
        ({"hidden_size": "gone"}, "hidden_size is missing"),
        ({"attention_bias": False}, "attention_bias is False"),
        ({"rope_scaling": {"type": "yarn", "factor": 4}}, "rope_scaling is .*yarn"),
        ({"use_sliding_window": True}, "use_sliding_window is True"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"head_dim": 32}, "head_dim is 32; supported: 16"),
        ({"rope_parameters": {"rope_type": "default"}}, "rope_theta is missing"),
    ],
)
def test_a_decoder_of_another_kind_is_refused(folders: Folders, changes: dict[str, Any], problem: str) -> None:
    edit(folders[1], **changes)
    with pytest.raises(CheckpointError, match=rf"mimo/config.json: {problem}"):
        assembled_config(*folders)


def test_folders_that_are_exchanged_missing_or_empty_are_named(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="mimo/config.json: model_type is 'mimo', this package reads 'qwen2_5_vl'"
    ):
        assembled_config(folders[1], folders[0])
    with pytest.raises(CheckpointError, match="nowhere: no such checkpoint folder"):
        assembled_config(folders[0], tmp_path / "nowhere")
    (folders[1] / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="mimo/config.json: model_type is 'list'"):
        assembled_config(*folders)
    (folders[1] / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="mimo/config.json: cannot be read as JSON"):
        assembled_config(*folders)
    (folders[1] / "config.json").unlink()
    with pytest.raises(CheckpointError, match="mimo: config.json is missing"):
        assembled_config(*folders)


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("shard_bytes", [10**9, 200_000], ids=["whole", "sharded"])
def test_tower_and_decoder_are_taken_to_the_bit_and_the_projector_is_new(
    written: Folders, tmp_path: Path, shard_bytes: int
) -> None:
    taken = put_together(written, tmp_path / "out", seed=5, shard_bytes=shard_bytes)
    found, tower, decoder = (stored(folder) for folder in (tmp_path / "out", *written))
    tower = {published_name(name): value for name, value in tower.items()}
    fresh = [name for name in found if name.startswith("visual.merger.")]
    assert len(fresh) == 5
    for name, value in found.items():
        if name not in fresh:
            assert torch.equal(value, (tower if name.startswith("visual.") else decoder)[name]), name
        elif value.shape == tower[name].shape:
            assert not torch.equal(value, tower[name]), f"{name} is the old projector's"
    assert {name: (part.tensors, part.parameters) for name, part in taken.items()} == {
        "vision": (
            37,
            sum(value.numel() for name, value in tower.items() if "visual.blocks" in name or "embed.proj" in name),
        ),
        "projector": (5, sum(found[name].numel() for name in fresh)),
        "language": (27, sum(value.numel() for name, value in decoder.items() if "mtp" not in name)),
    }


def test_the_layers_that_predict_further_tokens_are_left_out_and_counted(written: Folders, tmp_path: Path) -> None:
    taken = put_together(written, tmp_path / "out")
    theirs = {name: value for name, value in stored(written[1]).items() if name.startswith("model.mtp_layers.0.")}
    assert len(theirs) == 16
    assert taken["language"].left_out == {name: value.numel() for name, value in theirs.items()}
    assert not [name for name in stored(tmp_path / "out") if "mtp" in name]


def test_the_seed_alone_decides_the_projector(written: Folders, tmp_path: Path) -> None:
    names = [f"visual.merger.{name}" for name in ("mlp.0.weight", "mlp.2.weight")]
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        put_together(written, tmp_path / str(number), seed=seed)
        drawn.append([stored(tmp_path / str(number))[name] for name in names])
    assert all(torch.equal(one, two) for one, two in zip(drawn[0], drawn[1], strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(drawn[0], drawn[2], strict=True))
    # 128 inputs: narrow by the rule of ``initialise``, so of standard deviation 128^-½; 16,384 draws are within 3 %.
    assert drawn[0][0].std() == pytest.approx(128**-0.5, rel=0.03)


def test_weights_are_stored_in_the_type_asked_for(written: Folders, tmp_path: Path) -> None:
    put_together(written, tmp_path / "out", dtype=torch.bfloat16)
    exact = stored(written[1])["lm_head.weight"]
    assert torch.equal(stored(tmp_path / "out")["lm_head.weight"], exact.bfloat16())
    assert {value.dtype for value in stored(tmp_path / "out").values()} == {torch.bfloat16}


def test_a_qwen2_decoder_with_tied_embeddings_serves_too(tmp_path: Path) -> None:
    folders = parts.qwen(tmp_path / "qwen"), parts.mimo(tmp_path / "mimo", tie_word_embeddings=True)
    edit(folders[1], model_type="qwen2")
    put_together(folders, tmp_path / "out")
    config = assembled_config(*folders)
    assert config.language.tie_embeddings
    (tmp_path / "out" / "config.json").write_text(json.dumps(config.to_hf()))
    loaded = load_checkpoint(tmp_path / "out")
    assert torch.equal(loaded.language.lm_head.weight, stored(folders[1])["model.embed_tokens.weight"])


def test_a_head_beside_the_embedding_it_is_tied_to_must_be_the_same(tmp_path: Path) -> None:
    folders = parts.qwen(tmp_path / "qwen"), parts.mimo(tmp_path / "mimo", tie_word_embeddings=True)
    embedding, head = "model.embed_tokens.weight", "lm_head.weight"
    rewrite(folders[1], lambda values: values.update({head: values[embedding].clone()}))
    put_together(folders, tmp_path / "same")
    rewrite(folders[1], lambda values: values[head][-1].mul_(2))
    message = "config.json says tie_word_embeddings, but lm_head.weight .* is not model.embed_tokens.weight"
    with pytest.raises(CheckpointError, match=message):
        put_together(folders, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())
    edit(folders[1], tie_word_embeddings=False)
    put_together(folders, tmp_path / "kept")
    assert torch.equal(stored(tmp_path / "kept")[head], stored(folders[1])[head])


def test_a_decoder_that_does_not_say_how_it_norms_gets_its_own_librarys_default(folders: Folders) -> None:
    from transformers import Qwen2Config

    assert assembled_config(*folders).language.norm_eps == 1e-5
    for changes in ({"rms_norm_eps": "gone"}, {"rms_norm_eps": None}, {"model_type": "qwen2"}):
        edit(folders[1], **changes)
        assert assembled_config(*folders).language.norm_eps == Qwen2Config().rms_norm_eps == 1e-6


def test_a_tower_under_the_nested_names_of_some_releases_is_read(folders: Folders, tmp_path: Path) -> None:
    put_together(folders, tmp_path / "flat")

    def nest(values: dict[str, torch.Tensor]) -> None:
        for name in [name for name in values if name.startswith("visual.")]:
            values["model." + name] = values.pop(name)

    rewrite(folders[0], nest)
    put_together(folders, tmp_path / "nested")
    assert all(torch.equal(value, stored(tmp_path / "flat")[n]) for n, value in stored(tmp_path / "nested").items())


# ---------------------------------------------------------------- refusals

NORM = "model.norm.weight"
QKV = "visual.blocks.1.attn.qkv.weight"


@pytest.mark.parametrize(("place", "name", "count"), [(0, QKV, 37), (1, NORM, 27)])
def test_a_missing_tensor_is_named_with_its_folder(
    folders: Folders, tmp_path: Path, place: int, name: str, count: int
) -> None:
    rewrite(folders[place], lambda values: values.pop(name))
    with pytest.raises(CheckpointError, match=f"{folders[place].name}: 1 of {count} tensors are missing .*: {name}"):
        put_together(folders, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("place", "name", "wrong", "right"), [(0, QKV, (96, 33), [96, 32]), (1, NORM, (63,), [64])])
def test_a_misshapen_tensor_is_named_with_its_file_and_both_shapes(
    folders: Folders, tmp_path: Path, place: int, name: str, wrong: tuple[int, ...], right: list[int]
) -> None:
    rewrite(folders[place], lambda values: values.update({name: torch.ones(wrong)}))
    with pytest.raises(CheckpointError) as caught:
        put_together(folders, tmp_path / "out")
    expected = f"{folders[place] / 'model.safetensors'}: tensor {name} has shape {list(wrong)}, "
    assert str(caught.value).startswith(f"{expected}{folders[place] / 'config.json'} makes it {right}")


@pytest.mark.parametrize(("place", "name"), [(0, "visual.blocks.7.norm1.weight"), (1, "model.layers.2.extra")])
def test_a_tensor_without_a_place_is_named(folders: Folders, tmp_path: Path, place: int, name: str) -> None:
    rewrite(folders[place], lambda values: values.update({name: torch.ones(1)}))
    with pytest.raises(CheckpointError, match=f"{folders[place].name}: 1 tensors have no place in MiMo-VL: {name}"):
        put_together(folders, tmp_path / "out")


def test_rotary_tables_of_older_exports_are_ignored(folders: Folders, tmp_path: Path) -> None:
    rewrite(folders[0], lambda values: values.update({"visual.rotary_pos_emb.inv_freq": torch.ones(8)}))
    rewrite(folders[1], lambda values: values.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}))
    put_together(folders, tmp_path / "out")


def test_quantised_weights_are_refused(folders: Folders, tmp_path: Path) -> None:
    rewrite(folders[1], lambda values: values.update({NORM: torch.ones(64, dtype=torch.int8)}))
    with pytest.raises(CheckpointError, match=f"tensor {NORM} is I8; quantised weights are not read"):
        put_together(folders, tmp_path / "out")


def test_a_tower_stored_under_both_names_is_refused(folders: Folders, tmp_path: Path) -> None:
    rewrite(folders[0], lambda values: values.update({f"model.{QKV}": values[QKV].clone()}))
    with pytest.raises(CheckpointError, match=f"is also stored as .*{QKV}"):
        put_together(folders, tmp_path / "out")


def test_a_disk_without_room_is_refused_before_anything_is_written(
    written: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6 - 10, 10))
    with pytest.raises(CheckpointError, match=r"the weights take 826,656 bytes, the disk has 10 free; make room"):
        put_together(written, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
