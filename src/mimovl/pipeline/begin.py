"""A recipe read, checked, and kept with its run, whose folder is then one process's, before anything is made."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mimovl.errors import RecipeError, UsageError
from mimovl.model.hf_checkpoint import read_config
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.same_recipe import same_recipe
from mimovl.pipeline.sources import check_sources
from mimovl.recipe import Recipe, dump_recipe, load_recipe
from mimovl.train import check_trackers

__all__ = ["alone_in", "begin"]

LOCK_FILE = ".lock"


def begin(
    recipe_path: Path | str,
    out: Path | str,
    overrides: Sequence[str] = (),
    check: Callable[[Recipe], None] | None = None,
    held: ExitStack | None = None,
) -> tuple[Recipe, Path]:
    """Read and check a recipe and keep it with the run.

    Args:
        recipe_path: the YAML file.
        out: folder of the run.
        overrides: ``a.b=value`` over the file.
        check: refuses a recipe for reasons of its own.
        held: the folder is this process's (:func:`alone_in`) until this is closed; unset where another one leads.

    Returns:
        The recipe and the run's folder.

    Raises:
        RecipeError: the recipe cannot be read, or ``out`` holds a run of another one.
        CheckpointError: the checkpoint it starts from cannot be used.
        MissingExtraError: it asks for a tracker that is not installed.
        UsageError: it starts from the embedded base, and this installation has none, or another process works in
            ``out``.
    """
    loaded = load_recipe(recipe_path, overrides)
    recipe, folder = loaded.recipe, Path(out)
    _check_start(recipe)
    if check:
        check(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    if held:
        held.enter_context(alone_in(folder))
    same_recipe(folder, dump_recipe(loaded))
    return recipe, folder


_OWN: set[Path] = set()
"""Folders this process holds."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder, until the end or this process's, however that comes.

    On a file system without locks nobody is kept out.

    Raises:
        UsageError: another process works in it.
    """
    place = folder.resolve()
    if place in _OWN:
        yield
        return
    lock = None
    try:
        lock = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        assert lock is not None
        os.close(lock)
        raise UsageError(
            f"{folder}: another process is working on this run; wait for its end, or end it, and start the same "
            "command again, or choose another --out"
        ) from None
    except OSError:
        pass
    _OWN.add(place)
    try:
        yield
    finally:
        _OWN.discard(place)
        if lock is not None:
            os.close(lock)


def _check_start(recipe: Recipe) -> None:
    """Refuse what would stop the run when its data is made or its stages are trained."""
    check_trackers(recipe.tracking)
    if not recipe.stages and not recipe.rl:
        return
    check_sources(recipe.data.sources or {})
    if not recipe.base:
        read_config(embedded_base().folder if recipe.start == "embedded" else recipe.start)
    data = recipe.data
    if missing := next((folder for folder in data.prompt_folders or () if not Path(folder).is_dir()), None):
        raise RecipeError(f"data.prompt_folders: {missing}: no such dataset; give the folder of one, made by mimovl")
    if recipe.rl and not (data.prompt_folders or data.imported or any(data.prompts.values())):
        raise RecipeError(
            f"{recipe.rl.name} has no prompts; give data.prompts items of sources with the tasks it names, or "
            "data.prompt_folders datasets that have them"
        )
