from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mimovl.cli import app

RECIPES = Path(__file__).parents[2] / "recipes"


def printed(*arguments: str, recipe: str = "mimo-vl-7b", code: int = 0) -> str:
    result = CliRunner().invoke(app, ["plan", str(RECIPES / f"{recipe}.yaml"), *arguments])
    assert result.exit_code == code, result.stderr
    return result.stdout if code == 0 else result.stderr


def test_a_plan_says_memory_time_and_cost_of_each_stage() -> None:
    text = printed("--gpus", "128", "--gpu", "h200", "--mfu", "0.4", "--price-per-hour", "2.5")
    assert "mimo-vl-7b: 8.31B parameters (vision 636M, projector 47.2M, language 7.62B)" in text
    assert "128 × h200 (989 TFLOP/s in bfloat16, 140.4 GiB, 131.5 usable), 40% model FLOPs utilisation" in text
    rows = [line.split() for line in text.splitlines() if " fits " in line]
    assert [row[0] for row in rows] == ["projector", "alignment", "general", "long-context"]
    assert [row[2] for row in rows] == ["300B", "167B", "1.4T", "550B"]
    assert all(row[-1].startswith("$") and row[-2] == "days" for row in rows)
    total = next(line for line in text.splitlines() if line.startswith("all "))
    assert "2.42T" in total and "days" in total
    assert "checkpoints selective here; activations with each kind: none 27" in text
    assert "checkpoints full here" in text and "never held as a whole" in text
    assert "assumed: $2.50 an hour and GPU; communication is part" in text
    assert "not reckoned: data, evaluation" in text


def test_an_assumed_price_is_labelled() -> None:
    assert "$3.00 an hour and GPU (ASSUMED: give yours with --price-per-hour)" in printed("--gpus", "128")


def test_what_does_not_fit_is_said_with_what_to_change() -> None:
    text = printed("--gpus", "128", "--set", "parallel.fsdp=off")
    assert "DOES NOT FIT 131.5 GiB: it would with parallel: {fsdp: full}" in text
    text = printed("--gpus", "1", "--gpu", "rtx4090")
    assert "no setting of parallel makes it fit 1 × rtx4090; take more GPUs" in text


def test_more_than_the_peak_is_called_impossible() -> None:
    text = printed("--gpus", "128", "--mfu", "0.9")
    assert "impossible  90% utilisation and what is computed again is more than" in text
    assert "impossible" not in printed("--gpus", "128")


def test_idle_gpus_and_float32_are_pointed_out() -> None:
    assert "idle        17% of the time, and training refuses it: a step has 640 packs for 256 GPUs" in printed(
        "--gpus", "256"
    )
    assert "float32, whose peak is 67 TFLOP/s, that of bfloat16 989" in printed(recipe="tiny")


def test_how_samples_reach_a_gpu_and_that_one_without_loading_waits_is_said() -> None:
    text = printed("--gpus", "128")
    assert text.count("reading     by 8 processes a GPU, ") == 4
    # 16 packs of 8192 tokens, 70 % of them visual: 4 patches of 3 × 2 × 14 × 14 numbers of 4 bytes each
    assert f"16 packs ahead: {16 * 8192 * 0.7 * 4 * 1176 * 4 / 2**30:.1f} GiB of pixels in main memory" in text
    assert "by one thread, pack after pack" in printed(recipe="tiny")


def test_assumptions_about_the_data_name_where_they_are_from() -> None:
    assert "assumed of general (its workload section): 55% visual tokens" in printed("--gpus", "128")
    text = printed(recipe="tiny")
    assert "assumed of general (no workload section: defaults): 50% visual tokens, pictures of 1,024 tokens" in text
    assert "minutes" in text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--gpu", "h300"), "error: no GPU 'h300' in the table; did you mean 'h200'?; there are: h100"),
        (("--gpus", "0"), "error: --gpus 0: at least 1"),
        (("--set", "parallel.fspd=full"), "unknown key; did you mean 'fsdp'?"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], problem: str) -> None:
    text = printed(*arguments, code=2)
    assert problem in text and text.count("\n") == 1
