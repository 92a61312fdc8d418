"""Bad input through the command line: one clear error or a counted, listed drop; nothing lost, nothing half-way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from mimovl.cli import app
from mimovl.model import build_model, preset, save_checkpoint
from mimovl.store import Dataset
from tests.curate.readers.voc_folder import jpeg, png_header, write_voc, xml


def refused(*arguments: object) -> str:
    """The one line with which a command ends."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    return result.stderr


def test_every_kind_of_bad_photo_is_a_listed_drop_and_the_good_ones_are_kept(tmp_path: Path) -> None:
    write_voc(
        tmp_path / "in",
        4,
        broken={"zero": b"", "corrupt": jpeg(40)[:1500], "bomb": png_header(50_000, 50_000)},
        annotation={"outside": xml([("a", (500, 500, 600, 600))]), "unreadable": "<annotation><object>"},
    )
    result = CliRunner().invoke(app, ["import", "voc", str(tmp_path / "in"), "--out", str(tmp_path / "o")])
    assert result.exit_code == 0, result.output
    listed = {drop.id: drop.reason for drop in Dataset.open(tmp_path / "o" / "train").drops()}
    assert listed == {
        "bomb": "too_many_pixels",
        "corrupt": "corrupt_image",
        "outside": "no_objects",
        "outside#1": "outside_picture",
        "unreadable": "unreadable_annotation",
        "zero": "empty_file",
    }
    assert all(f"{reason} 1" in result.stdout for reason in listed.values())
    assert "train: 3 photos" in result.stdout and "heldout: 1 photos" in result.stdout


def test_a_missing_folder_is_one_error(tmp_path: Path) -> None:
    assert "no such folder" in refused("import", "voc", tmp_path / "none", "--out", tmp_path / "o")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_any_valid_sample_is_one_error_with_the_reasons(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", broken={"a": b"", "b": b"?"})
    message = refused("import", "voc", tmp_path / "in", "--out", tmp_path / "o")
    assert "has no usable photo among 2 annotations" in message and "empty_file 1" in message
    assert not (tmp_path / "o").exists()


def test_work_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", 2)
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "precious").touch()
    assert "exists and is not empty" in refused("import", "voc", tmp_path / "in", "--out", tmp_path / "o")
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["precious"]


def test_a_recipe_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    assert "no such file" in refused("recipe", "explain", tmp_path / "none.yaml")
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\0")
    assert "not UTF-8 text" in refused("recipe", "explain", tmp_path / "r.yaml")


def _drop_a_tensor(file: Path) -> str:
    tensors = load_file(file)
    name = sorted(tensors)[0]
    del tensors[name]
    save_file(tensors, file, metadata={"format": "pt"})
    return name


def _reshape_a_tensor(file: Path) -> str:
    tensors = load_file(file)
    name = sorted(tensors)[0]
    tensors[name] = torch.zeros(tensors[name].numel() + 1)
    save_file(tensors, file, metadata={"format": "pt"})
    return name


def _cut(file: Path) -> str:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return file.name


def _remove(file: Path) -> str:
    file.unlink()
    return "safetensors"


def _break_config(file: Path) -> str:
    (file.parent / "config.json").write_text("{")
    return "config.json"


@pytest.mark.parametrize("damage", [_drop_a_tensor, _reshape_a_tensor, _cut, _remove, _break_config])
def test_a_damaged_checkpoint_is_one_error_that_names_the_part(tmp_path: Path, damage: Callable[[Path], str]) -> None:
    torch.manual_seed(0)
    save_checkpoint(build_model(preset("tiny")), tmp_path / "c")
    (file,) = (tmp_path / "c").glob("*.safetensors")
    culprit = damage(file)
    (tmp_path / "m.json").write_text('[{"role": "user", "content": "hello"}]')
    message = refused("logprobs", tmp_path / "c", "--messages", tmp_path / "m.json", "--out", tmp_path / "o.json")
    assert culprit in message
    assert not (tmp_path / "o.json").exists()


def test_a_missing_checkpoint_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('[{"role": "user", "content": "hello"}]')
    message = refused("logprobs", tmp_path / "c", "--messages", tmp_path / "m.json", "--out", tmp_path / "o.json")
    assert "no such checkpoint folder" in message
