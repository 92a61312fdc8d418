import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mimovl.errors import CheckpointError
from mimovl.model import hf_checkpoint, load_checkpoint, read_config, save_checkpoint, shards
from mimovl.model.hf_checkpoint import SIDE_FILES, hf_name, read_side_files, replace_folder
from tests.data import small

NORM = "model.norm.weight"


@pytest.fixture
def model():
    built = small.model()
    built.side_files = {name: f"bytes of {name}\r\n\u00e9".encode("latin-1") for name in SIDE_FILES}
    return built


@pytest.fixture
def folder(model, tmp_path):
    return save_checkpoint(model, tmp_path / "model")


def contents(path):
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


def rewrite(folder, change):
    """Change the tensors of a checkpoint."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def edit_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


# ---------------------------------------------------------------- round trips


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shard_bytes", [10**9, 50_000])
def test_what_is_saved_is_loaded(tmp_path, tied, shard_bytes):
    model = small.model(tie_embeddings=tied)
    loaded = load_checkpoint(save_checkpoint(model, tmp_path / "m", shard_bytes=shard_bytes))
    for (name, one), other in zip(model.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other), name
        assert other.requires_grad
    assert loaded.config == model.config
    assert (loaded.language.lm_head.weight is loaded.language.embed_tokens.weight) == tied


@pytest.mark.parametrize("shard_bytes", [10**9, 50_000])
def test_saving_what_was_loaded_is_byte_identical(model, tmp_path, shard_bytes):
    first = save_checkpoint(model, tmp_path / "first", shard_bytes=shard_bytes)
    second = save_checkpoint(load_checkpoint(first), tmp_path / "second", shard_bytes=shard_bytes)
    assert contents(first) == contents(second)


def test_side_files_travel_byte_for_byte(model, tmp_path):
    folder = save_checkpoint(load_checkpoint(save_checkpoint(model, tmp_path / "first")), tmp_path / "second")
    assert read_side_files(folder) == model.side_files


def test_side_files_given_win_over_the_models_own(model, tmp_path):
    folder = save_checkpoint(model, tmp_path / "m", side_files={"tokenizer.json": b"newer"})
    assert (folder / "tokenizer.json").read_bytes() == b"newer"
    assert (folder / "vocab.json").read_bytes() == model.side_files["vocab.json"]


def test_a_fresh_model_gets_generation_settings(tmp_path):
    settings = json.loads((save_checkpoint(small.model(), tmp_path / "m") / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [small.config().eos_token_id, small.config().pad_token_id]


def test_shards_stay_within_their_size_and_the_index_names_each_tensor_once(tmp_path):
    model = small.model()
    folder = save_checkpoint(model, tmp_path / "m", shard_bytes=100_000)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    held = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as shard:
            tensors = {name: shard.get_tensor(name) for name in shard.keys()}
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors.values()) <= 100_000
        held.update(dict.fromkeys(tensors, file.name))
    assert index["weight_map"] == held
    assert held.keys() == {hf_name(name) for name, _ in model.named_parameters()}
    assert index["metadata"]["total_size"] == 4 * sum(parameter.numel() for parameter in model.parameters())


def test_precision_on_disk_and_in_memory_are_chosen_apart(tmp_path):
    folder = save_checkpoint(small.model(), tmp_path / "m", dtype=torch.bfloat16)
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert load_checkpoint(folder, dtype=None).dtype == torch.bfloat16
    assert load_checkpoint(folder).dtype == torch.float32
    assert load_checkpoint(folder, dtype=torch.float64).dtype == torch.float64


def test_a_loaded_model_can_be_trained_without_touching_its_file(folder):
    before = (folder / "model.safetensors").read_bytes()
    model = load_checkpoint(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert (folder / "model.safetensors").read_bytes() == before


def test_rotary_tables_of_older_exports_are_ignored(folder):
    rewrite(folder, lambda tensors: tensors.update({"model.rotary_emb.inv_freq": torch.ones(8)}))
    rewrite(folder, lambda tensors: tensors.update({"visual.rotary_pos_emb.inv_freq": torch.ones(8)}))
    load_checkpoint(folder)


def test_a_tied_checkpoint_may_store_its_head_too(tmp_path):
    folder = save_checkpoint(small.model(tie_embeddings=True), tmp_path / "m")
    rewrite(folder, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    loaded = load_checkpoint(folder)
    assert loaded.language.lm_head.weight is loaded.language.embed_tokens.weight


def test_a_tied_head_in_another_type_is_compared_by_value(tmp_path):
    folder = save_checkpoint(small.model(tie_embeddings=True), tmp_path / "m", dtype=torch.bfloat16)
    rewrite(folder, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].double()}))
    load_checkpoint(folder)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("head", ["other", "misshapen"])
def test_a_head_that_is_not_the_embedding_it_is_said_to_be_tied_to_is_refused_with_the_cure(
    tmp_path, head, monkeypatch
):
    monkeypatch.setattr(hf_checkpoint, "PIECE_BYTES", 8 * 64 * 10)  # several pieces, of which the last differs
    folder = save_checkpoint(small.model(tie_embeddings=True), tmp_path / "m")
    other = load_file(folder / "model.safetensors")["model.embed_tokens.weight"].clone()
    other[-1, -1] += 1e-3
    rewrite(folder, lambda t: t.update({"lm_head.weight": other if head == "other" else other[:-1]}))
    message = (
        r"config.json says tie_word_embeddings, but lm_head.weight \(model.safetensors\) is not model.embed_tokens"
    )
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(folder)
    assert "set tie_word_embeddings to false" in str(caught.value)


def test_a_missing_tensor_is_named_with_its_file(folder):
    rewrite(folder, lambda tensors: tensors.pop(NORM))
    with pytest.raises(CheckpointError, match=rf"1 of \d+ tensors are missing in model.safetensors: {NORM}"):
        load_checkpoint(folder)


def test_many_missing_tensors_are_counted_and_a_few_named(folder):
    rewrite(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if "layers" in name])
    with pytest.raises(CheckpointError, match=r"24 of \d+ tensors are missing .* and 19 more"):
        load_checkpoint(folder)


def test_a_misshapen_tensor_is_named_with_its_file_and_both_shapes(folder):
    rewrite(folder, lambda tensors: tensors.update({NORM: torch.ones(63)}))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "model.safetensors" in message
    assert f"tensor {NORM} has shape [63], config.json makes it [64]" in message


@pytest.mark.parametrize("shape", [(32,), (32, 1176), (32, 3, 2, 14, 7), (33, 3, 2, 14, 14)])
def test_a_misshapen_patch_embedding_is_told_in_the_shape_of_the_file(folder, shape):
    rewrite(folder, lambda tensors: tensors.update({"visual.patch_embed.proj.weight": torch.ones(shape)}))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    assert f"has shape {list(shape)}, config.json makes it [32, 3, 2, 14, 14]" in str(caught.value)


def test_an_unknown_tensor_is_named(folder):
    rewrite(folder, lambda tensors: tensors.update({"reward_head.weight": torch.ones(1)}))
    with pytest.raises(CheckpointError, match="1 tensors have no place in this architecture: reward_head.weight"):
        load_checkpoint(folder)


def test_quantised_weights_are_refused(folder):
    rewrite(folder, lambda tensors: tensors.update({NORM: torch.ones(64, dtype=torch.int8)}))
    with pytest.raises(CheckpointError, match=rf"tensor {NORM} is torch.int8; quantised weights are not read"):
        load_checkpoint(folder)


def test_a_tensor_in_two_files_is_refused(tmp_path):
    folder = save_checkpoint(small.model(), tmp_path / "m", shard_bytes=100_000)
    (folder / "model.safetensors.index.json").unlink()
    save_file({NORM: torch.ones(64)}, folder / "z.safetensors")
    with pytest.raises(CheckpointError, match=rf"z.safetensors: tensor {NORM} is also in model-0000"):
        load_checkpoint(folder)


def test_a_whole_file_wins_over_the_index_of_an_older_save(tmp_path):
    """As in transformers: leftovers of a sharded save do not mix in."""
    folder = save_checkpoint(small.model(0), tmp_path / "m", shard_bytes=100_000)
    whole = save_checkpoint(small.model(1), tmp_path / "w")
    shutil.copy(whole / "model.safetensors", folder)
    loaded = load_checkpoint(folder)
    assert torch.equal(loaded.language.norm.weight, small.model(1).language.norm.weight)


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
def test_a_truncated_file_is_named(folder, keep):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="model.safetensors: not a whole safetensors file"):
        load_checkpoint(folder)


def test_a_missing_shard_is_named(tmp_path):
    folder = save_checkpoint(small.model(), tmp_path / "m", shard_bytes=100_000)
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(CheckpointError, match=f"{gone.name}: named by the index but missing"):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": [1]}', "{}", '{"weight_map": {"a": 1}}'])
def test_a_broken_index_is_named(tmp_path, text):
    folder = save_checkpoint(small.model(), tmp_path / "m", shard_bytes=100_000)
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="model.safetensors.index.json"):
        load_checkpoint(folder)


def test_a_folder_without_weights_says_so(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no \*.safetensors file; other weight formats are not read"):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "\x00"])
def test_a_broken_config_is_named(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="config.json"):
        read_config(folder)


def test_a_config_that_is_not_text_is_named(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="config.json: cannot be read as JSON"):
        read_config(folder)


def test_a_missing_folder_or_config_is_named(folder, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such checkpoint folder"):
        load_checkpoint(tmp_path / "nowhere")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="config.json is missing; a checkpoint is a Hugging Face folder"):
        load_checkpoint(folder)


def test_a_missing_entry_is_named_with_its_file(folder):
    edit_config(folder, hidden_size=None)
    with pytest.raises(CheckpointError, match=r"model/config.json: hidden_size is missing"):
        load_checkpoint(folder)


# ---------------------------------------------------------------- atomic saves


class Crash(Exception):
    pass


def crash(*arguments, **options):
    raise Crash


@pytest.mark.parametrize("step", ["_write_json", "write_shards", "_check_files", "replace_folder"])
def test_a_failure_while_saving_leaves_the_old_checkpoint_and_no_litter(folder, monkeypatch, step):
    before = contents(folder)
    monkeypatch.setattr(hf_checkpoint, step, crash)
    with pytest.raises(Crash):
        save_checkpoint(small.model(1), folder)
    assert contents(folder) == before
    assert os.listdir(folder.parent) == [folder.name]


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(folder, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    here = platform.node()
    litter = tmp_path / f".model.partial-{here}-{dead.pid}"
    busy = tmp_path / f".model.partial-{here}-{os.getppid()}"
    elsewhere = tmp_path / f".model.partial-another.machine-{dead.pid}"
    for path in (litter, busy, elsewhere):
        path.mkdir()
    save_checkpoint(small.model(1), folder)
    assert [path.exists() for path in (litter, busy, elsewhere)] == [False, True, True]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_save_replaces_the_old_checkpoint_as_a_whole(folder, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(hf_checkpoint, "_exchange", lambda one, other: False)
    (folder / "left-over.safetensors").write_bytes(b"")
    save_checkpoint(small.model(1), folder)
    fresh = save_checkpoint(small.model(1), folder.parent / "fresh")
    assert contents(folder) == contents(fresh)
    assert sorted(os.listdir(folder.parent)) == ["fresh", "model"]


def test_a_failed_rename_puts_the_old_folder_back(folder, tmp_path, monkeypatch):
    """Where two folders cannot be exchanged in one step."""
    monkeypatch.setattr(hf_checkpoint, "_exchange", lambda one, other: False)
    before = contents(folder)
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "never-written", folder)
    assert contents(folder) == before


def test_a_reader_never_meets_half_a_checkpoint(folder, monkeypatch):
    """While shards are being written the folder still loads, as the old model."""
    original = shards._compare

    def look(*arguments):
        original(*arguments)
        seen.append(load_checkpoint(folder).language.norm.weight)

    seen = []
    monkeypatch.setattr(shards, "_compare", look)
    save_checkpoint(small.model(1), folder, shard_bytes=100_000)
    assert len(seen) > 2
    assert all(torch.equal(weight, small.model(0).language.norm.weight) for weight in seen)
    assert torch.equal(load_checkpoint(folder).language.norm.weight, small.model(1).language.norm.weight)


@pytest.mark.parametrize("victim", ["model.safetensors", "config.json", "generation_config.json"])
def test_what_reads_back_differently_is_never_called_a_checkpoint(folder, monkeypatch, victim):
    """A disk that flips one bit between writing and reading back."""
    before = contents(folder)
    original = hf_checkpoint._check_files, shards._compare

    def flip(file):
        data = bytearray(file.read_bytes())
        data[-3] ^= 4
        file.write_bytes(data)

    def check_files(partial, *arguments):
        if victim != "model.safetensors":
            flip(partial / victim)
        original[0](partial, *arguments)

    def compare(file, *arguments):
        if victim == "model.safetensors":
            flip(file)
        original[1](file, *arguments)

    monkeypatch.setattr(hf_checkpoint, "_check_files", check_files)
    monkeypatch.setattr(shards, "_compare", compare)
    with pytest.raises(CheckpointError, match="reads back|cannot be read"):
        save_checkpoint(small.model(1), folder)
    assert contents(folder) == before
    assert os.listdir(folder.parent) == [folder.name]


def test_a_folder_that_is_no_checkpoint_is_not_replaced(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="home: is in the way and is not a checkpoint"):
        save_checkpoint(small.model(), tmp_path / "home")
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file: is in the way"):
        save_checkpoint(small.model(), tmp_path / "file")


def test_an_empty_folder_a_deep_path_and_a_link_are_saved_to(tmp_path):
    (tmp_path / "empty").mkdir()
    save_checkpoint(small.model(), tmp_path / "empty")
    save_checkpoint(small.model(), tmp_path / "a" / "b" / "c")
    (tmp_path / "latest").symlink_to(tmp_path / "empty")
    assert save_checkpoint(small.model(1), tmp_path / "latest") == tmp_path / "latest"
    assert (tmp_path / "latest").is_symlink()
    assert torch.equal(load_checkpoint(tmp_path / "empty").language.norm.weight, small.model(1).language.norm.weight)
