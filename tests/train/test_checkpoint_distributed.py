"""Resume points of many processes: whole or not there, the last few kept, bit-equal, and readable by another number."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter

from mimovl.errors import CheckpointError
from mimovl.model import VisionLanguageModel, build_model, load_checkpoint
from mimovl.team import Team, run_team
from mimovl.train import Optimizer, OptimizerConfig
from mimovl.train.checkpoint_distributed import DistributedCheckpoints
from mimovl.train.distributed import joined
from tests import tiny
from tests.interrupt import Interrupt, Plug
from tests.train import spread_work

RATES = {"vision": 1e-3, "projector": 1e-3, "language": 1e-3}
FULL = {"fsdp": "full"}
CHANGES = {"optimizer": {"name": "muon"}, "save_seconds": 1e-9}


@pytest.fixture
def team() -> Iterator[Team]:
    """A process alone, joined in a group of one."""
    with joined() as alone:
        yield alone


def training(seed: int = 0, steps: int = 1, name: str = "adamw"):
    """A model and its optimizer after a few steps on random gradients."""
    model = tiny.model(seed)
    optimizer = Optimizer(dict(model.named_children()), RATES, OptimizerConfig(name=name))
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return model, optimizer


def points(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "resume").iterdir())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_parameters_states_counters_and_random_state_come_back(name: str, team: Team, tmp_path: Path) -> None:
    model, optimizer = training(steps=2, name=name)
    torch.manual_seed(5)
    checkpoints = DistributedCheckpoints(team)
    checkpoints.save(tmp_path, model, optimizer, {"step": 2, "loaders": [{"waiting": [4, 1]}]})
    expected = torch.rand(3)
    kept = {key: value.clone() for key, value in {**model.state_dict(), **optimizer.tensors()}.items()}
    for parameter in model.parameters():  # what is written was copied aside: training may go on
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    checkpoints.settle(tmp_path)
    other, other_optimizer = training(seed=1, steps=0, name=name)
    counters = DistributedCheckpoints(team).resume(tmp_path, other, other_optimizer)
    assert counters == {"step": 2, "loaders": [{"waiting": [4, 1]}]}
    assert torch.equal(torch.rand(3), expected)
    found = {**other.state_dict(), **other_optimizer.tensors()}
    assert found.keys() == kept.keys()
    assert all(torch.equal(found[key], value) for key, value in kept.items())


def test_the_last_points_are_kept_and_a_finished_stage_has_none(team: Team, tmp_path: Path) -> None:
    model, optimizer = training()
    checkpoints = DistributedCheckpoints(team, keep=2)
    assert checkpoints.resume(tmp_path, model, optimizer) is None
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, model, optimizer, {"step": step})
    checkpoints.settle(tmp_path)
    assert points(tmp_path) == ["step-0000002", "step-0000003"]
    checkpoints.drop(tmp_path)
    assert not (tmp_path / "resume").exists()


def test_what_a_killed_writer_left_is_no_point_and_goes(team: Team, tmp_path: Path) -> None:
    model, optimizer = training()
    checkpoints = DistributedCheckpoints(team, ahead=False)
    checkpoints.save(tmp_path, model, optimizer, {"step": 1})
    shutil.copytree(tmp_path / "resume" / "step-0000001", tmp_path / "resume" / ".step-0000009.partial")
    (tmp_path / "resume" / "step-0000008").mkdir()  # a copy that somebody began by hand
    assert checkpoints.resume(tmp_path, model, optimizer) == {"step": 1}
    assert ".step-0000009.partial" not in points(tmp_path)


def test_a_full_disk_is_said_with_both_numbers_and_leaves_the_earlier_point(team, tmp_path, monkeypatch) -> None:
    model, optimizer = training()
    checkpoints = DistributedCheckpoints(team, ahead=False)
    checkpoints.save(tmp_path, model, optimizer, {"step": 1})

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FileSystemWriter, "write_data", full)
        with pytest.raises(CheckpointError) as met:
            checkpoints.save(tmp_path, model, optimizer, {"step": 2})
    message = str(met.value)
    assert "step-0000002: could not be saved" in message and "No space left on device" in message
    assert "bytes, " in message and " are free; step-0000001 is whole: make room" in message
    assert points(tmp_path) == ["step-0000001"]
    assert DistributedCheckpoints(team).resume(tmp_path, *training(steps=0)) == {"step": 1}


def test_a_damaged_point_is_named_and_so_is_the_one_before(team: Team, tmp_path: Path) -> None:
    model, optimizer = training()
    checkpoints = DistributedCheckpoints(team, ahead=False)
    for step in (1, 2):
        checkpoints.save(tmp_path, model, optimizer, {"step": step})
    newest = tmp_path / "resume" / "step-0000002"
    (newest / "counters.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"step-0000002: cannot go on from it .*; step-0000001 before it may be"):
        checkpoints.resume(tmp_path, model, optimizer)
    shutil.rmtree(newest)
    assert checkpoints.resume(tmp_path, model, optimizer) == {"step": 1}


def test_room_is_measured_before_the_unfinished_point_goes(team: Team, tmp_path: Path, monkeypatch) -> None:
    model, optimizer = training()
    checkpoints = DistributedCheckpoints(team, ahead=False)

    def refused(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=11 if (tmp_path / "resume" / ".step-0000002.partial").is_dir() else 22)

    monkeypatch.setattr(FileSystemWriter, "write_data", refused)
    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(CheckpointError, match="beside what was written of them 11 are free; see to that and start"):
        checkpoints.save(tmp_path, model, optimizer, {"step": 2})
    assert points(tmp_path) == []


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(byte ^ 0x55 for byte in data[middle : middle + 64])
    path.write_bytes(data)


DAMAGES = {
    "__0_0.distcp": (flipped, r"__0_0.distcp is damaged: it has (\d+) bytes of checksum \w+, was written as \1 bytes"),
    ".metadata": (flipped, r".metadata is damaged: it has (\d+) bytes of checksum \w+, was written as \1 bytes"),
    "counters.json": (
        lambda path: path.write_text("{}"),
        r"counters.json is damaged: it has 2 bytes of .* written as 11",
    ),
    "digests.json": (lambda path: path.write_text('{"a": '), r"digests.json: Expecting value"),
}


@pytest.mark.parametrize("file", DAMAGES)
def test_a_point_of_which_some_bytes_are_other_ones_is_refused(file: str, team: Team, tmp_path: Path) -> None:
    checkpoints = DistributedCheckpoints(team, ahead=False)
    for step in (1, 2):
        checkpoints.save(tmp_path, *training(), {"step": step})
    damage, said = DAMAGES[file]
    damage(tmp_path / "resume" / "step-0000002" / file)
    with pytest.raises(
        CheckpointError, match=rf"step-0000002: cannot go on from it \({said}.*; step-0000001 before it"
    ):
        checkpoints.resume(tmp_path, *training(steps=0))


def test_a_point_that_lacks_a_file_is_refused(team: Team, tmp_path: Path) -> None:
    checkpoints = DistributedCheckpoints(team, ahead=False)
    checkpoints.save(tmp_path, *training(), {"step": 1})
    (tmp_path / "resume" / "step-0000001" / "__0_0.distcp").unlink()
    with pytest.raises(CheckpointError, match=r"cannot go on from it \(__0_0.distcp is missing\); delete it"):
        checkpoints.resume(tmp_path, *training(steps=0))


def test_a_point_of_an_older_version_which_lists_no_digests_is_read(team: Team, tmp_path: Path) -> None:
    checkpoints = DistributedCheckpoints(team, ahead=False)
    checkpoints.save(tmp_path, *training(), {"step": 1})
    (tmp_path / "resume" / "step-0000001" / "digests.json").unlink()
    assert checkpoints.resume(tmp_path, *training(steps=0)) == {"step": 1}
    for text, said in (("{}", "counters.json says step None, the folder step-0000001"), ("[1]", "holds no object")):
        (tmp_path / "resume" / "step-0000001" / "counters.json").write_text(text)
        with pytest.raises(CheckpointError, match=said):
            checkpoints.resume(tmp_path, *training(steps=0))


def other(layers: int, parts: list[str]) -> tuple[VisionLanguageModel, Optimizer]:
    """A model of so many decoder layers, of which only these parts are trained."""
    config = tiny.config()
    model = build_model(replace(config, language=replace(config.language, num_layers=layers)), seed=0)
    trained = {name: part for name, part in model.named_children() if name in parts}
    return model, Optimizer(trained, RATES, OptimizerConfig())


@pytest.mark.parametrize(
    ("layers", "parts", "said"),
    [
        (1, list(RATES), r"has, beside what is trained here, 48 tensors, the first is model.language.layers.1.input"),
        (3, list(RATES), r"lacks 48 tensors, the first is model.language.layers.2.input_layernorm.weight"),
        (2, ["language"], r"has, beside what is trained here, \d+ tensors, the first is optimizer.projector.down.bias"),
    ],
)
def test_a_point_of_another_model_or_of_other_parts_is_refused(layers, parts, said, team, tmp_path) -> None:
    checkpoints = DistributedCheckpoints(team, ahead=False)
    checkpoints.save(tmp_path, *training(), {"step": 1})
    with pytest.raises(CheckpointError, match=rf"{said}.*: the model, or what is trained, is another"):
        checkpoints.resume(tmp_path, *other(layers, parts))


# ---------------------------------------------------------------- several processes


def _killed_and_resumed(team: Team, start: Path, folder: Path) -> None:
    """Whole; cut after three steps, then resumed; cut after three, for one process to go on."""
    spread_work.sharded(team, start, folder / "whole", FULL, **CHANGES)
    for name in ("cut", "fewer"):
        try:
            spread_work.sharded(team, start, folder / name, FULL, progress=Plug(3), **CHANGES)
        except Interrupt:
            continue
    spread_work.sharded(team, start, folder / "cut", FULL, **CHANGES)
    DistributedCheckpoints(team, ahead=False).save(folder / "saved", *training(), {"step": 1})


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resumed")
    start = tiny.checkpoint(folder / "start")
    run_team(2, _killed_and_resumed, (start, folder))
    with joined() as alone:
        spread_work.sharded(alone, start, folder / "fewer", FULL, **CHANGES)
    return folder


def test_as_many_processes_go_on_to_the_bit(resumed: Path) -> None:
    names = ("loss", "grad_norm", "tokens")
    assert spread_work.figures(resumed / "cut", *names) == spread_work.figures(resumed / "whole", *names)
    whole = load_checkpoint(resumed / "whole" / "model").state_dict()
    for name, value in load_checkpoint(resumed / "cut" / "model").state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_fewer_processes_go_on_with_the_same_samples_and_nearly_the_same_losses(resumed: Path) -> None:
    assert spread_work.figures(resumed / "fewer", "tokens") == spread_work.figures(resumed / "whole", "tokens")
    assert spread_work.losses(resumed / "fewer") == pytest.approx(spread_work.losses(resumed / "whole"), rel=1e-3)
    assert spread_work.losses(resumed / "fewer")[:2] == spread_work.losses(resumed / "whole")[:2]


@pytest.mark.parametrize("rank", [0, 1])
def test_every_process_lists_what_it_wrote(rank: int, resumed: Path, team: Team, tmp_path: Path) -> None:
    shutil.copytree(resumed / "saved", tmp_path, dirs_exist_ok=True)
    assert DistributedCheckpoints(team).resume(tmp_path, *training(steps=0)) == {"step": 1}
    flipped(tmp_path / "resume" / "step-0000001" / f"__{rank}_0.distcp")
    with pytest.raises(CheckpointError, match=f"__{rank}_0.distcp is damaged"):
        DistributedCheckpoints(team).resume(tmp_path, *training(steps=0))
