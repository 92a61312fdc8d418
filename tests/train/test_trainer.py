import json
import shutil
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from mimovl.data import Mixture, PackedLoader, indices_by_source
from mimovl.errors import CheckpointError, DataError
from mimovl.model import load_checkpoint
from mimovl.train import Optimizer, language_model_loss, train_stage
from mimovl.train.checkpoint import save_training
from mimovl.train.spread import TeamSpread
from mimovl.train.trainer import _Counters
from tests import tiny
from tests.interrupt import Interrupt, Plug

FIELDS = {
    *("step", "steps", "tokens", "images", "loss", "loss_by_source", "grad_norm", "grad_norm_by_part", "skipped"),
    *("learning_rate", "tokens_per_second", "images_per_second", "mfu", "peak", "data_wait", "seconds", "memory_mb"),
}
TIMES = {"tokens_per_second", "images_per_second", "mfu", "peak", "data_wait", "seconds", "memory_mb"}
"""Fields that no two runs share."""


def train(out: Path, *, progress=None, seed=1, **changes):
    return train_stage(
        tiny.model(), tiny.processor(), tiny.mixed(), tiny.stage(**changes), out, seed=seed, progress=progress
    )


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def figures(out: Path) -> list[dict]:
    """Metrics without what depends on the clock."""
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines(out)]


def equal(one, two) -> bool:
    return all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted stage: its model and its folder."""
    out = tmp_path_factory.mktemp("whole")
    return train(out), out


# ---------------------------------------------------------------- what a stage writes


def test_a_stage_writes_metrics_a_checkpoint_and_the_word_that_it_is_done(whole) -> None:
    model, out = whole
    assert sorted(path.name for path in out.iterdir()) == ["done.json", "metrics.jsonl", "model"]
    written = lines(out)
    assert [line["step"] for line in written] == list(range(1, 7))
    assert all(set(line) == FIELDS and line["steps"] == 6 for line in written)
    assert all(set(line["learning_rate"]) == {"vision", "projector", "language"} for line in written)
    assert written[-1]["learning_rate"]["language"] == pytest.approx(
        written[-1]["learning_rate"]["vision"] * 3, rel=1e-9
    )
    done = json.loads((out / "done.json").read_text())
    assert set(done) == {
        *("seconds", "steps", "tokens", "images", "trained", "learning_rate", "length", "dropped", "skipped")
    }
    assert (done["steps"], done["tokens"], done["images"]) == (6, written[-1]["tokens"], written[-1]["images"])
    assert done["trained"] == ["vision", "projector", "language"] and done["length"] == 256
    assert equal(load_checkpoint(out / "model"), model)
    assert not (model.state_dict().keys() ^ tiny.model().state_dict().keys())


def test_the_same_seed_gives_the_same_losses_and_weights_to_the_bit_and_another_does_not(whole, tmp_path) -> None:
    model, out = whole
    assert equal(train(tmp_path / "again"), model)
    assert figures(tmp_path / "again") == figures(out)
    train(tmp_path / "other", seed=2)
    assert figures(tmp_path / "other") != figures(out)


def test_losses_by_source_weigh_up_to_the_loss_of_the_step(tmp_path) -> None:
    """Recomputed from the very batches of the first step."""
    train(tmp_path, steps=1, packs=3)
    (line,) = lines(tmp_path)
    counts: dict[str, int] = {}
    for batch in batches(3):
        for source, (_, count) in language_model_loss(tiny.model(), batch).by_source.items():
            counts[source] = counts.get(source, 0) + count
    assert line["loss_by_source"].keys() == counts.keys()
    total = sum(line["loss_by_source"][source] * count for source, count in counts.items())
    assert line["loss"] == pytest.approx(total / sum(counts.values()), rel=1e-6)
    assert line["tokens"] == sum(batch.num_tokens for batch in batches(3))
    assert line["images"] == sum(len(batch.grid_thw) for batch in batches(3))


def batches(packs: int, seed: int = 1):
    """The packs of a stage's first step."""
    samples, stage = tiny.mixed(), tiny.stage()
    mixture = Mixture(indices_by_source(samples.sources), stage.mixture, seed=seed)

    def loader(lane: int) -> PackedLoader:
        return PackedLoader(samples.__getitem__, mixture, tiny.processor(), stage.length, ahead=0, lane=(lane, packs))

    return [next(iter(loader(lane)))[0] for lane in range(packs)]


def test_gradients_over_several_packs_equal_those_of_one_big_batch(tmp_path, monkeypatch) -> None:
    """Normalised by the labels of all packs, which hold different numbers of them."""
    seen: list[torch.Tensor] = []
    step = Optimizer.step

    def spy(self: Optimizer, factor: float = 1.0) -> float:
        seen.append(torch.cat([parameter.grad.flatten() for parameter in self.parameters]))
        return step(self, factor)

    monkeypatch.setattr(Optimizer, "step", spy)
    train(tmp_path, steps=1, packs=3)
    samples, stage = tiny.mixed(), tiny.stage()
    packs = batches(3)
    assert len({int((pack.labels >= 0).sum()) for pack in packs}) > 1
    by_id = {sample.id: sample for sample in samples}
    encoded = [tiny.processor().encode(by_id[name]) for pack in packs for name in pack.sample_ids]
    model = tiny.model()
    loss = language_model_loss(model, tiny.batch(encoded))
    (loss.total / loss.num_tokens).backward()
    big = torch.cat([parameter.grad.flatten() for part in model.children() for parameter in part.parameters()])
    assert stage.packs == 1 and len(seen) == 1
    assert (seen[0] - big).norm() < 1e-5 * big.norm()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_training_lowers_the_loss(name, tmp_path) -> None:
    train(tmp_path, steps=14, optimizer={"name": name}, mixture={"world/counting": 1})
    losses = [line["loss"] for line in lines(tmp_path)]
    assert sum(losses[-2:]) < 0.85 * sum(losses[:2])


@pytest.mark.parametrize("trained", [["projector"], ["vision", "projector"]])
def test_frozen_parts_stay_to_the_bit(trained, tmp_path) -> None:
    before = tiny.model()
    after = train(tmp_path, steps=2, train=trained, learning_rate=dict.fromkeys(trained, 1e-2))
    for name, value in after.state_dict().items():
        unchanged = torch.equal(value, before.state_dict()[name])
        assert unchanged == (name.split(".")[0] not in trained), name


def test_a_further_term_of_the_model_is_trained_on_and_not_called_the_loss(whole, tmp_path, monkeypatch) -> None:
    _, out = whole
    model = tiny.model()
    monkeypatch.setattr(model, "auxiliary_loss", lambda batch: 10 * model.language.norm.weight.square().sum())
    train_stage(model, tiny.processor(), tiny.mixed(), tiny.stage(), tmp_path, seed=1)
    assert lines(tmp_path)[0]["loss"] == lines(out)[0]["loss"]
    assert lines(tmp_path)[0]["grad_norm"] != lines(out)[0]["grad_norm"]
    assert model.language.norm.weight.square().sum() < whole[0].language.norm.weight.square().sum()


def test_text_alone_teaches_a_frozen_language_model_nothing_and_is_no_error(tmp_path) -> None:
    model = train(
        tmp_path, steps=2, train=["projector"], learning_rate={"projector": 1e-2}, mixture={"world/arithmetic": 1}
    )
    assert equal(model, tiny.model())
    assert [line["grad_norm"] for line in lines(tmp_path)] == [0, 0]


# ---------------------------------------------------------------- interruptions


@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
def test_resumed_after_any_step_gives_the_same_losses_and_weights_to_the_bit(after, whole, tmp_path) -> None:
    model, out = whole
    with pytest.raises(Interrupt):
        train(tmp_path, progress=Plug(after), save_seconds=1e-9)
    assert (tmp_path / "resume" / "resume.pt").exists() == (after > 1)  # the plug was pulled before the save
    assert equal(train(tmp_path, save_seconds=1e-9), model)
    assert figures(tmp_path) == figures(out)
    assert not (tmp_path / "resume" / "resume.pt").exists()


def test_interrupted_again_and_again_it_still_ends_the_same(whole, tmp_path) -> None:
    model, out = whole
    for after in (2, 3, 3, 5):
        with pytest.raises(Interrupt):
            train(tmp_path, progress=Plug(after), save_seconds=1e-9)
    assert equal(train(tmp_path), model)
    assert figures(tmp_path) == figures(out)


def test_muon_and_accumulated_packs_resume_to_the_bit_too(tmp_path) -> None:
    changes = {"optimizer": {"name": "muon"}, "packs": 2, "steps": 4}
    model = train(tmp_path / "whole", **changes)
    with pytest.raises(Interrupt):
        train(tmp_path / "cut", progress=Plug(3), save_seconds=1e-9, **changes)
    assert equal(train(tmp_path / "cut", **changes), model)
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")


def test_seconds_add_up_over_interruptions(tmp_path) -> None:
    with pytest.raises(Interrupt):
        train(tmp_path, progress=Plug(3), save_seconds=1e-9)
    before = lines(tmp_path)
    train(tmp_path)
    after = lines(tmp_path)
    assert after[:2] == before[:2]
    seconds = [line["seconds"] for line in after]
    assert seconds == sorted(seconds) and len(set(seconds)) == 6


def test_an_interrupted_stage_leaves_no_thread_behind(tmp_path) -> None:
    with pytest.raises(Interrupt):
        train(tmp_path, progress=Plug(1))
    assert not [thread for thread in threading.enumerate() if thread.name == "packed-loader"]


def test_a_finished_stage_is_loaded_not_trained_again(whole, tmp_path) -> None:
    model, out = whole
    shutil.copytree(out, tmp_path / "done")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "done").rglob("*")}
    assert equal(train(tmp_path / "done", progress=Plug(1)), model)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "done").rglob("*")} == before


def test_a_damaged_resume_point_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(Interrupt):
        train(tmp_path, progress=Plug(2), save_seconds=1e-9)
    file = tmp_path / "resume" / "resume.pt"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"resume\.pt: cannot go on from it .*; delete it to start this step"):
        train(tmp_path)
    file.unlink()
    train(tmp_path)


@pytest.mark.parametrize(
    ("counters", "said"),
    [
        ({}, "lack dropped, images, loaders, seconds, spikes, step, tokens; go on with the mimovl that saved it"),
        ({"nonsense": 1}, "lack dropped, images"),
        ({**asdict(_Counters(step=1)), "nonsense": 1}, "have, unknown to this mimovl, nonsense; go on with the mimovl"),
    ],
)
def test_a_resume_point_that_does_not_count_what_is_counted_is_one_clear_error(counters, said, tmp_path) -> None:
    model, stage = tiny.model(), tiny.stage()
    optimizer = TeamSpread().optimizer(dict(model.named_children()), stage)
    save_training(tmp_path, {"model": model}, optimizer, counters)
    with pytest.raises(CheckpointError, match=rf"resume: the counters of the newest resume point {said}"):
        train(tmp_path)


def test_what_a_kill_left_of_a_finished_stages_resume_points_goes(whole, tmp_path) -> None:
    """A kill between done.json and their removal would leave two of them for ever, of three times the model's size."""
    model, out = whole
    shutil.copytree(out, tmp_path / "done")
    for name in ("step-0000004", "step-0000005", ".step-0000006.partial"):
        (tmp_path / "done" / "resume" / name).mkdir(parents=True)
        (tmp_path / "done" / "resume" / name / ".metadata").touch()
    (tmp_path / "done" / "resume" / "resume.pt").touch()
    assert equal(train(tmp_path / "done"), model)
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["done.json", "metrics.jsonl", "model"]


# ---------------------------------------------------------------- data that cannot be used


def test_a_mixture_of_a_source_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="'world/gui'; the dataset has: world/arithmetic, world/clip, world/counting"):
        train(tmp_path, mixture={"world/gui": 1})


def test_a_sample_longer_than_a_pack_is_named_with_both_numbers(tmp_path) -> None:
    with pytest.raises(DataError, match=r"sample world/.* has \d+ tokens, a pack holds 64"):
        train(tmp_path, length=64)
