"""``mimovl reward train``: a reward model from a checkpoint and pairs, and what it is worth (MiMo-VL §3.2).

    DIR/pairs/        the pairs, where the embedded world makes them
    DIR/metrics.jsonl, DIR/done.json     the training, as of any stage
    DIR/model/        Hugging Face folder, reward_head.safetensors, and reward.json: the map to [0, 1]
    DIR/report.json   accuracy, calibration and taste for length on held-out pairs, with intervals

Killed at any moment the same command goes on. The finished folder is read back and compared: every tensor, and the
scores of held-out pairs, must be those of the model in memory, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mimovl.data import PairFolder, Preference, PreferenceProcessor, Processor, answer_of
from mimovl.errors import CheckpointError, DataError
from mimovl.evaluate.answers import write_json
from mimovl.model import RewardNetwork, load_reward_network
from mimovl.pipeline.progress import Display
from mimovl.pipeline.reward_config import RewardRecipe
from mimovl.pipeline.reward_pairs import PairSplits, open_pairs
from mimovl.pipeline.reward_start import check_start, load_start
from mimovl.pipeline.same_recipe import same_recipe
from mimovl.preference import Judged, report_text, reward_report
from mimovl.recipe import dump_recipe, load_model
from mimovl.reward.calibration import Calibration, fit_calibration
from mimovl.reward.reward_model import (
    CARD_FILE,
    BradleyTerryReward,
    RewardCard,
    differing,
    load_reward_model,
    tokenizer_hash,
)
from mimovl.team import Team, run_team
from mimovl.train import Progress, train_stage
from mimovl.train.checkpoint import is_finished
from mimovl.train.distributed import own_device
from mimovl.train.preference_loss import preference_loss
from mimovl.train.spread import TeamSpread

__all__ = ["judge_pairs", "train_reward_model"]

_TOGETHER = 256
"""Pairs scored between two looks at the clock."""
_COMPARED = 16
"""Held-out pairs whose scores are compared after reading the model back."""


def train_reward_model(recipe_path: Path | str, out: Path | str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Train a reward model, or what is left of it, and report on it.

    Args:
        recipe_path: a YAML file, see ``RewardRecipe``.
        out: its folder.
        overrides: ``a.b=value`` over the file.

    Returns:
        The content of report.json.

    Raises:
        RecipeError: the recipe cannot be read, or ``out`` holds a model of another one.
        UsageError: a folder of pairs is not there.
        DataError: pairs cannot be used; names the pair.
        CheckpointError: the start cannot be used, or what was written is not what was trained.
    """
    loaded = load_model(RewardRecipe, recipe_path, overrides)
    folder = Path(out)
    if not is_finished(folder):
        check_start(loaded.recipe.start)
    folder.mkdir(parents=True, exist_ok=True)
    same_recipe(folder, dump_recipe(loaded))
    return run_team(loaded.recipe.workers, _work, (loaded.recipe, folder))


def _work(team: Team, recipe: RewardRecipe, folder: Path) -> dict[str, Any]:
    """The training as one process of its team sees it; only the leader reports."""
    if not team.leads:
        team.wait()
        _train(recipe, _pairs(recipe, folder, None), folder, None, team)
        return {}
    display = Display()
    with display.show():
        with display.step("pairs") as progress:
            pairs = _pairs(recipe, folder, progress)
        team.wait()
        display.line(
            f"{recipe.name}: {len(pairs.train)} pairs to train on, {len(pairs.calibration)} to calibrate, "
            f"{len(pairs.heldout)} held out"
        )
        with display.step("train") as progress:
            network, processor = _train(recipe, pairs, folder, progress, team)
        with display.step("judge") as progress:
            report = _finish(recipe, network, processor, pairs, folder, progress)
    print(report_text(report))
    return report


def _pairs(recipe: RewardRecipe, folder: Path, progress: Progress | None) -> PairSplits:
    return open_pairs(recipe.pairs, folder / "pairs", seed=recipe.seed, ties=recipe.ties == "keep", progress=progress)


def _train(
    recipe: RewardRecipe, pairs: PairSplits, folder: Path, progress: Progress | None, team: Team
) -> tuple[RewardNetwork, PreferenceProcessor]:
    """The trained network, or the one that was finished before."""
    text_only = recipe.kind == "text"
    device = own_device() if team.size == 1 else torch.device("cpu")  # a team shares the cores
    if is_finished(folder):
        network = load_reward_network(folder / "model", device=device)
        own = Processor.from_files(network.side_files, network.config, where=str(folder / "model"))
    else:
        model, own = load_start(recipe.start, recipe.kind)
        ties = recipe.ties == "keep" and pairs.train.num_ties > 0
        network = RewardNetwork(model, ties=ties, seed=recipe.seed)
    processor = PreferenceProcessor.of(own, text_only=text_only, empty_thought=recipe.empty_thought)
    if not is_finished(folder):
        objective = partial(preference_loss, centre=recipe.centre)
        train_stage(
            network,
            processor,
            pairs.train,
            recipe.stage,
            folder,
            seed=recipe.seed,
            progress=progress,
            spread=TeamSpread(team, device=device),
            objective=objective,
        )
    return network, processor


def _finish(
    recipe: RewardRecipe,
    network: RewardNetwork,
    processor: PreferenceProcessor,
    pairs: PairSplits,
    folder: Path,
    progress: Progress | None,
) -> dict[str, Any]:
    """Fit the map to [0, 1], put it beside the weights, compare what was written, and report."""
    if (folder / "report.json").is_file() and (folder / "model" / CARD_FILE).is_file():
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return report
    model = BradleyTerryReward(network, processor)
    fitted = judge_pairs(model, pairs.calibration, progress)
    calibration = fit_calibration(
        [one.first for one in fitted], [one.second for one in fitted], [one.tie for one in fitted]
    )
    card = RewardCard(recipe.kind, tokenizer_hash(processor), calibration, recipe.empty_thought)
    card.write(folder / "model")
    model.calibration = calibration
    _compare(model, load_reward_model(folder / "model", device=network.device), pairs.heldout, folder / "model")
    judged = judge_pairs(model, pairs.heldout, progress)
    report = {
        "name": recipe.name,
        "kind": recipe.kind,
        "start": recipe.start,
        "trained_on": {"pairs": len(pairs.train), "ties": pairs.train.num_ties if recipe.ties == "keep" else 0},
        **reward_report(judged, calibration.win_probability, seed=recipe.seed),
        "fitted": _as_json(calibration),
    }
    write_json(folder / "report.json", report)
    return report


def judge_pairs(
    model: BradleyTerryReward, pairs: Sequence[Preference], progress: Progress | None = None
) -> list[Judged]:
    """The model's rewards of pairs, with what the report needs to know of each.

    Raises:
        DataError: a reward is not finite: the model diverged.
    """
    judged: list[Judged] = []
    for start in range(0, len(pairs), _TOGETHER):
        some = [pairs[number] for number in range(start, min(start + _TOGETHER, len(pairs)))]
        firsts = model.rewards(some, [answer_of(pair.chosen) for pair in some])
        seconds = model.rewards(some, [answer_of(pair.rejected) for pair in some])
        for pair, first, second in zip(some, firsts, seconds, strict=True):
            if not abs(first) + abs(second) < float("inf"):
                raise DataError(
                    f"pair {pair.id}: its rewards are {first} and {second}; the training diverged: lower its learning "
                    "rates and start again"
                )
            judged.append(
                Judged(
                    id=pair.id,
                    source=pair.source,
                    set=str(pair.meta.get("set") or "pairs"),
                    cluster=_cluster(pair),
                    tie=pair.tie,
                    first=first,
                    second=second,
                    first_length=len(answer_of(pair.chosen)),
                    second_length=len(answer_of(pair.rejected)),
                )
            )
        if progress:
            progress.update(len(judged), len(pairs), "pairs")
    return judged


def _cluster(pair: Preference) -> str:
    """What was drawn independently: the scene, else the pictures, else the prompt."""
    return str(pair.meta.get("scene") or " ".join(sorted(pair.media)) or "\n".join(one.text for one in pair.messages))


def _compare(mine: BradleyTerryReward, read: BradleyTerryReward, pairs: PairFolder, folder: Path) -> None:
    """Refuse a folder that does not give what was trained."""
    if names := differing(mine.network, read.network):
        raise CheckpointError(f"{folder}: read back, {len(names)} tensors are not those that were trained: {names[0]}")
    some = [pairs[number] for number in range(min(_COMPARED, len(pairs)))]
    before, after = (model.score(some, [pair.chosen for pair in some]) for model in (mine, read))
    if before != after:
        raise CheckpointError(f"{folder}: read back, it scores {after[:3]}… where it scored {before[:3]}…")


def _as_json(calibration: Calibration) -> dict[str, Any]:
    return {
        "temperature": calibration.temperature,
        "centre": calibration.centre,
        "tie": calibration.tie,
        "pairs": calibration.pairs,
    }
