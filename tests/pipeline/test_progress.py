import re
import time

import pytest

from mimovl.pipeline import progress
from mimovl.pipeline.progress import Display


@pytest.fixture
def talkative(monkeypatch):
    """A line for every update."""
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)


def test_lines_tell_step_share_loss_speed_and_time_left(talkative, capsys) -> None:
    display = Display()
    with display.show(), display.step("stage 2 general") as bar:
        bar.update(0, 40, "")
        time.sleep(0.05)
        bar.update(10, 40, "loss 1.234  5,678 tokens/s")
    first, second, last = capsys.readouterr().err.splitlines()
    assert first.startswith("stage 2 general")
    assert re.fullmatch(r"stage 2 general +25 %  loss 1\.234  5,678 tokens/s  0:00 left", second)
    assert re.fullmatch(r"stage 2 general +done in 0:00", last)


def test_time_left_counts_from_where_a_resumed_step_began(talkative, capsys, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    bar = progress.StepProgress(Display(), "stage")
    bar.update(50, 100, "resumed")
    now[0] += 60
    bar.update(60, 100, "loss 1")
    resumed, line = capsys.readouterr().err.splitlines()
    assert "left" not in resumed
    assert line.endswith("60 %  loss 1  4:00 left")  # ten steps a minute, forty to go


def test_lines_come_now_and_then_and_at_the_end(capsys) -> None:
    bar = progress.StepProgress(Display(), "stage")
    for step in range(1, 11):
        bar.update(step, 10, f"loss {step}")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stage") and line.endswith("100 %  loss 10")


def test_a_long_line_is_not_broken_and_nothing_in_it_is_markup(capsys) -> None:
    text = "report: /a/very/long/path/[bold]" + "x" * 200 + "/:smile:/report.html"
    Display().line(text)
    assert capsys.readouterr().err == text + "\n"


def test_nothing_is_written_to_standard_output(talkative, capsys) -> None:
    display = Display()
    with display.show(), display.step("stage") as bar:
        bar.update(1, 2, "loss")
    assert capsys.readouterr().out == ""


def test_a_step_that_fails_is_not_called_done(capsys) -> None:
    display = Display()
    with pytest.raises(ValueError), display.show(), display.step("stage"):
        raise ValueError
    assert "done" not in capsys.readouterr().err


def test_shares_of_one_bar_follow_on_each_other() -> None:
    shown: list[float] = []

    class Whole:
        def update(self, done: float, total: float, text: str) -> None:
            shown.append(done / total)

    first, second = progress.PartOf(Whole(), 0, 30, 40), progress.PartOf(Whole(), 30, 10, 40)
    for part in (first, second):
        for step in range(1, 3):
            part.update(step, 2, "loss")
    assert shown == [0.375, 0.75, 0.875, 1.0]


def test_a_terminal_gets_bars(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    display = Display()
    with display.show():
        assert display.bars is not None
        with display.step("stage") as bar:
            bar.update(1, 4, "loss 1.5")
            (task,) = display.bars.tasks
            assert (task.completed, task.total, task.fields["figures"]) == (1, 4, "loss 1.5")
        assert not display.bars.tasks
    assert display.bars is None
