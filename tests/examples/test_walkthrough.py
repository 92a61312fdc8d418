"""The walkthrough is run as a reader would run it, and its story is true."""

import importlib.util
import math
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "examples" / "walkthrough.py"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The figures of one run, its folder and what it printed."""
    spec = importlib.util.spec_from_file_location("walkthrough", FILE)
    walkthrough = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(walkthrough)
    folder = tmp_path_factory.mktemp("walkthrough")
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("builtins.print", lambda *words: printed.append(" ".join(map(str, words))))
        figures = walkthrough.main(folder)
    return figures, folder, "\n".join(printed)


@pytest.mark.slow
def test_the_story_is_told_whole_and_its_figures_hold(told) -> None:
    figures, folder, printed = told
    assert [f"\n{number}. " in printed for number in range(1, 9)] == [True] * 8
    assert figures["dropped"] >= 1 and "because its picture looks like a held-out one" in printed
    assert figures["density"] > 0.9
    for stage in ("1-projector", "2-general"):
        assert figures[f"{stage}: last"] < 0.9 * figures[f"{stage}: first"]
        assert (folder / stage / "done.json").is_file()
    assert figures["gap"] < 1e-5
    assert figures["objective after"] > figures["objective before"]
    assert all(map(math.isfinite, figures.values()))
    assert figures["same"] == 1 and "the same to the bit" in printed


@pytest.mark.slow
def test_transformers_reads_the_folder_it_leaves_with_every_key_accounted_for(told) -> None:
    from tests.parity.referee import hugging_face

    _, folder, _ = told
    assert hugging_face(folder / "model").num_parameters() > 1e6


def test_every_file_it_sends_the_reader_to_is_there() -> None:
    text = FILE.read_text(encoding="utf-8")
    named = {word.strip('(),."') for word in text.split() if word.strip('(),."').endswith((".py", "/"))}
    lost = []
    for name in named:
        places = [ROOT / name, ROOT / "src" / "mimovl" / name, *(ROOT / "src" / "mimovl").glob(f"*/{name}")]
        if not any(place.exists() for place in places):
            lost.append(name)
    assert len(named) > 10 and not lost, lost


def test_it_is_read_in_one_sitting() -> None:
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 165
