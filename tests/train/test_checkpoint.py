import errno
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mimovl.data import Processor
from mimovl.errors import CheckpointError
from mimovl.model import load_checkpoint
from mimovl.train import Optimizer, OptimizerConfig
from mimovl.train.checkpoint import finish_step, is_finished, resume_training, save_training
from tests import tiny

RATES = {"vision": 1e-3, "projector": 1e-3, "language": 1e-3}
RESUME = "resume/resume.pt"


def training(seed=0, steps=1, config=None):
    """A model and its optimizer after a few steps on random gradients."""
    model = tiny.model(seed)
    optimizer = Optimizer(dict(model.named_children()), RATES, config or OptimizerConfig())
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return model, optimizer


def state(model, optimizer):
    """Everything a resume point holds, as plain tensors."""
    inner = [part for state in optimizer.state_dict() for part in state["state"].values()]
    values = [value for part in inner for value in part.values() if isinstance(value, torch.Tensor)]
    return [*model.state_dict().values(), *values]


def test_parameters_optimizer_counters_and_random_state_come_back(tmp_path: Path) -> None:
    model, optimizer = training(steps=2)
    counters = {"step": 2, "waiting": [4, 1, 7], "seconds": 1.25}
    torch.manual_seed(5)
    save_training(tmp_path, {"model": model}, optimizer, counters)
    expected = torch.rand(3)
    other, other_optimizer = training(seed=1, steps=0)
    assert resume_training(tmp_path, {"model": other}, other_optimizer) == counters
    assert torch.equal(torch.rand(3), expected)
    pairs = zip(state(model, optimizer), state(other, other_optimizer), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_without_a_resume_point_nothing_changes(tmp_path: Path) -> None:
    model, optimizer = training()
    before = [value.clone() for value in state(model, optimizer)]
    assert resume_training(tmp_path, {"model": model}, optimizer) is None
    assert all(torch.equal(one, two) for one, two in zip(before, state(model, optimizer), strict=True))


def test_a_half_written_resume_point_is_never_taken_for_one(tmp_path: Path) -> None:
    model, optimizer = training()
    save_training(tmp_path, {"model": model}, optimizer, {"step": 1})
    (tmp_path / "resume" / "resume.partial").write_bytes(b"cut by a kill")
    assert resume_training(tmp_path, {"model": model}, optimizer) == {"step": 1}
    save_training(tmp_path, {"model": model}, optimizer, {"step": 2})
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["resume.pt"]


def test_a_save_that_the_disk_refused_says_why_and_how_much_room_there_was(tmp_path: Path, monkeypatch) -> None:
    model, optimizer = training()
    save_training(tmp_path, {"model": model}, optimizer, {"step": 1})
    partial = tmp_path / "resume" / "resume.partial"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=11 if partial.exists() else 22))

    def save(state: object, file: object) -> None:
        try:
            raise refused
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos") from None

    monkeypatch.setattr(torch, "save", save)
    for number, cure in ((errno.ENOSPC, "make room"), (errno.EIO, "see to that")):
        refused = OSError(number, os.strerror(number))
        with pytest.raises(CheckpointError) as met:
            save_training(tmp_path, {"model": model}, optimizer, {"step": 2})
        assert str(met.value) == (
            f"{tmp_path / RESUME}: could not be saved ({refused}), 11 bytes are free; what was saved before is whole: "
            f"{cure} and start the same command again"
        )
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["resume.pt"]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("not a tensor in sight")


def _code(path: Path) -> None:
    """A pickle that would run a program when loaded."""
    path.write_bytes(f"cposix\nsystem\n(S'touch {path.parent}/ran'\ntR.".encode())


def _other_content(path: Path) -> None:
    torch.save({"something": "else"}, path)


@pytest.mark.parametrize("damage", [_cut, _scribble, _empty, _text, _code, _other_content])
def test_a_damaged_resume_point_is_one_clear_error(tmp_path: Path, damage) -> None:
    model, optimizer = training()
    save_training(tmp_path, {"model": model}, optimizer, {"step": 1})
    damage(tmp_path / RESUME)
    with pytest.raises(CheckpointError) as caught:
        resume_training(tmp_path, {"model": model}, optimizer)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / RESUME}: cannot go on from it (")
    assert message.endswith("; delete it to start this step again") and "\n" not in message and "()" not in message
    assert caught.value.__cause__ is None
    assert not (tmp_path / "resume" / "ran").exists()


def test_a_resume_point_of_another_model_or_optimizer_is_refused(tmp_path: Path) -> None:
    model, optimizer = training()
    save_training(tmp_path, {"model": model}, optimizer, {"step": 1})
    with pytest.raises(CheckpointError, match="Muon|group|argument|optimizer"):
        resume_training(tmp_path, {"model": model}, training(config=OptimizerConfig(name="muon"))[1])
    with pytest.raises(CheckpointError, match="Error.*Projector.*Missing key"):
        resume_training(tmp_path, {"model": model.projector, "other": model}, optimizer)


def test_a_finished_step_has_a_whole_checkpoint_and_no_resume_point(tmp_path: Path) -> None:
    model, optimizer = training()
    save_training(tmp_path, {"model": model}, optimizer, {"step": 1})
    assert not is_finished(tmp_path)
    finish_step(tmp_path, model, tiny.processor().files(), {"steps": 1})
    assert is_finished(tmp_path)
    assert json.loads((tmp_path / "done.json").read_text()) == {"steps": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done.json", "model", "resume"]
    assert not list((tmp_path / "resume").iterdir())
    loaded = load_checkpoint(tmp_path / "model")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert len(Processor.load(tmp_path / "model").tokenizer) == len(tiny.tokenizer())


def test_what_a_kill_left_of_a_checkpoint_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".model.partial-123").mkdir()
    (tmp_path / ".model.partial-123" / "model.safetensors").write_bytes(b"half")
    finish_step(tmp_path, training(steps=0)[0], {}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done.json", "model"]


def test_a_step_is_not_finished_when_its_checkpoint_could_not_be_written(tmp_path: Path) -> None:
    model, optimizer = training()
    save_training(tmp_path, {"model": model}, optimizer, {"step": 1})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious.txt").touch()
    with pytest.raises(CheckpointError, match="in the way"):
        finish_step(tmp_path, model, {}, {"steps": 1})
    assert not is_finished(tmp_path)
    assert (tmp_path / RESUME).is_file()
