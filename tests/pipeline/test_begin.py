from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from mimovl.errors import RecipeError, UsageError
from mimovl.pipeline.begin import alone_in, begin
from tests.pipeline import micro


def test_it_keeps_the_recipe_with_the_run(tiny_start: Path, tmp_path: Path) -> None:
    path = micro.write(tmp_path / "micro.yaml", micro.recipe(tiny_start))
    recipe, folder = begin(path, tmp_path / "out", ["seed=4"])
    assert recipe.seed == 4 and (folder / "recipe.yaml").is_file()
    with pytest.raises(RecipeError, match="seed"):
        begin(path, tmp_path / "out")


def test_folders_of_prompts_that_are_not_there_are_named_before_anything_is_made(tiny_start, tmp_path) -> None:
    values = micro.recipe(tiny_start)
    values["data"] |= {"prompts": {}, "prompt_folders": [str(tmp_path / "nowhere")]}
    with pytest.raises(RecipeError, match="data.prompt_folders: .*nowhere: no such dataset"):
        begin(micro.write(tmp_path / "micro.yaml", values), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reinforcement_learning_asks_something(tiny_start: Path, tmp_path: Path) -> None:
    values = micro.recipe(tiny_start)
    values["data"]["prompts"] = {}
    with pytest.raises(RecipeError, match="has no prompts; give data.prompts items .*data.prompt_folders"):
        begin(micro.write(tmp_path / "micro.yaml", values), tmp_path / "out")


# ---------------------------------------------------------------- one process at a time

HOLDS = """
import sys, time
from pathlib import Path
from mimovl.pipeline.begin import alone_in
with alone_in(Path(sys.argv[1])):
    print("holds it", flush=True)
    time.sleep(600)
"""


def test_a_folder_in_which_another_process_works_is_refused_until_that_is_gone(tiny_start, tmp_path) -> None:
    path, out = micro.write(tmp_path / "micro.yaml", micro.recipe(tiny_start)), tmp_path / "out"
    out.mkdir()
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(out)], stdout=subprocess.PIPE)
    assert other.stdout
    try:
        assert other.stdout.readline() == b"holds it\n"
        with ExitStack() as held:
            with pytest.raises(UsageError, match=r"out: another process is working on this run; wait .* another --out"):
                begin(path, out, held=held)
            assert not (out / "recipe.yaml").exists(), "nothing is written into another one's folder"
        begin(path, out)  # as the processes do that follow a leader
    finally:
        other.kill()
        other.communicate()
    with ExitStack() as held:
        begin(path, out, held=held)


def test_a_process_may_begin_again_in_its_own_folder_and_gives_it_back(tmp_path: Path) -> None:
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(alone_in(tmp_path))
        assert _locked(tmp_path)
    assert not _locked(tmp_path)


def test_a_process_that_reads_ahead_does_not_keep_the_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        assert not _locked(tmp_path)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_taken_as_it_is(number: int, tmp_path: Path, monkeypatch) -> None:
    def none(*arguments: object) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", none)
    with alone_in(tmp_path):
        pass


def _locked(folder: Path) -> bool:
    """Whether somebody else could not hold it."""
    with (folder / ".lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
