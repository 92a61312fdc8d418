import json
import shutil
from pathlib import Path

import pytest
import yaml

from mimovl.data import PairFolder, write_pairs
from mimovl.errors import CheckpointError, DataError, RecipeError
from mimovl.model import HEAD_FILE
from mimovl.pipeline import reward_train
from mimovl.pipeline.reward_train import train_reward_model
from mimovl.reward import load_reward_model
from mimovl.reward.reward_model import CARD_FILE, differing
from tests.pipeline.reward_recipe import recipe
from tests.preference_pairs import about_the_world, preference, renamed

CLOCK = ("tokens_per_second", "images_per_second", "mfu", "peak", "data_wait", "seconds", "memory_mb")


def write(path: Path, values) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_start: Path):
    """A recipe, its finished folder and its report; not to be changed."""
    folder = tmp_path_factory.mktemp("reward")
    path = write(folder / "reward.yaml", recipe(tiny_start))
    return path, folder / "out", train_reward_model(path, folder / "out")


def losses(out: Path):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]


def test_it_leaves_a_model_that_scores_and_a_report(trained) -> None:
    _, out, report = trained
    assert {file.name for file in out.iterdir()} >= {"model", "report.json", "pairs", "metrics.jsonl", "recipe.yaml"}
    assert json.loads((out / "report.json").read_text()) == report
    for name in ("accuracy", "always_longer", "gain_over_longer"):
        low, high = report[name]["interval"]
        assert low <= report[name]["value"] <= high
    assert report["calibration"]["reliability"] and report["length"]["taste_for_length"]["n"]
    assert set(report["by_set"]) == {"fair", "longer_wrong"}
    model = load_reward_model(out / "model")
    heldout = PairFolder(out / "pairs" / "heldout")
    some = [heldout[number] for number in range(4)]
    assert all(0 < score < 1 for score in model.score(some, [pair.chosen for pair in some]))
    assert model.calibration.pairs == report["fitted"]["pairs"] == len(PairFolder(out / "pairs" / "calibration"))
    assert model.network.reward.log_tie is not None


def test_a_finished_one_is_left_alone(trained) -> None:
    path, out, report = trained
    before = {file: file.stat().st_mtime_ns for file in (out / "model").iterdir()}
    assert train_reward_model(path, out) == report
    assert {file: file.stat().st_mtime_ns for file in (out / "model").iterdir()} == before


def test_cut_off_before_its_scores_were_fitted_it_fits_them_and_gives_the_same(trained, tmp_path: Path) -> None:
    path, out, report = trained
    copy = shutil.copytree(out, tmp_path / "out")
    (copy / "report.json").unlink()
    (copy / "model" / CARD_FILE).unlink()
    assert train_reward_model(path, copy) == report
    assert not differing(load_reward_model(out / "model").network, load_reward_model(copy / "model").network)


def test_cut_off_in_training_it_goes_on_to_the_very_same_model(trained, tmp_path: Path, monkeypatch) -> None:
    path, out, report = trained

    class Cut(Exception):
        pass

    class Stop:
        def update(self, done, total, text):
            if done == 2 and text.startswith("loss"):
                raise Cut

    plain = reward_train.train_stage
    monkeypatch.setattr(reward_train, "train_stage", lambda *a, **o: plain(*a, **{**o, "progress": Stop()}))
    with pytest.raises(Cut):
        train_reward_model(path, tmp_path / "out")
    monkeypatch.undo()
    assert not (tmp_path / "out" / "model").exists() and (tmp_path / "out" / "resume" / "resume.pt").is_file()
    assert train_reward_model(path, tmp_path / "out") == report
    assert losses(tmp_path / "out") == losses(out)
    assert (tmp_path / "out" / "model" / HEAD_FILE).read_bytes() == (out / "model" / HEAD_FILE).read_bytes()


def test_a_folder_that_does_not_give_back_what_was_trained_is_refused(trained, tmp_path: Path, monkeypatch) -> None:
    path, out, _ = trained
    copy = shutil.copytree(out, tmp_path / "out")
    (copy / "model" / CARD_FILE).unlink()
    plain = reward_train.load_reward_model

    def damaged(folder, **options):
        model = plain(folder, **options)
        model.network.reward.score.weight.data[0, 0] += 1
        return model

    monkeypatch.setattr(reward_train, "load_reward_model", damaged)
    with pytest.raises(CheckpointError, match="read back, 1 tensors are not those that were trained: reward.score"):
        train_reward_model(path, copy)


def test_without_its_start_nothing_is_made(tmp_path: Path) -> None:
    path = write(tmp_path / "reward.yaml", recipe("none/at/all", workers=2))
    with pytest.raises(CheckpointError, match="start none/at/all: no such checkpoint folder"):
        train_reward_model(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_recipe_is_not_mixed_in(trained) -> None:
    path, out, _ = trained
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        train_reward_model(path, out, ["centre=0.5"])


# ---------------------------------------------------------------- pairs of one's own


def folders(path: Path, train, *, calibration=None, heldout=None) -> dict[str, str]:
    text = renamed(about_the_world("world/arithmetic", 6), "x")
    for name, pairs in (("train", train), ("calibration", calibration or text), ("heldout", heldout or text)):
        (path / name).mkdir()
        write_pairs(path / name, pairs)
    return {name: str(path / name) for name in ("train", "calibration", "heldout")}


def text_recipe(start: Path, pairs, **changes):
    values = recipe(start, kind="text", pairs=pairs, **changes)
    values["stage"] |= {
        "train": ["language", "reward"],
        "learning_rate": {"language": 1e-3, "reward": 2e-3},
        "mixture": {"world/arithmetic": 1},
        "steps": 2,
    }
    return values


def test_a_text_reward_model_is_trained_on_a_folder_of_pairs_without_ties(tmp_path: Path, tiny_start: Path) -> None:
    pairs = folders(tmp_path, about_the_world("world/arithmetic", 9, ties=True))
    path = write(tmp_path / "text.yaml", text_recipe(tiny_start, pairs, ties="drop"))
    report = train_reward_model(path, tmp_path / "out")
    assert report["trained_on"] == {"pairs": 6, "ties": 0} and report["kind"] == "text"
    model = load_reward_model(tmp_path / "out" / "model")
    assert model.network.reward.log_tie is None and model.processor.text_only
    assert model.calibration.tie == 0


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (preference(id="same", chosen="1", rejected="1", source="world/arithmetic"), "pair same: chosen and rejected"),
        (about_the_world("world/counting", 1)[0], "shows 1 pictures or clips, which a text reward model does not see"),
    ],
)
def test_a_pair_that_cannot_be_used_stops_it_by_its_name(tmp_path: Path, tiny_start: Path, pair, message) -> None:
    values = text_recipe(tiny_start, folders(tmp_path, [pair]))
    values["stage"]["mixture"] = {pair.source: 1}
    with pytest.raises(DataError, match=message):
        train_reward_model(write(tmp_path / "text.yaml", values), tmp_path / "out")
