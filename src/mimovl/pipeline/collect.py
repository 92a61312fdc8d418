"""``mimovl preference collect``: the models of a file, loaded when they are asked, and what they prefer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

from mimovl.data import Processor, open_folder
from mimovl.errors import DataError, UsageError
from mimovl.generate import Engine
from mimovl.model import read_config
from mimovl.pipeline.collect_config import CollectRecipe, ModelSource
from mimovl.pipeline.evaluate import checkpoint_fingerprint, load_to_answer
from mimovl.pipeline.progress import Display
from mimovl.preference import collect_preferences
from mimovl.preference.collect import CollectSettings
from mimovl.recipe import load_model
from mimovl.reward.service_config import load_object
from mimovl.types import Completion, Generate, Request, Sample, SamplingParams

__all__ = ["LazyModel", "collect", "read_prompts"]


class LazyModel:
    """A model that is loaded when it is first asked, so that one after the other takes memory.

    Args:
        source: where it comes from.
        field: named in errors.

    Raises:
        CheckpointError: its checkpoint folder is not there.
    """

    def __init__(self, source: ModelSource, field: str) -> None:
        self.source = source
        self.field = field
        self._model: Generate | None = None
        if source.checkpoint:
            read_config(source.checkpoint)

    @property
    def fingerprint(self) -> str:
        """What identifies it: its checkpoint's content, or the call that makes it."""
        if self.source.checkpoint:
            return checkpoint_fingerprint(Path(self.source.checkpoint))
        return json.dumps([self.source.load, self.source.arguments], sort_keys=True, default=str)

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """One list of completions for each request, in order.

        Raises:
            UsageError: what ``load`` names is not there, or cannot answer.
        """
        if self._model is None:
            self._model = self._load()
        return self._model.generate(requests)

    def _load(self) -> Generate:
        if path := self.source.checkpoint:
            return Engine(load_to_answer(path), Processor.load(path))
        model = load_object(self.source.load, f"{self.field}.load")(**self.source.arguments)
        if not callable(getattr(model, "generate", None)):
            raise UsageError(
                f"{self.field}: {self.source.load} gave {type(model).__name__}, which has no method generate"
            )
        return cast(Generate, model)


def collect(recipe_path: Path | str, out: Path | str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Collect preferences as a file says, or what is left of them.

    Args:
        recipe_path: a YAML file, see ``CollectRecipe``.
        out: folder to make.
        overrides: ``a.b=value`` over the file.

    Returns:
        The content of its summary.json.

    Raises:
        RecipeError: the file cannot be read as written.
        UsageError, DataError, CheckpointError: as ``collect_preferences``, or a model or the prompts are not there.
    """
    recipe = load_model(CollectRecipe, recipe_path, overrides).recipe
    generators = {name: LazyModel(source, f"generators.{name}") for name, source in recipe.generators.items()}
    ranker = LazyModel(recipe.ranker, "ranker")
    prompts = read_prompts(recipe.prompts, recipe.limit)
    answers = SamplingParams(recipe.temperature, recipe.top_p, recipe.max_tokens, recipe.seed)
    settings = CollectSettings(
        samples=recipe.samples,
        pairs_per_prompt=recipe.pairs_per_prompt,
        sampling=answers,
        ranking=SamplingParams(max_tokens=recipe.ranking_tokens),
        prompt=recipe.question,
    )
    about = json.dumps([{name: model.fingerprint for name, model in generators.items()}, ranker.fingerprint])
    display = Display()
    with display.show(), display.step("preferences") as progress:
        return collect_preferences(prompts, generators, ranker, out, settings, about=about, progress=progress.update)


def read_prompts(path: Path | str, limit: int | None = None) -> list[Sample]:
    """The conversations of a folder up to the user's last turn.

    Raises:
        UsageError: there is no such folder.
        DataError: a sample has no user's turn, or the folder cannot be read; names it.
    """
    folder = open_folder(Path(path))
    found = []
    for sample in islice((folder[number] for number in range(len(folder))), limit):
        turns = [number for number, message in enumerate(sample.messages) if message.role == "user"]
        if not turns:
            raise DataError(f"{path}: sample {sample.id} has no turn of the user, so nothing can be asked")
        messages = sample.messages[: turns[-1] + 1]
        shown = {part.media for message in messages for part in message.content if part.media}
        media = {key: value for key, value in sample.media.items() if key in shown}
        found.append(replace(sample, messages=messages, media=media))
    return found
