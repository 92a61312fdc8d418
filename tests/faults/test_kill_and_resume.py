"""Runs killed for real (SIGKILL, no chance to tidy up) go on and end as if nothing had happened, to the bit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimovl.pipeline.run import run
from tests.pipeline import micro

STEPS = ("1-projector", "2-general", "3-morl")

KILLS_ITSELF = """
import os, signal, sys
from mimovl.pipeline import progress
from mimovl.pipeline.run import run
recipe, out, title, step = sys.argv[1:]
update = progress.StepProgress.update

def deadly(self, done, total, text):
    update(self, done, total, text)
    if self.title == title and done == int(step):
        os.kill(os.getpid(), signal.SIGKILL)

progress.StepProgress.update = deadly
run(recipe, out)
"""


def killed_at(folder: Path, title: str, step: int) -> None:
    """Run until a step of a stage, and not a moment longer."""
    arguments = [sys.executable, "-c", KILLS_ITSELF, str(folder / "micro.yaml"), str(folder / "out"), title, str(step)]
    ended = subprocess.run(arguments, capture_output=True, timeout=600)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def killed_when(folder: Path, file: str) -> None:
    """Run until a file has a line; whatever is being done then is not finished."""
    arguments = [sys.executable, "-m", "mimovl.cli", "run", str(folder / "micro.yaml"), "--out", str(folder / "out")]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 600
        while not (folder / "out" / file).is_file() or b"\n" not in (folder / "out" / file).read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, "it ended before it could be killed"
            time.sleep(0.001)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.fixture
def folder(micro_run: Path, tmp_path: Path) -> Path:
    """The recipe of the finished run, for a run of its own."""
    shutil.copy(micro_run.parent / "micro.yaml", tmp_path)
    return tmp_path


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(folder: Path, micro_run: Path) -> None:
    out = folder / "out"
    killed_when(folder, "2-general/metrics.jsonl")
    assert (out / "1-projector" / "done.json").is_file() and not (out / "3-morl").exists()
    data = (out / "data" / "train" / "manifest.json").stat().st_mtime_ns
    killed_at(folder, "stage 3 morl", 2)
    assert (out / "3-morl" / "resume" / "resume.pt").is_file() and not (out / "3-morl" / "done.json").exists()
    with (out / "3-morl" / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 3, "rew')  # as a kill in the middle of a line would have left it
    (out / "3-morl" / "resume" / "resume.partial").write_bytes(b"half")
    run(folder / "micro.yaml", out)
    assert micro.figures(out) == micro.figures(micro_run)
    for step in STEPS:
        weights = "model/model.safetensors"
        assert (out / step / weights).read_bytes() == (micro_run / step / weights).read_bytes()
        assert not list((out / step / "resume").glob("*.pt"))
    assert (out / "data" / "train" / "manifest.json").stat().st_mtime_ns == data
    assert json.loads((out / "run.json").read_text())["seconds"].keys() == _seconds(micro_run)
    assert not [path for path in out.rglob(".*") if path.is_dir()], "temporary folders were left behind"


def _seconds(out: Path) -> set[str]:
    return json.loads((out / "run.json").read_text())["seconds"].keys()
