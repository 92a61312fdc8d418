"""The effective recipe kept with what it makes, so that no folder holds a mixture of two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimovl.errors import RecipeError
from mimovl.recipe_yaml import KeyPath, read_yaml

__all__ = ["same_recipe"]


def same_recipe(folder: Path, text: str) -> None:
    """Keep the effective recipe with the run, and refuse to mix two.

    Who watches, what is done about a step that went wrong, and on how many processes, with how much memory and how
    often saved it goes on may change: a run that stopped for that must go on.

    Raises:
        RecipeError: the folder holds a run of another recipe; names the first line that differs.
    """
    path = folder / "recipe.yaml"
    if path.is_file():
        texts = path.read_text(encoding="utf-8"), text
        trees = [read_yaml(words, str(path)) for words in texts]
        old, new = (dict(_written(tree.value)) for tree in trees)
        changed = [keys for keys in {**old, **new} if old.get(keys) != new.get(keys)]
        if not changed:
            return
        if differ := [keys for keys in changed if not _may_change(keys)]:
            places = [tree.lines.get(differ[0], 0) for tree in trees]
            had, has = (
                words.splitlines()[place - 1].strip() if place else "(nothing)"
                for words, place in zip(texts, places, strict=True)
            )
            where = f"{path}:{places[0]}" if places[0] else str(path)
            raise RecipeError(
                f"{folder} holds a run of another recipe: {where} says {had!r}, this one says {has!r}; "
                "choose another --out, or delete the folder to start again"
            )
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


_MAY_CHANGE = {"spikes", "save_seconds", "keep", "activation_checkpointing", "compile", "reshard_after_forward"}
_OF_LOADING = {"workers", "ahead"}


def _may_change(keys: KeyPath) -> bool:
    """Whether a value decides nothing of what a run makes."""
    if keys[0] in ("tracking", "workers") or not _MAY_CHANGE.isdisjoint(map(str, keys)):
        return True
    return len(keys) > 1 and keys[-2] == "loading" and keys[-1] in _OF_LOADING


def _written(value: Any, keys: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """All that is set, each value under its path: what a newer version can do and nobody asked for is no difference."""
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _written(inner, (*keys, key))
    elif value is not None:
        yield keys, value
