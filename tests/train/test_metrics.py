"""The record of a run: a line a step, whole after any kill."""

import json
import math
import re
from pathlib import Path

import pytest

from mimovl.errors import CheckpointError
from mimovl.train import MetricsLog, peak_memory_mb
from tests.interrupt import Interrupt


def log(path: Path, step: int, *written: dict) -> list[dict]:
    """Open the log at a step, write, close, and read it back."""
    metrics = MetricsLog(path, step=step)
    for values in written:
        metrics.write(**values)
    metrics.close()
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


@pytest.mark.parametrize("torn", [b'{"step": 3, "lo', b'{"step": 3, "t": "\xe5\x9c', b"\x00\x00", b"[]", b"{}"])
def test_a_torn_last_line_is_repaired(torn: bytes, tmp_path) -> None:
    path = tmp_path / "m.jsonl"
    log(path, 0, {"step": 1}, {"step": 2})
    path.write_bytes(path.read_bytes() + torn)
    assert log(path, 2, {"step": 3}) == [{"step": 1}, {"step": 2}, {"step": 3}]


def test_lines_of_later_steps_are_dropped(tmp_path) -> None:
    written = [{"step": step} for step in (1, 1, 2, 2, 3)]
    path = tmp_path / "new" / "m.jsonl"
    assert log(path, 0, *written) == written
    assert log(path, 2) == written[:4]
    assert log(path, 0) == []


def test_a_text_may_hold_any_line_separator(tmp_path) -> None:
    """A byte-level model may write U+0085 and U+2028, at which ``str.splitlines`` would cut."""
    path = tmp_path / "m.jsonl"
    text = "a\x85b\u2028c\u2029d\x1ce\rf\r\ng\x0bh圆"
    log(path, 0, {"step": 1, "text": text}, {"step": 2, "text": text})
    assert log(path, 2) == [{"step": 1, "text": text}, {"step": 2, "text": text}]


def test_a_log_that_is_opened_again_is_never_shorter_on_disk_than_what_it_keeps(tmp_path, monkeypatch) -> None:
    """A kill while the log is being cut leaves the old one."""
    path = tmp_path / "m.jsonl"
    log(path, 0, {"step": 1}, {"step": 2})
    before = path.read_bytes()

    def killed(self: Path, target: Path) -> None:
        raise Interrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(Interrupt):
        MetricsLog(path, step=1)
    assert path.read_bytes() == before


def test_what_is_no_number_is_written_as_null_so_that_any_reader_can_read_it(tmp_path) -> None:
    path = tmp_path / "m.jsonl"
    written = log(path, 0, {"step": 1, "loss": math.nan, "by": {"a": math.inf, "b": 1.5}, "all": [-math.inf, 2, None]})
    assert written == [{"step": 1, "loss": None, "by": {"a": None, "b": 1.5}, "all": [None, 2, None]}]
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()


def test_followers_are_told_every_line_as_it_was_given(tmp_path) -> None:
    class Follower(list):
        log = list.append

    told = Follower()
    metrics = MetricsLog(tmp_path / "m.jsonl", step=0, followers=[told])
    metrics.write(step=1, loss=2.5)
    metrics.write(step=2, loss=math.inf)
    metrics.close()
    assert told == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": math.inf}]


def test_peak_memory_grows_with_what_a_process_holds() -> None:
    before = peak_memory_mb()
    held = bytearray(200 * 1024**2)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_memory_mb() >= max(before, 200)


def test_a_full_disk_is_told_with_the_file_the_room_and_the_cure(tmp_path) -> None:
    metrics = MetricsLog(tmp_path / "m.jsonl", step=0)
    metrics.write(step=1)
    metrics._file.close()
    metrics._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115 (closed by the log)
    with pytest.raises(CheckpointError) as met:
        metrics.write(step=2)
    assert re.fullmatch(
        re.escape(f"{tmp_path / 'm.jsonl'}: could not be written (No space left on device), ")
        + r"[\d,]+ bytes are free; what was saved before is whole: make room and start the same command again",
        str(met.value),
    )
    metrics.close()  # nothing is left that would be tried again
    assert log(tmp_path / "m.jsonl", 1) == [{"step": 1}]


def test_a_log_that_cannot_be_opened_is_told_without_a_word_on_room(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"file/m.jsonl: could not be written .*: see to that and start the same"):
        MetricsLog(tmp_path / "file" / "m.jsonl", step=0)
