"""The plan of a recipe follows from FLOPs, memory and what one states; what does not fit is mended."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mimovl.errors import UsageError
from mimovl.pipeline.plan import RunPlan, plan_recipe
from mimovl.plan import find_gpu, flops_per_token
from mimovl.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
GIB = 1024**3
ALL = "stages.3.parallel=null"
"""The last stage is spread as the others are."""


def plan(*settings: str, recipe: str = "mimo-vl-7b", gpu: str = "h200", **options: Any) -> RunPlan:
    loaded = load_recipe(RECIPES / f"{recipe}.yaml", settings)
    return plan_recipe(loaded.recipe, gpu=find_gpu(gpu), **{"gpus": 128, **options})


def test_days_and_cost_follow_from_the_stated_utilisation() -> None:
    """By hand for the first stage: FLOPs a token, divided by what 128 GPUs do in a second."""
    found = plan(mfu=0.5, price_per_hour=2.0)
    stage = found.stages[0]
    workload = stage.workload
    each = flops_per_token(found.config, 8192, ("projector",), **workload.model_dump())
    speed = 128 * 989.4e12 * 0.5 / each
    assert stage.tokens_per_second == pytest.approx(speed)
    tokens = stage.stage.steps * 2560 * 8192
    assert stage.tokens == tokens and 0 <= tokens - 300e9 < 2560 * 8192
    assert stage.days == pytest.approx(tokens / speed / 86_400)
    assert stage.cost == pytest.approx(stage.days * 24 * 128 * 2.0)
    assert plan(mfu=0.25).stages[0].days == pytest.approx(2 * stage.days)


def test_the_7b_recipe_fits_128_h200_and_every_gpu_always_has_a_pack() -> None:
    found = plan()
    assert [entry.stage.name for entry in found.stages] == ["projector", "alignment", "general", "long-context"]
    assert all(entry.fits and entry.idle == 0 and not entry.changes for entry in found.stages)
    assert found.price_assumed and found.price == find_gpu("h200").price
    assert found.origin.startswith("preset mimo-vl-7b (checkpoints/mimo-vl-7b-start is not there yet)")


def test_a_number_of_gpus_that_does_not_divide_the_packs_leaves_some_idle() -> None:
    entry = plan(gpus=256).stages[3]
    assert entry.idle == pytest.approx(1 - 640 / (3 * 256))
    assert entry.tokens_per_second == pytest.approx(2 * plan().stages[3].tokens_per_second * 640 / 768)


def test_frozen_parts_cost_less_and_checkpoints_are_work_on_top() -> None:
    first, _, third, fourth = plan().stages
    assert first.flops["language"].backward < third.flops["language"].backward
    assert 0.4 < third.executed_share < 0.43, "selective repeats no product but attention's own"
    assert 0.5 < fourth.executed_share < 0.55, "full: a third more"
    without = plan("stages.3.parallel.activation_checkpointing=none").stages[3]
    assert 0.4 < without.executed_share < 0.43
    assert without.activations == fourth.activations
    assert fourth.memory.activations == fourth.activations["full"] < fourth.activations["selective"] / 5
    assert without.memory.activations == fourth.activations["none"] > 1.4 * fourth.activations["selective"]
    assert without.days == fourth.days, "utilisation is stated of the model's work, not of the machine's"


@pytest.mark.parametrize(
    ("settings", "gpus", "gpu", "changes"),
    [
        (["parallel.fsdp=off", "parallel.activation_checkpointing=full", ALL], 128, "h200", ("fsdp: full",)),
        (["parallel.activation_checkpointing=none", ALL], 128, "a100-80g", ("activation_checkpointing: full",)),
        (["parallel.activation_checkpointing=full", ALL], 128, "rtx4090", ("context_parallel: 2",)),
        (
            ["parallel=null", ALL],
            1,
            "h200",
            ("dtype: bfloat16", "activation_checkpointing: full", "optimizer_dtype: bfloat16"),
        ),
    ],
)
def test_where_it_does_not_fit_the_fewest_changes_that_make_it_are_named_and_they_do(
    settings: list[str], gpus: int, gpu: str, changes: tuple[str, ...]
) -> None:
    found = plan(*settings, gpus=gpus, gpu=gpu)
    wrong = [entry for entry in found.stages if not entry.fits]
    assert wrong and all(entry.memory.total > found.gpu.usable * GIB for entry in wrong)
    assert wrong[-1].changes == changes
    mended = [f"parallel.{change.replace(': ', '=')}" for change in changes]
    assert plan(*settings, *mended, gpus=gpus, gpu=gpu).stages[-1].fits
    for left_out in mended:
        rest = [change for change in mended if change != left_out]
        assert not plan(*settings, *rest, gpus=gpus, gpu=gpu).stages[-1].fits, f"{left_out} is not needed"


def test_where_nothing_makes_it_fit_no_change_is_named() -> None:
    assert plan(gpus=1, gpu="rtx4090").stages[2].changes == ()


def test_hybrid_divides_within_a_machine() -> None:
    full, hybrid, four = (
        plan(f"parallel.fsdp={how}", *more).stages[2].memory.parameters
        for how, more in (("full", ()), ("hybrid", ()), ("hybrid", ("parallel.shard_size=4",)))
    )
    assert (full * 128, hybrid * 8, four * 4) == (4 * 8_306_217_216,) * 3


def test_context_parallel_divides_activations_and_narrow_states_take_half() -> None:
    plain = plan().stages[3]
    divided = plan("stages.3.parallel.context_parallel=4").stages[3]
    assert divided.tokens_at_once == 8192
    assert divided.memory.activations == pytest.approx(plain.memory.activations / 4, rel=1e-6)
    narrow = plan("stages.3.parallel.optimizer_dtype=bfloat16").stages[3]
    assert narrow.memory.optimizer == plain.memory.optimizer / 2


def test_recipes_with_base_parts_plan_those_too() -> None:
    found = plan(recipe="small", gpus=1)
    names = [entry.stage.name for entry in found.stages]
    assert names[:5] == ["recall", "language", "one-thing", "few-things", "all-things"]
    assert names[5:] == ["projector", "alignment", "general", "long-context"]
    assert all(entry.fits for entry in plan(recipe="small", gpus=1, gpu="rtx4090").stages)
    assert found.left_out == ("base.vision", "rl", "data", "evaluation")
    assert plan(recipe="tiny", gpus=1).origin == "embedded"


def test_the_shape_is_that_of_the_starting_checkpoint_once_it_is_there(tiny_start: Path) -> None:
    found = plan(f"start={tiny_start}")
    assert found.origin == str(tiny_start)
    assert found.config.language.num_layers == 2


def test_a_start_that_is_there_and_no_checkpoint_is_not_called_absent(tmp_path: Path) -> None:
    assert plan(f"start={tmp_path}").origin == f"preset mimo-vl-7b ({tmp_path} holds no config.json)"
    assert plan(f"start={tmp_path}/x").origin == f"preset mimo-vl-7b ({tmp_path}/x is not there yet)"


@pytest.mark.parametrize(
    ("settings", "options", "problem"),
    [
        ((), {"gpus": 0}, "--gpus 0: at least 1"),
        ((), {"mfu": 1.2}, "--mfu 1.2: a share of the peak"),
        ((), {"price_per_hour": -5.0}, "--price-per-hour -5.0: dollars, 0 or more"),
        ((), {"price_per_hour": math.nan}, "--price-per-hour nan: dollars, 0 or more"),
        ((), {"price_per_hour": math.inf}, "--price-per-hour inf: dollars, 0 or more"),
        (
            ("parallel.fsdp=hybrid", "parallel.shard_size=3"),
            {},
            "stage projector: 128 GPUs cannot be divided into groups of shard_size 3",
        ),
        (("parallel.fsdp=hybrid",), {"gpus": 12}, "12 GPUs cannot be divided into groups of shard_size 8"),
        (("parallel.context_parallel=3",), {}, "128 GPUs cannot be divided into groups of context_parallel 3"),
        (
            ("parallel.data_parallel=8", "parallel.context_parallel=2"),
            {},
            "data_parallel 8 × context_parallel 2 needs 16 GPUs, --gpus gives 128",
        ),
    ],
)
def test_what_cannot_be_is_refused(settings: tuple[str, ...], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        plan(*settings, **options)


def test_a_recipe_without_stages_is_refused() -> None:
    with pytest.raises(UsageError, match="recipe x has no stage of training to plan"):
        plan_recipe(Recipe(name="x"), gpus=1, gpu=find_gpu("h100"))
