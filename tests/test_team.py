"""Teams: shares and merges keep order, sums are right, a failing member is named."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from mimovl.data.workers import WorkerPool
from mimovl.errors import DataError, MimovlError, Stopped
from mimovl.team import ALONE, Team, run_team
from tests.data.worker_jobs import jobs


def _sums(team: Team) -> tuple[list[int], list[float], str]:
    numbers = team.merge([number * 10 for number in team.share(range(5))])
    weight = torch.nn.Parameter(torch.zeros(2))
    idle, frozen = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    weight.grad = torch.tensor([1.0, 10.0]) * (team.rank + 1)
    if team.leads:
        idle.grad = torch.ones(1)
    team.sum_gradients([frozen, weight, idle])
    assert idle.grad is not None and float(idle.grad) == 1.0
    assert frozen.grad is None, "what no member has stays missing"
    said = team.broadcast(f"from {team.rank}")
    return numbers, weight.grad.tolist(), said


def _squares(team: Team) -> tuple[list[int], int]:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return number * number

    made = list(team.work_off(work, range(11), chunk=2))
    return (made, sum(team.gather(len(done))))


def _member_fails(team: Team) -> None:
    if not team.leads:
        raise DataError("sample 7 is broken")
    team.wait()


def _ends(team: Team, how: str) -> None:
    """All are here; then one ends as told, and the others wait for it."""
    team.wait()
    match how, team.rank:
        case "leader fails", 0:
            raise DataError("sample 7 is broken")
        case "member is interrupted", 1:
            raise KeyboardInterrupt
        case "member stops", 1:
            raise Stopped("stopped as asked")
        case "member is killed", 2:
            os.kill(os.getpid(), signal.SIGKILL)
        case "member has a defect", 2:
            raise RuntimeError("a defect of our own")
    team.wait()


def _has_a_child(team: Team) -> list[int]:
    with WorkerPool(jobs, 1) as pool:
        return team.gather(pool.result(pool.submit("double", team.rank))["array"][0])


def test_members_may_start_processes_that_read_data_ahead() -> None:
    assert run_team(2, _has_a_child, ()) == [0, 2]


def test_work_is_shared_by_number_and_merged_in_its_order() -> None:
    assert run_team(2, _sums, ()) == ([0, 10, 20, 30, 40], [3.0, 30.0], "from 0")


def test_a_team_of_one_does_the_same_without_other_processes() -> None:
    numbers, gradient, said = run_team(1, _sums, ())
    assert (numbers, gradient, said) == ([0, 10, 20, 30, 40], [1.0, 10.0], "from 0")


def test_alone_everything_passes_through() -> None:
    assert ALONE.leads and ALONE.share([1, 2]) == [1, 2] and ALONE.gather("x") == ["x"] and ALONE.broadcast(3) == 3


@pytest.mark.parametrize("size", [1, 2])
def test_work_is_done_once_and_comes_back_in_order(size: int) -> None:
    assert run_team(size, _squares, ()) == ([number * number for number in range(11)], 11)


def test_only_the_leader_is_given_the_work_of_all(monkeypatch) -> None:
    member = Team(1, 2)
    monkeypatch.setattr(member, "merge", lambda part: [0, *part])
    assert list(member.work_off(lambda number: number, range(4))) == []


def test_a_failed_member_ends_the_run_with_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MimovlError, match="exit code 2"):
        run_team(2, _member_fails, ())
    assert "error: sample 7 is broken" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("leader fails", "sample 7 is broken"),
        ("member is interrupted", "exit code 130"),
        ("member stops", "exit code 143"),
    ],
)
def test_members_say_nothing_of_an_end_that_others_tell(how: str, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    """An interrupt, or a leader's error, is one line, not the tracebacks of all."""
    with pytest.raises(MimovlError, match=told):
        run_team(2, _ends, (how,))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("how", "code"), [("member is killed", -9), ("member has a defect", 1)])
def test_of_several_that_ended_the_first_to_fail_is_named(how: str, code: int, capfd) -> None:
    with pytest.raises(MimovlError, match=f"exit code {code};"):
        run_team(3, _ends, (how,))
    said = capfd.readouterr().err
    assert said == "" if code == -9 else said.rstrip().endswith("RuntimeError: a defect of our own")
