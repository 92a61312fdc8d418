from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from mimovl.errors import CheckpointError, DataError, MimovlError, MissingExtraError, RecipeError, UsageError
from mimovl.model import load_checkpoint
from mimovl.pipeline import begin as pipeline_begin
from mimovl.pipeline import progress
from mimovl.pipeline import run as pipeline_run
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.run import run
from mimovl.store import Dataset
from tests.pipeline import micro

STEPS = ("1-projector", "2-general", "3-morl")
REWRITTEN = {"run.json", "report.html"}
"""Rewritten at the end of every run, cheap and always up to date."""


@pytest.fixture
def copy(micro_run: Path, tmp_path: Path) -> Path:
    """The finished run, to be changed."""
    shutil.copytree(micro_run.parent, tmp_path / "copy")
    return tmp_path / "copy" / "out"


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Modification time and hash of every file."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file() and path.name not in REWRITTEN
    }


# ---------------------------------------------------------------- everything is there


def test_every_file_of_the_run_directory_is_written(micro_run: Path) -> None:
    found = {path.relative_to(micro_run).as_posix() for path in micro_run.rglob("*") if path.is_file()}
    expected = {"recipe.yaml", "run.json", "report.html"}
    expected |= {f"data/{name}/manifest.json" for name in ("train", "prompts", "heldout")}
    for step in STEPS:
        expected |= {f"{step}/{name}" for name in ("metrics.jsonl", "done.json", "model/config.json")}
        expected |= {f"{step}/model/model.safetensors", f"{step}/model/tokenizer.json"}
        expected |= {f"evaluate/{step}/{name}" for name in ("scores.json", "answers.jsonl", "summary.json")}
    expected.add("3-morl/rollouts.jsonl")
    assert expected <= found
    assert not [name for name in found if "partial" in name or "resume" in name or "writing" in name]


def test_run_json_says_what_ran_where_and_how_long(micro_run: Path) -> None:
    about = json.loads((micro_run / "run.json").read_text())
    assert {"name", "purpose", "started", "finished", "mimovl", "torch", "python", "machine", "seconds"} <= set(about)
    assert {"peak_memory_mb", "data", "model"} <= set(about)
    assert (about["name"], about["purpose"]) == ("micro", "See that every step works.")
    assert {"cpu", "cores", "memory_gb"} <= set(about["machine"])
    assert set(about["seconds"]) == {"data", *STEPS, *(f"evaluate {step}" for step in STEPS)}
    assert set(about["data"]) == {"counts", "prompts", "heldout", "dropped", "heldout_phash_removed"}
    assert about["data"]["counts"]["long/counting"] == 2
    parts = load_checkpoint(micro_run / "3-morl" / "model").num_parameters()
    assert about["model"] == {"parameters": sum(parts.values()), **parts}


def test_each_stage_trained_what_it_says(micro_run: Path, tiny_trained: Path) -> None:
    models = [load_checkpoint(path).state_dict() for path in (tiny_trained, *(micro_run / s / "model" for s in STEPS))]
    for (before, after), changed in zip(
        zip(models[:-1], models[1:], strict=True),
        ({"projector"}, {"vision", "projector", "language"}, {"language"}),
        strict=True,
    ):
        differ = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
        assert differ == changed
    for step, trained in zip(STEPS, (["projector"], ["vision", "projector", "language"], ["language"]), strict=True):
        done = json.loads((micro_run / step / "done.json").read_text())
        assert done["trained"] == trained == list(done["learning_rate"])


def test_a_fresh_projector_is_drawn_unless_told_otherwise(micro_run: Path, tiny_start: Path, tmp_path: Path) -> None:
    """One step whose learning rate is next to nothing shows it."""
    values = micro.recipe(tiny_start, rl=None, fresh_projector=False)
    values["stages"] = [{**values["stages"][0], "steps": 1, "learning_rate": {"projector": 1e-12}}]
    values["evaluate"] = {"questions": {"projector": 0}}
    run(micro.write(tmp_path / "r.yaml", values), tmp_path / "kept")
    assert not (tmp_path / "kept" / "evaluate").exists()
    start = load_checkpoint(tiny_start).projector.up.weight
    kept = load_checkpoint(tmp_path / "kept" / "1-projector" / "model").projector.up.weight
    fresh = load_checkpoint(micro_run / "1-projector" / "model").projector.up.weight
    assert torch.allclose(kept, start, atol=1e-6) and not torch.allclose(fresh, start, atol=1e-2)


def test_an_evaluation_asks_as_many_questions_as_the_recipe_says(micro_run: Path) -> None:
    heldout = len(Dataset.open(micro_run / "data" / "heldout"))
    for step, count in zip(STEPS, (None, None, heldout), strict=True):
        scores = json.loads((micro_run / "evaluate" / step / "scores.json").read_text())
        answers = micro.lines(micro_run / "evaluate" / step / "answers.jsonl")
        if count is None:
            assert {entry["n"] for entry in scores.values()} == {1} and len(answers) == len(scores)
        else:
            assert len(answers) == count


def test_the_report_stands_alone(micro_run: Path) -> None:
    page = (micro_run / "report.html").read_text(encoding="utf-8")
    assert "micro" in page and "See that every step works." in page
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)


def test_the_effective_recipe_is_kept_and_runs_as_it_is(micro_run: Path, copy: Path) -> None:
    kept = yaml.safe_load((micro_run / "recipe.yaml").read_text())
    assert kept["stages"][1]["optimizer"]["name"] == "muon" and kept["rl"]["slots"] == 128
    before = content(copy)
    run(copy / "recipe.yaml", copy)
    assert content(copy) == before


# ---------------------------------------------------------------- again


def test_run_again_nothing_is_made_again(copy: Path, capsys) -> None:
    before, about = content(copy), json.loads((copy / "run.json").read_text())
    run(copy.parent / "micro.yaml", copy)
    assert content(copy) == before
    after = json.loads((copy / "run.json").read_text())
    assert {**after, "peak_memory_mb": 0} == {**about, "peak_memory_mb": 0}
    shown = capsys.readouterr().err
    assert shown.count("done before") == 7 and "100 %" not in shown


def test_a_step_that_was_deleted_is_made_again_the_same_and_nothing_else_is(copy: Path) -> None:
    before = content(copy)
    shutil.rmtree(copy / "2-general")
    (copy / "evaluate" / "3-morl" / "summary.json").unlink()
    run(copy.parent / "micro.yaml", copy)
    after = content(copy)
    assert after.keys() == before.keys()
    remade = {name for name, value in after.items() if value[0] != before[name][0]}
    assert all(name.startswith(("2-general/", "evaluate/3-morl/")) for name in remade)
    assert after["evaluate/3-morl/answers.jsonl"][1] == before["evaluate/3-morl/answers.jsonl"][1]
    weights = "2-general/model/model.safetensors"
    assert weights in remade and after[weights][1] == before[weights][1]


def test_answers_of_another_model_are_not_taken_for_this_ones(copy: Path) -> None:
    shutil.copytree(copy / "1-projector" / "model", copy / "3-morl" / "model", dirs_exist_ok=True)
    with pytest.raises(UsageError, match=r"3-morl/answers\.jsonl holds answers of model .*; delete it"):
        run(copy.parent / "micro.yaml", copy)


@pytest.mark.parametrize(
    ("override", "had", "has"),
    [("seed=4", "seed: 3", "seed: 4"), ("stages.general.steps=5", "steps: 4", "steps: 5")],
)
def test_another_recipe_into_the_same_folder_is_refused_with_line_and_cure(copy: Path, override, had, has) -> None:
    before = content(copy)
    with pytest.raises(RecipeError) as caught:
        run(copy.parent / "micro.yaml", copy, [override])
    message = str(caught.value)
    number = int(re.search(r"recipe\.yaml:(\d+) says", message)[1])
    assert (copy / "recipe.yaml").read_text().splitlines()[number - 1].strip() == had
    assert f"says {had!r}, this one says {has!r}; choose another --out, or delete the folder" in message
    assert content(copy) == before


def test_options_that_came_after_a_run_was_begun_do_not_keep_it_from_going_on(copy: Path) -> None:
    """Its recipe.yaml lacks them, and may have its lines in another order."""
    values = yaml.safe_load((copy / "recipe.yaml").read_text())
    assert values.pop("parallel") is None and all(stage.pop("tokens") is None for stage in values["stages"])
    values["stages"] = [dict(reversed(stage.items())) for stage in values["stages"]]
    (copy / "recipe.yaml").write_text(yaml.safe_dump(values))
    before = content(copy)
    run(copy.parent / "micro.yaml", copy)
    assert content(copy) == before
    with pytest.raises(RecipeError, match=r"recipe.yaml says '\(nothing\)', this one says 'context_parallel: 1'"):
        run(copy.parent / "micro.yaml", copy, ["parallel.compile=true"])


def test_who_watches_and_what_is_done_about_spikes_may_change_in_a_run_that_goes_on(copy: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'mimovl[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (copy / "3-morl" / "done.json").unlink()
    before = load_checkpoint(copy / "3-morl" / "model").state_dict()
    overrides = ["tracking.to=[tensorboard]", "tracking.peak_tflops=0.1", "stages.general.spikes.not_finite=skip"]
    run(copy.parent / "micro.yaml", copy, overrides)
    after = load_checkpoint(copy / "3-morl" / "model").state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert yaml.safe_load((copy / "recipe.yaml").read_text())["stages"][1]["spikes"]["not_finite"] == "skip"
    events = EventAccumulator(str(copy / "tensorboard" / "3-morl"))
    events.Reload()
    rewards = [json.loads(line)["reward"] for line in (copy / "3-morl" / "metrics.jsonl").read_text().splitlines()]
    assert [point.value for point in events.Scalars("reward")] == pytest.approx(rewards, rel=1e-6)
    with pytest.raises(RecipeError, match="holds a run of another recipe.*'steps: 4'.*'steps: 5'"):
        run(copy.parent / "micro.yaml", copy, [*overrides, "stages.general.steps=5"])


def test_the_same_recipe_written_differently_is_the_same(copy: Path, tiny_trained: Path) -> None:
    values = dict(reversed(micro.recipe(tiny_trained, seed=9).items()))
    file = micro.write(copy.parent / "other.yaml", {**values, "model": "tiny"})
    before = content(copy)
    run(file, copy, ["seed=3"])
    assert content(copy) == before


# ---------------------------------------------------------------- refused before anything is made


def refused(tmp_path: Path, error: type[MimovlError], match: str, values: dict) -> None:
    with pytest.raises(error, match=match):
        run(micro.write(tmp_path / "r.yaml", values), tmp_path / "out")


def test_an_absent_tracker_is_refused_with_the_line_that_installs_it(
    tmp_path: Path, tiny_start: Path, monkeypatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "trackio" else find(name, *rest)
    )
    values = {**micro.recipe(tiny_start), "tracking": {"to": ["trackio"]}}
    refused(
        tmp_path, MissingExtraError, r"tracking\.to: trackio needs trackio, .*pip install 'mimovl\[trackio\]'", values
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_embedded_base_names_the_command_that_makes_it(tmp_path: Path, monkeypatch) -> None:
    for module in (pipeline_run, pipeline_begin):
        monkeypatch.setattr(module, "embedded_base", functools.partial(embedded_base, tmp_path / "assets"))
    refused(tmp_path, UsageError, "make it with: mimovl run recipes/tiny-base.yaml", micro.recipe("embedded"))
    assert not (tmp_path / "out").exists()


def test_an_embedded_base_is_started_from_and_named(tmp_path: Path, tiny_start: Path, monkeypatch) -> None:
    shutil.copytree(tiny_start, tmp_path / "assets")
    (tmp_path / "assets" / "base.json").write_text('{"recipe_hash": "abc"}')
    for module in (pipeline_run, pipeline_begin):
        monkeypatch.setattr(module, "embedded_base", functools.partial(embedded_base, tmp_path / "assets"))
    values = micro.recipe("embedded", rl=None)
    run(
        micro.write(tmp_path / "r.yaml", {**values, "stages": values["stages"][:1], "evaluate": {}}),
        tmp_path / "out",
        ["data.heldout={}", "data.long={}"],
    )
    assert not (tmp_path / "out" / "evaluate").exists()  # nothing is held out
    assert json.loads((tmp_path / "out" / "run.json").read_text())["base"] == {"recipe_hash": "abc"}
    assert (tmp_path / "out" / "1-projector" / "done.json").is_file()


def test_a_missing_start_is_named(tmp_path: Path) -> None:
    refused(tmp_path, CheckpointError, "nowhere: no such checkpoint folder", micro.recipe(tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


def test_reinforcement_learning_without_prompts_is_refused(tmp_path: Path, tiny_start: Path) -> None:
    values = micro.recipe(tiny_start)
    values["data"]["prompts"] = {"world/counting": 0}
    refused(tmp_path, RecipeError, "morl has no prompts; give data.prompts", values)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"mixture": {"world/gui": 1}}, "stage general: .*'world/gui'; the dataset has: long/counting, world/caption"),
        ({"mixture": {"world/clip": 0}}, "stage general: the mixture has no source with a weight above 0"),
    ],
)
def test_a_mixture_of_a_later_stage_is_checked_before_the_first_is_trained(
    tmp_path: Path, tiny_start: Path, change: dict, match: str
) -> None:
    values = micro.recipe(tiny_start)
    values["stages"][1].update(change)
    refused(tmp_path, DataError, match, values)
    assert not (tmp_path / "out" / "1-projector").exists()


def test_a_task_without_prompts_is_named_before_the_first_stage_is_trained(tmp_path: Path, tiny_start: Path) -> None:
    values = micro.recipe(tiny_start)
    values["rl"].update(tasks={"grounding": 1}, thinking={})
    refused(tmp_path, DataError, "morl: .*'grounding'; the dataset has: attributes, counting", values)
    assert not (tmp_path / "out" / "1-projector").exists()


# ---------------------------------------------------------------- what a person sees


def test_lines_tell_step_loss_speed_reward_and_time_left(copy: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    for step in ("2-general", "3-morl"):
        shutil.rmtree(copy / step)
    run(copy.parent / "micro.yaml", copy)
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith("micro: ")
    assert [line for line in shown if re.fullmatch(r"stage 1 projector +done before", line)]
    assert [
        line
        for line in shown
        if re.fullmatch(r"stage 2 general +50 %  loss \d\.\d{3}  [\d,]+ tokens/s  \d+:\d\d left", line)
    ]
    assert [
        line
        for line in shown
        if re.fullmatch(r"stage 3 morl +67 %  reward \d\.\d{3}  [\d,]+ tokens/s  \d+:\d\d left", line)
    ]
    assert shown[-1] == f"report: {copy / 'report.html'}"


# ---------------------------------------------------------------- several processes


def close(one: object, other: object) -> bool:
    """Equal but for rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=1e-4, abs=1e-5)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(close(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def test_two_processes_measure_what_one_does(micro_run: Path, tmp_path: Path) -> None:
    run(micro_run.parent / "micro.yaml", tmp_path, ["workers=2"])
    one, two = micro.figures(micro_run), micro.figures(tmp_path)
    assert one.keys() == two.keys()
    for name in one:
        assert close(one[name], two[name]), name
