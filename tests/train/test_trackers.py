"""Dashboards beside metrics.jsonl: what each is told is read back from what it wrote."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from mimovl.errors import MissingExtraError, UsageError
from mimovl.train import Tracking, TrackingConfig, check_trackers, trackers, train_stage
from mimovl.train.trackers import TITLES, flatten
from tests import tiny
from tests.interrupt import Interrupt, Plug


def tracking(folder: Path, *names: str, **config) -> Tracking:
    return Tracking(TrackingConfig(to=names, **config), folder, "a run", {"seed": 1, "stages": [{"name": "general"}]})


def train(out: Path, watched: Tracking | None, *, progress=None, **changes):
    stage = tiny.stage(steps=4, save_seconds=1e-9, **changes)
    return train_stage(
        tiny.model(), tiny.processor(), tiny.mixed(), stage, out, seed=1, progress=progress, tracking=watched
    )


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def expected(out: Path, name: str) -> list[float]:
    return [dict(flatten(line))[name] for line in lines(out)]


NAMES = ("loss", "grad_norm", "mfu", "grad_norm_by_part/vision", "learning_rate/projector", "tokens_per_second")


# ---------------------------------------------------------------- without any of them


def test_every_finite_number_is_flattened_under_its_path() -> None:
    line = {"step": 3, "loss": 2.5, "by": {"world/gui": 1, "b": {"c": 2.0}}, "no": None, "word": "x", "yes": True}
    line |= {"nan": float("nan"), "list": [1]}
    assert dict(flatten(line)) == {"step": 3.0, "loss": 2.5, "by/world/gui": 1.0, "by/b/c": 2.0}


@pytest.mark.parametrize("name", TITLES)
def test_an_absent_tracker_is_refused_with_the_line_that_installs_it(name, tmp_path, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted, *rest: None if wanted == name else find(wanted))
    message = rf"tracking\.to: {name} needs {TITLES[name]}, .* run: pip install 'mimovl\[{name}\]'"
    with pytest.raises(MissingExtraError, match=message):
        check_trackers(TrackingConfig(to=(name,)))
    with pytest.raises(MissingExtraError, match=message):
        train(tmp_path / "3-general", tracking(tmp_path, name))
    check_trackers(None)
    check_trackers(TrackingConfig())


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(ValueError, match="'tensorboard', 'wandb' or 'trackio'"):
        TrackingConfig(to=["mlflow"])


def test_two_runs_of_one_recipe_are_told_apart_and_a_resumed_one_is_not(tmp_path) -> None:
    one, again, other = (tracking(tmp_path / name).identity("1-a") for name in ("x", "x", "y"))
    assert one == again != other != tracking(tmp_path / "x").identity("2-b")


class Broken:
    """A dashboard whose disk is full from the second line on."""

    def __init__(self, tracking, step, at) -> None:
        self.told = 0

    def log(self, figures, step) -> None:
        self.told += 1
        if self.told == 2:
            raise OSError("No space left on device")
        assert self.told < 2, "told after it was left behind"

    def close(self) -> None: ...


def test_a_tracker_that_fails_is_left_behind_with_one_warning_and_the_training_goes_on(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: True)
    monkeypatch.setitem(trackers._OPENERS, "wandb", Broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(tmp_path / "1-a", tracking(tmp_path, "wandb"))
    assert len(lines(tmp_path / "1-a")) == 4
    assert [str(one.message) for one in caught if one.category is RuntimeWarning] == [
        "Weights & Biases failed (No space left on device) and is told nothing more of this step; metrics.jsonl has "
        "everything"
    ]


def test_a_tracker_that_cannot_begin_stops_before_the_first_step(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    with pytest.raises(UsageError, match=r"TensorBoard cannot begin \(.*take tensorboard out of tracking\.to"):
        train(tmp_path / "1-a", tracking(tmp_path, "tensorboard"))
    assert not (tmp_path / "1-a" / "metrics.jsonl").exists()


# ---------------------------------------------------------------- each of them, for real


def test_tensorboard_shows_what_metrics_say_and_a_resumed_stage_no_step_twice(tmp_path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'mimovl[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, watched = tmp_path / "3-general", tracking(tmp_path, "tensorboard")
    with pytest.raises(Interrupt):
        train(out, watched, progress=Plug(3))
    train(out, watched)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "3-general"))
    events.Reload()
    assert {"loss_by_source/world/counting", *NAMES} <= set(events.Tags()["scalars"])
    for name in NAMES:
        shown = events.Scalars(name)
        assert [point.step for point in shown] == [1, 2, 3, 4]
        assert [point.value for point in shown] == pytest.approx(expected(out, name), rel=1e-6)


def test_wandb_offline_writes_what_metrics_say_and_sends_nothing(tmp_path, monkeypatch) -> None:
    pytest.importorskip("wandb", reason="pip install 'mimovl[wandb]'")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    out = tmp_path / "3-general"
    train(out, tracking(tmp_path, "wandb", project="vision", wandb_mode="offline"))
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    history, runs = _wandb_records(file)
    assert [line["step"] for line in history] == [1, 2, 3, 4]
    for name in NAMES:
        assert [line[name] for line in history] == pytest.approx(expected(out, name), rel=1e-9)
    assert (runs[0].project, runs[0].run_group, runs[0].display_name) == ("vision", "a run", "a run/3-general")


def _wandb_records(path: Path):
    """History lines and run records of an offline file."""
    from wandb.proto import wandb_internal_pb2

    history, runs = [], []
    for data in _leveldb_log(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            history.append(items)
        elif kind == "run":
            runs.append(record.run)
    return history, runs


def _leveldb_log(data: bytes):
    """Records of a file in LevelDB's log format behind wandb's header of seven bytes; wandb ships no reader of it."""
    assert data[:4] == b":W&B"
    place, parts = 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # the rest of a block that holds no header
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_trackio_keeps_what_metrics_say(tmp_path) -> None:
    pytest.importorskip("trackio", reason="pip install 'mimovl[trackio]'")
    # In a process of its own: trackio reads TRACKIO_DIR when it is imported, and keeps threads.
    script = (
        "import sys, pathlib; from tests.train import test_trackers as t\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "t.train(folder / '3-general', t.tracking(folder, 'trackio', project='vision'))\n"
        "import json, trackio; from trackio.sqlite_storage import SQLiteStorage as storage\n"
        "run, = trackio.Api().runs('vision')\n"
        "print(json.dumps([run.name, storage.get_logs('vision', run.name, run_id=run.id)]))"
    )
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    run, history = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))
    assert run.startswith("a run/3-general-") and [line["step"] for line in history] == [1, 2, 3, 4]
    for name in NAMES:
        assert [line[name] for line in history] == pytest.approx(expected(tmp_path / "3-general", name), rel=1e-6)
