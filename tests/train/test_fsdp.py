"""Stages spread over two processes give the losses and weights of one process, whatever they divide."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mimovl.errors import CheckpointError, RecipeError
from mimovl.model import build_model, load_checkpoint, save_checkpoint
from mimovl.team import run_team
from mimovl.train import language_model_loss
from mimovl.train.fsdp import load_shards, needs_sharding
from mimovl.train.gauges import total_norm
from mimovl.train.parallel_config import ParallelConfig
from mimovl.train.transfer import join_packs
from tests import tiny
from tests.train import spread_work
from tests.train.spread_work import Case

MUON = {"optimizer": {"name": "muon"}}
SPIKES = {"spikes": {"far_above": "skip", "window": 8, "deviations": 0.01}, "steps": 6}
NARROW = {"fsdp": "full", "dtype": "bfloat16", "parameter_dtype": "bfloat16", "optimizer_dtype": "bfloat16"}
CASES: list[Case] = [
    ("team", {}, {}),
    ("repeated", {"fsdp": "off", "micro_packs": 2}, {}),
    ("full", {"fsdp": "full"}, {}),
    ("hybrid-2x1", {"fsdp": "hybrid", "shard_size": 1}, SPIKES),
    ("context", {"fsdp": "full", "context_parallel": 2}, SPIKES),
    ("muon", {"fsdp": "full"}, MUON),
    ("projector", {"fsdp": "full"}, {"train": ["projector"], "learning_rate": {"projector": 2e-3}}),
    ("text", {"fsdp": "full"}, {"mixture": {"world/arithmetic": 1}}),
    ("mixed", {"fsdp": "full", "dtype": "bfloat16"}, {}),
    ("narrow", NARROW, {}),
]
FURTHER: list[Case] = [
    ("hybrid-1x2", {"fsdp": "hybrid", "shard_size": 2, "reshard_after_forward": False}, {}),
    ("forgetful", {"fsdp": "full", "activation_checkpointing": "full"}, {}),
    ("selective", {"fsdp": "full", "activation_checkpointing": "selective"}, {}),
    ("context-repeated", {"context_parallel": 2, "activation_checkpointing": "full"}, {}),
    ("narrow-gradients", {"fsdp": "full", "gradient_dtype": "bfloat16"}, {}),
]
"""Combinations of what ``CASES`` show one by one; they take as long again."""
REFERENCES = {"muon": "muon", "projector": "projector", "text": "text", "hybrid-2x1": "spikes", "context": "spikes"}
"""Cases whose stage differs, by the reference they are compared with."""


def named(*cases: Case, exact: bool) -> list[Any]:
    """Names of the cases in float32, or of the others; the further ones run with the engines."""
    chosen = [case[0] for case in cases if exact != any("dtype" in key for key in case[1])]
    further = {case[0] for case in FURTHER}
    return [pytest.param(name, marks=pytest.mark.engines) if name in further else name for name in chosen]


EXACT = named(*CASES, *FURTHER, exact=True)


def train_all(folder: Path, cases: list[Case]) -> Path:
    """Every case, trained by two processes, and its reference, trained by one."""
    start = tiny.checkpoint(folder / "start")
    told = run_team(2, spread_work.all_cases, (start, folder, cases))
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
    spread_work.plain(start, folder / "one")
    for name, _, changes in cases:
        if name in REFERENCES and not reference(folder, name).exists():
            spread_work.plain(start, reference(folder, name), **changes)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_all(tmp_path_factory.mktemp("spread"), CASES)


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_all(tmp_path_factory.mktemp("further"), FURTHER)


@pytest.fixture
def folder(name: str, request: pytest.FixtureRequest) -> Path:
    """Where the case of a test's name was trained."""
    found: Path = request.getfixturevalue("further" if name in {case[0] for case in FURTHER} else "trained")
    return found


def reference(folder: Path, name: str) -> Path:
    return folder / (f"one-{REFERENCES[name]}" if name in REFERENCES else "one")


@pytest.mark.parametrize("name", EXACT)
def test_two_processes_give_the_losses_norms_and_weights_of_one(name: str, folder: Path) -> None:
    """Float32 sums in another order: 1e-6. Muon's bfloat16 iteration turns such differences into larger ones."""
    ours, theirs = folder / name, reference(folder, name)
    tolerance = 1e-3 if name == "muon" else 2e-5
    for one, other in zip(
        spread_work.figures(ours, "loss", "grad_norm"),
        spread_work.figures(theirs, "loss", "grad_norm"),
        strict=True,
    ):
        assert one == pytest.approx(other, rel=tolerance)
    for one, other in zip(
        spread_work.figures(ours, "tokens", "images"), spread_work.figures(theirs, "tokens", "images"), strict=True
    ):
        assert one == other
    before, after, other = (
        load_checkpoint(one).state_dict() for one in (folder / "start", ours / "model", theirs / "model")
    )
    moved = {key: float((value - before[key]).norm()) for key, value in other.items()}
    apart = {key: float((after[key] - value).norm()) for key, value in other.items()}
    if name == "muon":  # whose iteration lifts rounding of bfloat16, in directions without gradient, to the size of one
        assert sum(apart.values()) <= 0.1 * sum(moved.values())
    else:
        assert all(apart[key] <= 1e-2 * moved[key] for key in moved)


@pytest.mark.parametrize("name", [*EXACT, "mixed"])
def test_norms_by_part_and_flops_are_those_of_one_process(name: str, folder: Path) -> None:
    """Whoever holds which part of which gradient, in whatever type; FLOPs from utilisation, its peak and the time."""
    ours, theirs = folder / name, reference(folder, name)
    tolerance = {"muon": 1e-2, "mixed": 5e-2}.get(name, 1e-4)
    for (one, total), (other, _) in zip(
        spread_work.figures(ours, "grad_norm_by_part", "grad_norm"),
        spread_work.figures(theirs, "grad_norm_by_part", "grad_norm"),
        strict=True,
    ):
        assert one == pytest.approx(other, rel=tolerance)
        assert total == pytest.approx(total_norm(one), rel=1e-4)
    assert flops(ours, 2) == pytest.approx(flops(theirs, 1), rel=1e-6)


def flops(out: Path, processes: int) -> list[float]:
    """Of every step."""
    found, before = [], 0.0
    for share, peak, seconds in spread_work.figures(out, "mfu", "peak", "seconds"):
        found.append(share * peak["tflops"] * processes * (seconds - before))
        before = seconds
    return found


@pytest.mark.parametrize("name", ["hybrid-2x1", "context"])
def test_a_spike_of_a_divided_model_changes_nothing_in_any_process_and_names_its_samples(name, trained: Path) -> None:
    one, other = (
        [json.loads(line) for line in (folder / "spikes.jsonl").read_text().splitlines()]
        for folder in (trained / name, reference(trained, name))
    )
    assert [line["step"] for line in one] == [line["step"] for line in other] and one
    for mine, theirs in zip(one, other, strict=True):
        assert mine["action"] == "skip" and mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-4)
        ours, known = ({line["id"]: line["loss"] for line in spike["samples"]} for spike in (mine, theirs))
        assert ours == pytest.approx(known, rel=1e-4)
    skipped = [count for (count,) in spread_work.figures(trained / name, "skipped")]
    assert skipped[-1] == len(one) == json.loads((trained / name / "done.json").read_text())["skipped"]


def test_losses_by_source_are_those_of_one_process_too(trained: Path) -> None:
    for name in ("full", "context"):
        for (one,), (other,) in zip(
            spread_work.figures(trained / name, "loss_by_source"),
            spread_work.figures(reference(trained, name), "loss_by_source"),
            strict=True,
        ):
            assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("name", named(*CASES, *FURTHER, exact=False))
def test_narrow_types_follow_float32_at_their_own_precision(name: str, folder: Path) -> None:
    ours, theirs = spread_work.losses(folder / name), spread_work.losses(folder / "one")
    assert ours == pytest.approx(theirs, rel=5e-3 if name == "narrow-gradients" else 2e-2) and ours != theirs
    assert ours[-1] < ours[0]
    stored = load_checkpoint(folder / name / "model", dtype=None).dtype
    assert stored == (torch.bfloat16 if name == "narrow" else torch.float32)


def test_text_alone_leaves_the_tower_as_it_was_to_the_bit(trained: Path) -> None:
    """Blank pictures that keep the processes in step teach nothing, and weight decay does not move it either."""
    before, after = load_checkpoint(trained / "start"), load_checkpoint(trained / "text" / "model")
    for name, value in before.vision.state_dict().items():
        assert torch.equal(after.vision.state_dict()[name], value), name


def test_frozen_parts_stay_to_the_bit(trained: Path) -> None:
    before, after = load_checkpoint(trained / "start"), load_checkpoint(trained / "projector" / "model")
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value) != name.startswith("projector."), name


def test_no_resume_point_is_left_of_a_finished_stage(trained: Path) -> None:
    for name, _, _ in CASES:
        left = {path.name for path in (trained / name).iterdir()} - {"spikes.jsonl"}
        assert left == {"done.json", "metrics.jsonl", "model"}


def test_processes_that_disagree_on_the_data_are_stopped_with_both_values(trained: Path) -> None:
    first, second = json.loads((trained / "told.json").read_text())
    assert re.match(
        r"the processes disagree on the data: rank 0 has [0-9a-f]{16} \(36 samples, the first drawn is world/.*\), "
        r"rank 1 has [0-9a-f]{16} \(36 samples, .*; give all of them the same",
        first,
    )
    assert "ranks 0 and 1 share a pack and disagree on it" in second
    assert "'samples': 'hash-0'" in second and "'samples': 'hash-1'" in second


# ---------------------------------------------------------------- alone


def test_packs_joined_have_the_loss_of_the_packs(tmp_path: Path) -> None:
    samples = [sample for source in ("world/counting", "world/arithmetic") for sample in tiny.samples(source, 4)]
    encoded = [tiny.processor().encode(sample) for sample in samples]
    packs = [tiny.batch(encoded[:3]), tiny.batch(encoded[3:5]), tiny.batch(encoded[5:])]
    model = tiny.model()
    whole = language_model_loss(model, join_packs(packs))
    parts = [language_model_loss(model, pack) for pack in packs]
    assert whole.total.item() == pytest.approx(sum(part.total.item() for part in parts), rel=1e-5)
    assert whole.num_tokens == sum(part.num_tokens for part in parts)
    assert join_packs(packs[:1]) is packs[0]


def test_only_what_a_team_cannot_do_asks_for_more() -> None:
    assert not needs_sharding(ParallelConfig(compile=True, activation_checkpointing="full", data_parallel=2))
    for changes in ({"fsdp": "full"}, {"dtype": "bfloat16"}, {"micro_packs": 2}, {"context_parallel": 2}):
        assert needs_sharding(ParallelConfig.model_validate(changes)), changes


@pytest.mark.parametrize("tied", [False, True])
def test_a_model_without_memory_is_filled_from_the_files(tied: bool, tmp_path: Path) -> None:
    config = tiny.config()
    shape = replace(config, language=replace(config.language, tie_embeddings=tied))
    whole = build_model(shape, seed=4)
    save_checkpoint(whole, tmp_path / "model")
    model = spread_work.empty(tmp_path / "model")
    load_shards(model, tmp_path / "model", torch.device("cpu"), 1, 0)
    assert (model.language.lm_head.weight is model.language.embed_tokens.weight) == tied
    for name, value in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_checkpoint_of_another_shape_is_named(tiny_start: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(tiny_start / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    for change, message in (
        ({**tensors, name: tensors[name][:5].clone()}, rf"tensor {name} is F32 of shape \[5, 64\].* shape \[96, 64\]"),
        ({key: value for key, value in tensors.items() if key != name}, f"1 of .* tensors are missing.*{name}"),
        ({**tensors, "extra": torch.ones(1)}, "tensors are unknown, the first is extra"),
    ):
        save_file(change, tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match=message):
            load_shards(spread_work.empty(tiny_start), tmp_path, torch.device("cpu"), 1, 0)


def test_a_head_that_is_not_the_embedding_it_is_tied_to_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    config = tiny.config()
    save_checkpoint(
        build_model(replace(config, language=replace(config.language, tie_embeddings=True))), tmp_path / "m"
    )
    file = tmp_path / "m" / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"] + 1}, file)
    with pytest.raises(CheckpointError, match="says tie_word_embeddings, but lm_head.weight .* is not"):
        load_shards(spread_work.empty(tmp_path / "m"), tmp_path / "m", torch.device("cpu"), 1, 0)


def test_packs_that_do_not_divide_are_refused_before_anything_is_read() -> None:
    from mimovl.train.distributed import Layout

    with pytest.raises(RecipeError, match="packs 4 of a step do not divide evenly among 3 processes; make packs 6"):
        Layout.of(ParallelConfig(fsdp="full"), spread_work.stage(), 3)
