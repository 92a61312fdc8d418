"""What is read off a step besides its loss."""

import json
import math

import pytest
import torch

from mimovl.plan import Load, count_flops
from mimovl.train import Optimizer, Tracking, TrackingConfig, language_model_loss, train_stage
from mimovl.train.gauges import Gauges, total_norm
from tests import tiny


def lines(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def stated(folder, tflops=0.125):
    return Tracking(TrackingConfig(peak_tflops=tflops), folder, "run")


def test_the_whole_norm_is_that_of_the_parts_together_and_no_nan_hides() -> None:
    assert total_norm({"a": 3.0, "b": 4.0}) == 5.0
    assert math.isnan(total_norm({"a": math.inf, "b": math.nan})) and total_norm({}) == 0


def test_gradient_norms_by_part_are_the_norms_of_their_gradients(tmp_path, monkeypatch) -> None:
    expected = []
    step = Optimizer.step

    def spy(self, factor=1.0):
        parts = {}
        for group in (group for inner in self.inner for group in inner.param_groups):
            parts.setdefault(group["part"], []).extend(p.grad.flatten().double() for p in group["params"])
        expected.append({part: float(torch.cat(found).norm()) for part, found in parts.items()})
        return step(self, factor)

    monkeypatch.setattr(Optimizer, "step", spy)
    stage = tiny.stage(steps=3, optimizer={"name": "muon"})
    train_stage(tiny.model(), tiny.processor(), tiny.mixed(), stage, tmp_path, seed=1)
    for line, parts in zip(lines(tmp_path), expected, strict=True):
        assert line["grad_norm_by_part"] == pytest.approx(parts, rel=1e-5)
        assert line["grad_norm"] == pytest.approx(math.hypot(*parts.values()), rel=1e-5)


def test_a_part_that_learned_nothing_has_norm_zero(tmp_path) -> None:
    stage = tiny.stage(steps=1, mixture={"world/arithmetic": 1})
    train_stage(tiny.model(), tiny.processor(), tiny.mixed(), stage, tmp_path)
    (line,) = lines(tmp_path)
    assert line["grad_norm_by_part"]["vision"] == 0 == line["images_per_second"]
    assert line["grad_norm_by_part"]["language"] == pytest.approx(line["grad_norm"], rel=1e-6)


@pytest.mark.parametrize("trained", [["projector"], ["vision", "projector", "language"]])
def test_utilisation_times_peak_times_seconds_are_the_flops_of_the_very_packs(trained, tmp_path, monkeypatch) -> None:
    seen = []
    pack = Gauges.pack

    def spy(self, batch, loss):
        parts = count_flops(tiny.config(), Load.of_batch(batch, tiny.config()), trained)
        seen.append(
            (sum(part.forward + part.backward for part in parts.values()), batch.num_tokens, len(batch.grid_thw))
        )
        return pack(self, batch, loss)

    monkeypatch.setattr(Gauges, "pack", spy)
    stage = tiny.stage(steps=2, packs=2, train=trained, learning_rate=dict.fromkeys(trained, 1e-3))
    train_stage(tiny.model(), tiny.processor(), tiny.mixed(), stage, tmp_path, tracking=stated(tmp_path))
    before = 0.0
    for line, packs in zip(lines(tmp_path), (seen[:2], seen[2:]), strict=True):
        seconds, before = line["seconds"] - before, line["seconds"]
        flops, tokens, images = (sum(values) for values in zip(*packs, strict=True))
        assert line["mfu"] * 0.125e12 * seconds == pytest.approx(flops, rel=1e-6)
        assert line["tokens_per_second"] * seconds == pytest.approx(tokens, rel=1e-6)
        assert line["images_per_second"] * seconds == pytest.approx(images, rel=1e-6)
        assert line["peak"] == {"tflops": 0.125, "source": "stated"}


def test_without_a_stated_peak_the_line_says_that_it_was_measured(tmp_path) -> None:
    train_stage(tiny.model(), tiny.processor(), tiny.mixed(), tiny.stage(steps=1), tmp_path)
    (line,) = lines(tmp_path)
    assert line["peak"]["source"] == "measured" and 0 < line["mfu"] < 1


def test_losses_by_sample_weigh_up_to_the_loss_of_the_pack_and_are_those_of_each_sample_alone() -> None:
    encoded = [tiny.processor().encode(sample) for sample in tiny.mixed()[::9]]
    model = tiny.model()
    loss = language_model_loss(model, tiny.batch(encoded))
    assert sum(summed for summed, _ in loss.by_sample) == pytest.approx(float(loss.total.detach()), rel=1e-5)
    for one, (summed, count) in zip(encoded, loss.by_sample, strict=True):
        assert count == one.num_labels
        assert summed == pytest.approx(float(language_model_loss(model, tiny.batch([one])).total.detach()), rel=1e-4)
