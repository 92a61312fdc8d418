"""The command line: what is passed on, and how errors, interrupts and closed pipes end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from mimovl.errors import CheckpointError, Stopped
from mimovl.store import Dataset
from tests.curate.readers.voc_folder import write_voc

ROOT = Path(__file__).parent.parent
RECIPE = "name: tiny\npurpose: testing\nseed: 3\n"


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def start(*arguments: object, program: str = "from mimovl.cli import main; main()") -> subprocess.Popen[str]:
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stand-ins for the steps behind the commands; each records how it was called."""
    seen: list[tuple[Any, ...]] = []

    def stand_in(module: str, name: str) -> None:
        fake = ModuleType(module)
        setattr(fake, name, lambda *args, **options: seen.append((name, args, options)))
        monkeypatch.setitem(sys.modules, module, fake)

    stand_in("mimovl.pipeline.run", "run")
    stand_in("mimovl.pipeline.train", "train")
    stand_in("mimovl.pipeline.evaluate", "evaluate_checkpoint")
    stand_in("mimovl.generate.logprobs", "score_messages")
    stand_in("mimovl.pipeline.reward_train", "train_reward_model")
    return seen


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(*args: Any) -> None:
        raise error

    fake = ModuleType("mimovl.pipeline.run")
    fake.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mimovl.pipeline.run", fake)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from mimovl.cli import main\n"
        "try: main()\n"
        "finally:\n"
        "    heavy = {'torch', 'numpy', 'pyarrow', 'pydantic', 'PIL', 'scipy', 'jinja2'} & set(sys.modules)\n"
        "    print(f'heavy={sorted(heavy)}')\n"
    )
    process = start("--help", program=program)
    out, errors = process.communicate(timeout=180)
    assert errors == ""
    assert all(verb in out for verb in ("run", "init", "plan", "evaluate", "import", "recipe", "logprobs", "report"))
    assert "heavy=[]" in out


def test_run_passes_recipe_folder_and_overrides(calls: list[Any]) -> None:
    assert invoke("run", "r.yaml", "--out", "o", "--set", "a=1", "--set", "b=2")[0] == 0
    assert calls == [("run", (Path("r.yaml"), Path("o"), ["a=1", "b=2"]), {})]


def test_train_passes_its_arguments_on(calls: list[tuple[Any, ...]]) -> None:
    assert invoke("train", "r.yaml", "--out", "o", "--set", "a=1")[0] == 0
    assert calls == [("train", (Path("r.yaml"), Path("o"), ["a=1"]), {})]


def test_a_training_that_was_asked_to_end_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(*args: Any) -> None:
        raise Stopped("stopped as asked (SIGTERM) after step 3 of 9; saved in o")

    fake = ModuleType("mimovl.pipeline.train")
    fake.train = train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mimovl.pipeline.train", fake)
    code, out, err = invoke("train", "r.yaml", "--out", "o")
    assert (code, out, err) == (143, "", "stopped as asked (SIGTERM) after step 3 of 9; saved in o\n")


@pytest.mark.parametrize(
    ("flags", "modes"),
    [((), ("no_think", "thinking")), (("--thinking",), ("thinking",)), (("--no-thinking",), ("no_think",))],
)
def test_evaluate_passes_tasks_and_modes(calls: list[Any], flags: tuple[str, ...], modes: tuple[str, ...]) -> None:
    code, _, _ = invoke(
        "evaluate", "c", "--out", "o", "--tasks", "ocr, counting", "--tasks", "text", "--limit", 5, *flags
    )
    assert code == 0
    options = {"dataset": None, "tasks": ["ocr", "counting", "text"], "limit": 5, "temperature": 0.0, "modes": modes}
    assert calls == [("evaluate_checkpoint", (Path("c"), Path("o")), options)]


def test_logprobs_passes_its_files(calls: list[Any]) -> None:
    assert invoke("logprobs", "c", "--messages", "m.json", "--out", "o.json")[0] == 0
    assert calls == [("score_messages", (Path("c"), Path("m.json"), Path("o.json")), {})]


def test_reward_train_passes_recipe_folder_and_overrides_and_says_where_things_are(calls: list[Any]) -> None:
    code, out, _ = invoke("reward", "train", "r.yaml", "--out", "o", "--set", "seed=1")
    assert code == 0 and "model: o/model" in out and "report: o/report.json" in out
    assert calls == [("train_reward_model", (Path("r.yaml"), Path("o"), ["seed=1"]), {})]


def test_preference_collect_says_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"prompts": 3, "pairs": 5, "verdicts": {"tie": 1, "win": 4}}
    place = {"value": 0.6, "interval": [0.4, 0.8], "n": 9}
    fake = ModuleType("mimovl.pipeline.collect")
    fake.collect = lambda *args: {**found, "first_place_preferred": place}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mimovl.pipeline.collect", fake)
    code, out, _ = invoke("preference", "collect", "c.yaml", "--out", "o")
    assert code == 0 and "o: 5 pairs of 3 prompts (1 tie, 4 win)" in out and "0.600 of replies  [0.400, 0.800]" in out


def test_import_voc_writes_both_sides_and_says_what_it_dropped(tmp_path: Path) -> None:
    write_voc(tmp_path / "in", photos=6, broken={"p5": b""})
    code, out, errors = invoke(
        "import", "voc", tmp_path / "in", "--out", tmp_path / "o", "--heldout", 2, "--name", "RBC=red blood cell"
    )  # fmt: skip
    assert (code, errors) == (0, "")
    assert "train: 3 photos" in out and "heldout: 2 photos" in out and "dropped: empty_file 1" in out
    texts = {message.text for sample in Dataset.open(tmp_path / "o" / "heldout") for message in sample.messages}
    assert "How many red blood cells are there?" in texts


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--name", "RBC"), "write it as CLASS=NAME"),
        (("--name", "RBX=cell"), "no object is of the class 'RBX'; did you mean 'RBC'?"),
        (("--name", "RBC= "), "needs a name to be called by"),
        (("--heldout", "6"), "6 photos to hold out of 6; choose 0 to 5"),
        (("--heldout", "1", "--split", "x"), "not both"),
        (("--split", "no-such-file"), "the split file cannot be read"),
    ],
)
def test_import_voc_refuses_in_one_line(tmp_path: Path, arguments: tuple[str, ...], problem: str) -> None:
    write_voc(tmp_path / "in", photos=6)
    code, out, errors = invoke("import", "voc", tmp_path / "in", "--out", tmp_path / "o", *arguments)
    assert (code, out) == (2, "")
    assert errors.startswith("error: ") and problem in errors and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_recipe_explain_prints_values_meanings_and_origins(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    code, out, _ = invoke("recipe", "explain", path, "--set", "seed=4")
    assert code == 0
    assert f'purpose = "testing"  # What the run is for, in a sentence; the report opens with it. [{path}:2]' in out
    assert "[--set]" in out


def test_recipe_explain_reads_recipes_that_are_not_of_a_run() -> None:
    code, out, errors = invoke("recipe", "explain", ROOT / "recipes" / "reward-tiny.yaml")
    assert (code, errors) == (0, "") and "pairs.world.per_item = 2  # Most pairs about one picture." in out


def test_an_error_is_one_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, CheckpointError("c/model.safetensors: 3 tensors are missing"))
    code, out, errors = invoke("run", "r.yaml", "--out", "o")
    assert (code, out, errors) == (2, "", "error: c/model.safetensors: 3 tensors are missing\n")
    monkeypatch.setenv("MIMOVL_DEBUG", "1")
    code, _, errors = invoke("run", "r.yaml", "--out", "o")
    assert code == 2 and "Traceback" in errors and errors.endswith("tensors are missing\n")


def test_a_full_disk_is_an_error_not_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, OSError(28, "No space left on device", "runs/tiny"))
    code, _, errors = invoke("run", "r.yaml", "--out", "o")
    assert code == 2 and errors == "error: [Errno 28] No space left on device: 'runs/tiny'\n"


@pytest.mark.parametrize("below", ["", "/runs/new"])
def test_a_file_where_a_folder_is_to_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    fake = ModuleType("mimovl.pipeline.run")
    fake.run = lambda recipe, out, overrides: out.mkdir(parents=True, exist_ok=True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mimovl.pipeline.run", fake)
    code, out, errors = invoke("run", "r.yaml", "--out", f"{file}{below}")
    assert (code, out) == (2, "")
    assert errors == f"error: {file} is a file, where a folder is wanted; choose another path\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--seed", 99999999999999999999),
        ("--seed", -1),
        *(("--shard-gb", size) for size in ("inf", "nan", "1e300", "0")),
    ],
)
def test_init_refuses_a_seed_or_a_size_that_no_file_can_have(tmp_path: Path, option: str, value: object) -> None:
    code, out, errors = invoke("init", "--vision", "v", "--language", "l", "--out", tmp_path / "o", option, value)
    assert (code, out) == (2, "") and f"Invalid value for '{option}'" in errors


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, AssertionError("ours"))
    result = CliRunner().invoke(app, ["run", "r.yaml", "--out", "o"])
    assert isinstance(result.exception, AssertionError)


def test_an_interrupted_run_says_how_to_resume_and_exits_130() -> None:
    program = (
        "import sys, time, types\n"
        "step = types.ModuleType('mimovl.pipeline.run')\n"
        "step.run = lambda *args: (print('working', flush=True), time.sleep(60))\n"
        "sys.modules['mimovl.pipeline.run'] = step\n"
        "from mimovl.cli import main; main()\n"
    )
    process = start("run", "r.yaml", "--out", "o", program=program)
    assert process.stdout is not None and process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130
    assert errors.strip() == "interrupted; run the same command again to resume: finished steps are kept"


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    process = start("recipe", "explain", path)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert errors == ""


def test_a_report_of_no_run_is_refused(tmp_path: Path) -> None:
    code, _, errors = invoke("report", "no-such-run")
    assert code == 2 and "no such run folder" in errors
    code, _, errors = invoke("report", tmp_path)
    assert code == 2 and f"{tmp_path}: holds no recipe.yaml of a run; give the --out of a mimovl run" in errors
    assert not list(tmp_path.iterdir())
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    assert invoke("report", tmp_path)[0] == 0 and (tmp_path / "report.html").is_file()
