from __future__ import annotations

from pathlib import Path

from mimovl.report.facts import data_facts, key_numbers, machine_facts, timings
from mimovl.report.run_directory import Run, read_run


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


def test_the_headline_says_how_big_how_long_and_how_much(finished_run: Path) -> None:
    numbers = {
        number.label: (plain(number.value), plain(number.remark)) for number in key_numbers(read_run(finished_run))
    }
    assert numbers["Parameters"] == ("3.14 M", "813 k vision + 148 k projector + 2.18 M language")
    assert numbers["Time"] == ("14 min 32 s", "on 2 cores")
    assert numbers["RL updates"] == ("30", "1,440 groups sampled")
    assert numbers["Peak memory"] == ("2.2 GB", "of 8 GB")


def test_nothing_known_is_nothing_shown() -> None:
    run = Run(Path("nowhere"))
    assert key_numbers(run) == [] and machine_facts(run) == [] and timings(run) == [] and data_facts(run) is None


def test_times_are_shares_of_the_whole(finished_run: Path) -> None:
    bars = timings(read_run(finished_run))
    assert [bar.label for bar in bars][:3] == ["Data", "1 Projector", "Evaluate 1: projector"]
    assert max(bar.share for bar in bars) == 1.0
    assert plain(bars[0].value) == "48.2 s · 6 %"


def test_steps_of_the_run_log_are_named_with_a_space_too() -> None:
    run = Run(Path("x"), info={"seconds": {"evaluate 5-morl": 3.0, "base": 2}})
    assert [bar.label for bar in timings(run)] == ["Evaluate 5: MORL", "Base"]


def test_drops_are_counted_by_reason(finished_run: Path) -> None:
    facts = data_facts(read_run(finished_run))
    assert facts is not None
    assert [(bar.label, bar.value) for bar in facts.dropped] == [("two_answers", "18"), ("too_long", "4")]
    assert facts.removed == 37
    assert plain(facts.summary) == "27,005 samples from 11 sources were kept, 22 dropped (0.08 %)."


def test_the_machine_and_its_versions_are_listed(finished_run: Path) -> None:
    rows = dict(machine_facts(read_run(finished_run)))
    assert rows["torch"] == "2.13.0" and rows["Processor"] == "AMD EPYC 9B14" and rows["Memory"] == "7.8 GB"
