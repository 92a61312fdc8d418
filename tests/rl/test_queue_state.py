from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mimovl.rl.ledger import Entry, Failure
from mimovl.rl.queue_state import load_queue, restore_groups, save_groups, save_queue
from mimovl.types import Completion, Outcome, Request, Sample, SamplingParams, Verdict


def entries() -> list[Entry]:
    asked = [Request(Sample(f"s{n}", ()), SamplingParams(1.0, seed=n), 2, False) for n in range(4)]
    said = (Completion("é 3", "stop", (5, 6), (-0.1, -1e-9)), Completion("", "length", (7,), (-2.5,)))
    verdicts = (Verdict(0.1, Outcome.WRONG, "3", "count"), Verdict(0.0, Outcome.TRUNCATED))
    return [
        Entry(10, asked[0], 0, said, verdicts),
        Entry(11, asked[1], 0, said),
        Entry(12, asked[2], 0),
        Entry(13, asked[3], 0, said, None, Failure("reward-raised", "no luck")),
    ]


def test_finished_groups_come_back_from_disk_as_they_were_with_or_without_their_rewards(tmp_path: Path) -> None:
    made, path = entries(), tmp_path / "resume" / "queue.pt"
    save_queue(path, save_groups(10, 3, made))
    state = load_queue(path, first=10, version=3)
    assert state and state["running"] == [12, 13]
    known = restore_groups(state)
    assert known.keys() == {10, 11}
    for number, entry in zip((10, 11), made, strict=False):
        assert (known[number].completions, known[number].verdicts) == (entry.completions, entry.verdicts)
        assert known[number].answers(entry.request)
    assert not known[10].answers(made[1].request)


def test_the_queue_of_another_step_or_a_damaged_one_is_done_without(tmp_path: Path) -> None:
    path = tmp_path / "queue.pt"
    assert load_queue(path, first=10, version=3) is None
    save_queue(path, save_groups(10, 3, entries()))
    assert load_queue(path, first=10, version=4) is None and load_queue(path, first=9, version=3) is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_queue(path, first=10, version=3) is None
    torch.save({"first": 10}, path)
    assert load_queue(path, first=10, version=3) is None
    assert restore_groups(None) == {}


def test_a_disk_that_refuses_the_queue_leaves_the_older_one_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "queue.pt"
    save_queue(path, save_groups(10, 3, entries()))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mimovl.rl.queue_state.os.fsync", full)
    save_queue(path, save_groups(10, 4, entries()))
    assert load_queue(path, first=10, version=3) and [file.name for file in tmp_path.iterdir()] == ["queue.pt"]
