"""Steps that went wrong: named, written down, and skipped, stopped at or warned of as the recipe says."""

import json
import math
from pathlib import Path

import pytest
import torch

from mimovl.errors import TrainingError
from mimovl.train import SpikeConfig, train_stage
from mimovl.train.spikes import SampleLoss, SpikeWatch
from tests import tiny
from tests.interrupt import Interrupt, Plug

SAMPLES = [
    SampleLoss("a", "s", 1.0),
    SampleLoss("b", "s", math.nan),
    SampleLoss("c", "t", 3.0),
    SampleLoss("d", "t", None),
]


@pytest.fixture
def watch(tmp_path):
    """Makes a watch that has seen some losses."""
    opened = []

    def make(*, losses=(), out=tmp_path, state=None, **policy) -> SpikeWatch:
        watching = SpikeWatch(SpikeConfig(window=16, **policy), out, **(state or {}))
        opened.append(watching)
        for number, loss in enumerate(losses):
            assert watching.accepts(number + 1, loss, 1.0, [])
        return watching

    yield make
    for watching in opened:
        watching.close()


def written(out: Path) -> list[dict]:
    path = out / "spikes.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


CALM = [2.0, 2.1, 1.9, 2.05, 1.95, 2.02, 1.98, 2.0]


# ---------------------------------------------------------------- the judge


@pytest.mark.parametrize("loss, norm, says", [(math.nan, 1, "loss is nan"), (1, math.inf, "gradient norm is inf")])
def test_what_is_no_number_stops_by_default_and_names_the_samples_worst_first(
    loss, norm, says, tmp_path, watch
) -> None:
    with pytest.raises(TrainingError, match=rf"step 9: {says}; its samples, worst first: b, c, a, d \(.*spikes\.jsonl"):
        watch().accepts(9, loss, norm, SAMPLES, grad_norm_by_part={"vision": norm})
    (line,) = written(tmp_path)
    assert (line["step"], line["reason"], line["action"]) == (9, says, "stop")
    assert [sample["id"] for sample in line["samples"]] == ["b", "c", "a", "d"]
    assert line["samples"][1] == {"id": "c", "source": "t", "loss": 3.0}
    assert set(line) == {"step", "reason", "action", "loss", "grad_norm", "grad_norm_by_part", "samples"}


def test_a_message_names_five_samples_and_counts_the_others(tmp_path, watch) -> None:
    many = [SampleLoss(f"s{number}", "s", float(number)) for number in range(9)]
    with pytest.raises(TrainingError, match="worst first: s8, s7, s6, s5, s4 and 4 more"):
        watch().accepts(1, math.nan, 1.0, many)


def test_a_loss_far_above_those_before_it_is_a_spike_and_a_fall_is_none(tmp_path, watch) -> None:
    watching = watch(losses=CALM, far_above="skip")
    assert watching.accepts(9, 0.1, 1.0, SAMPLES)
    assert not watching.accepts(10, 4.0, 1.0, SAMPLES)
    assert watching.accepts(11, 2.1, 1.0, SAMPLES)
    assert not watching.accepts(12, 2.0, 50.0, SAMPLES)
    first, second = written(tmp_path)
    assert first["reason"].startswith("loss 4 is ") and first["reason"].endswith("the median of the last 9 steps")
    assert second["reason"].startswith("gradient norm 50 is ") and watching.skipped == 2


@pytest.mark.parametrize("times, spike", [(0.9, False), (1.1, True)])
def test_the_bound_is_so_many_robust_deviations(times, spike, tmp_path, watch) -> None:
    """Of 2.0 ± 0.0, 0.02, 0.05, 0.1: the median absolute deviation is 0.05 · …, computed here by numpy."""
    import numpy as np

    middle = np.median(CALM)
    deviation = 1.4826 * np.median(np.abs(np.array(CALM) - middle))
    watching = watch(losses=CALM, far_above="skip", deviations=8)
    assert watching.accepts(9, float(middle + times * 8 * deviation), 1.0, []) != spike


def test_nothing_is_a_spike_before_a_quarter_of_the_window(tmp_path, watch) -> None:
    assert watch(losses=CALM[:3], far_above="stop").accepts(4, 1e6, 1.0, SAMPLES)
    with pytest.raises(TrainingError):
        watch(losses=CALM[:4], far_above="stop").accepts(5, 1e6, 1.0, SAMPLES)


def test_losses_that_do_not_move_make_no_spike_of_a_trifle(tmp_path, watch) -> None:
    watching = watch(losses=[2.0] * 16, far_above="stop")
    assert watching.accepts(17, 2.1, 1.0, SAMPLES)
    with pytest.raises(TrainingError, match="loss 2.2 is"):
        watching.accepts(18, 2.2, 1.0, SAMPLES)


def test_a_spike_does_not_hide_the_next_and_a_lasting_change_is_accepted_in_the_end(tmp_path, watch) -> None:
    watching = watch(losses=CALM, far_above="skip", patience=100)
    verdicts = [watching.accepts(9 + number, 6.0 + 0.01 * number, 1.0, []) for number in range(16)]
    assert not any(verdicts[:6]) and all(verdicts[10:])


def test_a_warning_is_written_and_changes_nothing(tmp_path, watch) -> None:
    watching = watch(losses=CALM, not_finite="warn")
    assert watching.accepts(9, 100.0, 1.0, SAMPLES) and watching.accepts(10, math.nan, math.nan, SAMPLES)
    assert [line["action"] for line in written(tmp_path)] == ["warn", "warn"] and watching.skipped == 0


def test_too_many_skipped_in_a_row_stop_and_blame_the_parameters(tmp_path, watch) -> None:
    watching = watch(not_finite="skip", patience=3)
    assert [watching.accepts(step, loss, 1.0, SAMPLES) for step, loss in ((1, math.nan), (2, 1.0), (3, math.nan))] == [
        *(False, True, False)
    ]
    assert not watching.accepts(4, math.nan, 1.0, SAMPLES)
    with pytest.raises(TrainingError, match="3 steps in a row were skipped.*parameters or the learning rate"):
        watching.accepts(5, math.nan, 1.0, SAMPLES)
    assert [line["action"] for line in written(tmp_path)] == ["skip", "skip", "skip", "stop"]


def test_a_watch_that_is_restored_judges_as_if_it_had_never_stopped(tmp_path, watch) -> None:
    losses = [*CALM, 2.2, 5.0, 2.0, 2.3, math.nan, 2.0, 2.4, 9.0, 2.0] * 2
    policy = {"far_above": "skip", "not_finite": "skip"}
    whole = watch(out=tmp_path / "whole", **policy)
    verdicts = [whole.accepts(step, loss, 1.0, []) for step, loss in enumerate(losses)]
    assert True in verdicts and False in verdicts
    again: SpikeWatch | None = None
    for step, loss in enumerate(losses):
        state = json.loads(json.dumps(again.state_dict())) if again else {}
        again = watch(out=tmp_path / "again", state=state, **policy)
        assert again.accepts(step, loss, 1.0, []) == verdicts[step]
    assert again and again.state_dict() == whole.state_dict()


def test_a_process_that_does_not_lead_decides_the_same_and_writes_nothing(tmp_path) -> None:
    watching = SpikeWatch(SpikeConfig(not_finite="skip"), tmp_path, writes=False)
    assert not watching.accepts(1, math.nan, 1.0, SAMPLES) and not list(tmp_path.iterdir())


# ---------------------------------------------------------------- in a stage


class Poison:
    """Multiplies the hidden states of chosen forward passes by NaN, infinity or a large number."""

    def __init__(self, model, when: dict[int, float]) -> None:
        self.when, self.passes = when, 0
        model.register_forward_hook(self)

    def __call__(self, module, inputs, output):
        self.passes += 1
        factor = self.when.get(self.passes)
        return output if factor is None else output * factor


def train(out: Path, when: dict[int, float], *, progress=None, passed=0, **changes):
    model = tiny.model()
    poison = Poison(model, when)
    poison.passes = passed
    trained = train_stage(model, tiny.processor(), tiny.mixed(), tiny.stage(**changes), out, seed=1, progress=progress)
    return trained


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def equal(one, two) -> bool:
    return all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


SKIP = {"not_finite": "skip"}


def resume_point(out: Path) -> dict:
    return torch.load(out / "resume" / "resume.pt", weights_only=True)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_skipped_step_changes_no_parameter_and_no_optimizer_state_and_is_counted(name, tmp_path) -> None:
    changes = {"optimizer": {"name": name}, "spikes": SKIP, "save_seconds": 1e-9}
    for folder, after in (("before", 3), ("behind", 4)):
        with pytest.raises(Interrupt):  # the resume point holds the step before the plug was pulled
            train(tmp_path / folder, {3: math.nan}, progress=Plug(after), **changes)
    before, behind = (resume_point(tmp_path / folder) for folder in ("before", "behind"))
    assert (before["counters"]["step"], behind["counters"]["step"]) == (2, 3)
    assert all(torch.equal(value, behind["modules"]["model"][key]) for key, value in before["modules"]["model"].items())
    states = [[group["state"] for group in point["optimizer"]] for point in (before, behind)]
    for one, two in zip(*states, strict=True):
        assert one.keys() == two.keys() and one
        for key, values in one.items():
            assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(two[key][k])) for k, v in values.items())
    assert [line["skipped"] for line in lines(tmp_path / "behind")] == [0, 0, 1, 1]
    (line,) = written(tmp_path / "behind")
    assert line["step"] == 3 and line["reason"] == "loss is nan" and line["action"] == "skip" and line["samples"]


def test_a_stage_goes_on_after_a_skipped_step_and_says_how_many(tmp_path) -> None:
    model = train(tmp_path, {2: math.nan, 5: math.inf}, spikes=SKIP)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert json.loads((tmp_path / "done.json").read_text())["skipped"] == 2
    assert [line["loss"] is None for line in lines(tmp_path)] == [False, True, False, False, True, False]
    assert [line["step"] for line in written(tmp_path)] == [2, 5]


def test_the_samples_named_are_those_of_the_packs_of_that_step(tmp_path) -> None:
    train(tmp_path, {3: math.nan}, spikes=SKIP, packs=2, steps=2)
    (line,) = written(tmp_path)
    assert line["step"] == 2 and {sample["source"] for sample in line["samples"]} <= set(tiny.stage().mixture)
    named = [sample["id"] for sample in line["samples"]]
    known = {sample.id for sample in tiny.mixed()}
    assert named and set(named) <= known
    poisoned = [sample["loss"] is None for sample in line["samples"]]
    assert any(poisoned) and not all(poisoned) and poisoned == sorted(poisoned, reverse=True)


def test_resumed_around_a_skipped_step_it_ends_the_same_to_the_bit(tmp_path) -> None:
    whole = train(tmp_path / "whole", {3: math.nan}, spikes=SKIP)
    for after in (3, 4, 5):
        out = tmp_path / f"cut{after}"
        with pytest.raises(Interrupt):
            train(out, {3: math.nan}, progress=Plug(after), save_seconds=1e-9, spikes=SKIP)
        assert equal(train(out, {3: math.nan}, passed=after - 1, spikes=SKIP), whole)
        assert [line["loss"] for line in lines(out)] == [line["loss"] for line in lines(tmp_path / "whole")]
        assert written(out) == written(tmp_path / "whole")


def test_by_default_a_stage_stops_at_what_is_no_number_and_goes_on_from_its_resume_point(tmp_path) -> None:
    with pytest.raises(TrainingError, match=r", step 4: loss is nan; its samples, worst first: world/.*; look at them"):
        train(tmp_path, {4: math.nan}, save_seconds=1e-9)
    assert len(lines(tmp_path)) == 3 and resume_point(tmp_path)["counters"]["step"] == 3
    assert equal(train(tmp_path, {}), train(tmp_path / "whole", {}))


def test_a_gradient_that_is_no_number_is_met_too(tmp_path, monkeypatch) -> None:
    model = tiny.model()
    weight = model.vision.patch_embed.weight
    monkeypatch.setattr(model, "auxiliary_loss", lambda batch: (weight * 0).sum().sqrt())  # 0 forward, NaN backward
    with pytest.raises(TrainingError, match="step 1: gradient norm is nan"):
        train_stage(model, tiny.processor(), tiny.mixed(), tiny.stage(), tmp_path)
    (line,) = written(tmp_path)
    assert (
        line["loss"] > 0 and line["grad_norm_by_part"]["vision"] is None and line["grad_norm_by_part"]["language"] > 0
    )


def test_watching_changes_no_bit_of_a_sound_training(tmp_path) -> None:
    policies = ({}, {"spikes": {"far_above": "skip", "deviations": 100.0, "window": 8}})
    one, two = (train(tmp_path / str(number), {}, **changes) for number, changes in enumerate(policies))
    assert equal(one, two)
