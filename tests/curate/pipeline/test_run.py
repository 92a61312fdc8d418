"""The runner: the same bytes however it runs, every drop listed, counts that add up, stops that name the culprit."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimovl.curate.pipeline import Limits, curate
from mimovl.curate.pipeline.shard import read_facts
from mimovl.errors import MimovlError, UsageError
from mimovl.store import Dataset
from tests.curate.pipeline.parts import Die, Double, DropEven, Fail, Numbers, OnePerPicture, Short, Shout

ROOT = Path(__file__).parent.parent.parent.parent
SMALL = Limits(task_items=20, chunk_items=8, shard_bytes=20_000)
STEPS = [Shout(), OnePerPicture(), Double(), DropEven()]


def bytes_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_one_process_two_and_four_write_the_same_bytes(tmp_path: Path) -> None:
    for workers in (0, 2, 4):
        curate([Numbers()], STEPS, tmp_path / str(workers), workers=workers, limits=SMALL)
    assert bytes_of(tmp_path / "0") == bytes_of(tmp_path / "2") == bytes_of(tmp_path / "4")
    assert not list(tmp_path.glob("*.curating"))


def test_every_sample_is_kept_or_listed_and_the_counts_add_up(tmp_path: Path) -> None:
    manifest = curate([Numbers()], STEPS, tmp_path / "out", workers=0, limits=SMALL).manifest
    dataset = Dataset.open(tmp_path / "out")
    read, shout, one, double, even, store = manifest["steps"]
    assert read["seen"] == 100 and read["dropped"] == {"broken": 14} and read["passed"] == 86
    assert one["dropped"] == {"seen": 86 - len({n % 40 for n in range(100) if n % 7 != 3})}
    for step in manifest["steps"]:
        assert step["seen"] == step["passed"] - step["made"] + sum(step["dropped"].values())
    for before, after in zip(manifest["steps"], manifest["steps"][1:], strict=False):
        assert before["passed"] == after["seen"]
    assert store["passed"] == len(dataset) == manifest["counts"]["kept"] > 0
    drops = dataset.drops()
    assert len(drops) == sum(manifest["counts"]["dropped"].values())
    assert {(drop.step, drop.reason) for drop in drops} == {
        ("read", "broken"), ("one_per_picture", "seen"), ("drop_even", "even")
    }  # fmt: skip
    assert shout["changed"] == 86 and double["changed"] == double["seen"] and even["changed"] == 0
    assert double["made"] != 0


def test_the_dataset_holds_what_the_steps_made_and_its_pictures(tmp_path: Path) -> None:
    curate([Numbers(count=30)], [Shout()], tmp_path / "out", workers=0, limits=SMALL)
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.ids == [f"n{n}" for n in range(30) if n % 7 != 3]
    assert dataset.find("n8").messages[0].text == "NUMBER 8" and dataset.find("n8").meta == {"seed": 0}
    assert all(len(sample.media) == 1 for sample in dataset)  # bytes are checked against hashes
    assert dataset.manifest["counts"]["by_source"] == {"numbers": 26}
    assert dataset.manifest["media_shards"] > 1 and dataset.manifest["record_shards"] >= 1


def test_media_that_no_kept_sample_shows_are_left_behind(tmp_path: Path) -> None:
    curate([Numbers(count=40)], [DropEven()], tmp_path / "out", workers=0, limits=SMALL)
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.manifest["counts"]["media"] == len(dataset)
    tars = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.tar"))
    assert tars < 1.5 * dataset.manifest["counts"]["media_bytes"]


PROGRAM = """
import sys
from mimovl.curate.pipeline import Limits, curate
from tests.curate.pipeline.parts import Double, DropEven, Numbers, OnePerPicture, Shout
if __name__ == "__main__":
    steps = [Shout(), OnePerPicture(), Double(), DropEven(slow=float(sys.argv[3]))]
    curate([Numbers()], steps, sys.argv[1], workers=int(sys.argv[2]), limits=Limits(task_items=20, chunk_items=8,
           shard_bytes=20_000))
"""


def start(script: Path, out: Path, workers: int, slow: float) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen([sys.executable, script, out, str(workers), str(slow)], env=environment, cwd=ROOT)


def test_killed_at_any_point_and_started_again_it_writes_the_same_bytes(tmp_path: Path) -> None:
    steps = [Shout(), OnePerPicture(), Double(), DropEven(slow=0.01)]
    curate([Numbers()], steps, tmp_path / "whole", workers=0, limits=SMALL)
    (tmp_path / "program.py").write_text(PROGRAM)
    out = tmp_path / "out"
    kills = 0
    for wanted in (1, 3, 6, 9):  # shards done when the kill comes, of ten
        process = start(tmp_path / "program.py", out, 2, 0.01)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((tmp_path / "out.curating").glob("segment-*/0*"))) >= wanted:
                break
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    curate([Numbers()], steps, out, workers=0, limits=SMALL)
    assert kills >= 2
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_finished_shards_are_not_done_again(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: float, total: float, text: str) -> None:
        if done >= 60:
            raise Stopped

    with pytest.raises(Stopped):
        curate([Numbers()], STEPS, tmp_path / "out", workers=0, limits=SMALL, progress=stop)
    work = tmp_path / "out.curating"
    done = [number for number in range(5) if read_facts(work, 0, number) is not None]
    assert done == [0, 1, 2]
    before = {number: (work / f"segment-0/{number:06d}").stat().st_ino for number in done}
    with pytest.raises(Stopped):
        curate([Numbers()], STEPS, tmp_path / "out", workers=0, limits=SMALL, progress=stop)
    assert before == {number: (work / f"segment-0/{number:06d}").stat().st_ino for number in done}


def test_another_recipe_or_other_input_is_not_mixed_in(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="step fail failed on n8"):
        curate([Numbers()], [Fail()], tmp_path / "out", workers=0, limits=SMALL)
    with pytest.raises(UsageError, match="was begun with another recipe, other input"):
        curate([Numbers(count=90)], [Fail()], tmp_path / "out", workers=0, limits=SMALL)
    curate([Numbers()], [], tmp_path / "done", workers=0, limits=SMALL)
    again = curate([Numbers()], [], tmp_path / "done", workers=2, limits=SMALL)
    assert again.manifest["counts"]["kept"] == 86
    with pytest.raises(UsageError, match="made with another recipe"):
        curate([Numbers()], STEPS, tmp_path / "done", workers=0, limits=SMALL)


def test_a_step_that_raises_is_named_with_its_sample_or_drops_it_when_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="step fail failed on n8 with ZeroDivisionError: no; mend it"):
        curate([Numbers()], [Fail()], tmp_path / "out", workers=2, limits=SMALL)
    outcome = curate([Numbers()], [Fail()], tmp_path / "two", workers=0, limits=SMALL, drop_errors=True)
    assert outcome.manifest["steps"][1]["dropped"] == {"step_failed": 1}
    with pytest.raises(UsageError, match="step short gave 7 results for 8 samples"):
        curate([Numbers()], [Short()], tmp_path / "three", workers=0, limits=SMALL)


def test_a_worker_that_dies_is_replaced_and_one_that_always_dies_is_named(tmp_path: Path) -> None:
    curate([Numbers()], [Fail(on="")], tmp_path / "calm", workers=0, limits=SMALL)
    die = Die(notes=str(tmp_path / "notes"))
    curate([Numbers()], [die], tmp_path / "out", workers=2, limits=SMALL)
    assert (tmp_path / "notes").read_text() == "x"
    assert Dataset.open(tmp_path / "out").ids == Dataset.open(tmp_path / "calm").ids
    with pytest.raises(MimovlError, match="died 3 times with n-000000 to n-000010 in hand"):
        curate([Numbers()], [Die(notes=str(tmp_path / "more"), times=99)], tmp_path / "x", workers=2, limits=SMALL)


def test_two_samples_of_one_id_are_one_sample_and_one_drop(tmp_path: Path) -> None:
    outcome = curate([Numbers(count=10), Numbers(count=20)], [], tmp_path / "out", workers=0, limits=SMALL)
    assert outcome.manifest["steps"][-1]["dropped"] == {"duplicate_id": 9}
    assert Dataset.open(tmp_path / "out").ids == [f"n{n}" for n in range(20) if n % 7 != 3]
    assert [drop.id for drop in Dataset.open(tmp_path / "out").drops() if drop.step == "store"] == [
        f"n{n}" for n in range(10) if n != 3
    ]


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    seen = []

    def second(done: float, total: float, text: str) -> None:
        if not seen:
            seen.append(True)
            with pytest.raises(UsageError, match="in use"):
                curate([Numbers()], [], tmp_path / "out", workers=0, limits=SMALL)

    curate([Numbers()], [], tmp_path / "out", workers=0, limits=SMALL, progress=second)
    assert seen


MEMORY = """
import resource, sys
from mimovl.curate.pipeline import curate
from tests.curate.pipeline.parts import DropEven, Numbers, Shout
if __name__ == "__main__":
    curate([Numbers(count=int(sys.argv[2]), per_unit=200)], [Shout(), DropEven()], sys.argv[1], workers=1)
    print(*(resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(MEMORY)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    peaks = []
    for count in (2_000, 20_000):
        command = [sys.executable, tmp_path / "program.py", tmp_path / str(count), str(count)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append([int(word) for word in done.stdout.split()])
    assert all(large < small + 40 for small, large in zip(*peaks, strict=True)), peaks  # MB


def test_a_step_that_decides_by_ids_meets_each_once(tmp_path: Path) -> None:
    for workers in (0, 2):
        out = tmp_path / str(workers)
        outcome = curate(
            [Numbers(count=30), Numbers(count=50)], [Shout(), OnePerPicture()], out, workers=workers, limits=SMALL
        )
        assert outcome.manifest["steps"][-1]["dropped"] == {"duplicate_id": 26}
        assert outcome.manifest["steps"][2]["seen"] == 43
    dataset = Dataset.open(tmp_path / "0")
    assert dataset.ids == [f"n{n}" for n in range(40) if n % 7 != 3] + [
        f"n{n}" for n in range(40, 50) if n % 7 != 3 and (n - 40) % 7 == 3
    ]
    assert len(dataset) + len(dataset.drops()) == 80
    assert bytes_of(tmp_path / "0") == bytes_of(tmp_path / "2")


@pytest.mark.parametrize("moment", ["settling one_per_picture", "writing the dataset", "packing media 2"])
def test_stopped_while_it_settles_or_writes_it_goes_on(tmp_path: Path, moment: str) -> None:
    class Stopped(Exception):
        pass

    def stop(done: float, total: float, text: str) -> None:
        if moment in text:
            raise Stopped

    curate([Numbers()], STEPS, tmp_path / "whole", workers=0, limits=SMALL)
    with pytest.raises(Stopped):
        curate([Numbers()], STEPS, tmp_path / "out", workers=0, limits=SMALL, progress=stop)
    assert not (tmp_path / "out").exists()
    curate([Numbers()], STEPS, tmp_path / "out", workers=0, limits=SMALL)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
