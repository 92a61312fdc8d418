"""What steps may ask for, where a curation is run from Python without models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mimovl.errors import RecipeError
from mimovl.suggest import nearest
from mimovl.types import Generate

__all__ = ["PlainTools"]


class PlainTools:
    """Satisfies ``step.Tools``.

    Args:
        cache: folder for what is dear to make again.
        seed: the recipe's.
        models: what makes each model; a model is made when it is first asked for.
    """

    def __init__(self, cache: Path, seed: int = 0, models: dict[str, Callable[[], Generate]] | None = None) -> None:
        self._cache, self._seed, self._models = Path(cache), seed, models or {}
        self._made: dict[str, Generate] = {}

    def generate(self, name: str) -> Generate:
        """The model of that name.

        Raises:
            RecipeError: there is none; names those there are.
        """
        if name not in self._models:
            known = ", ".join(sorted(self._models)) or "none"
            raise RecipeError(
                f"models: no model is named {name!r}{nearest(name, list(self._models))}; there is: {known}"
            )
        if name not in self._made:
            self._made[name] = self._models[name]()
        return self._made[name]

    @property
    def seed(self) -> int:
        """The recipe's."""
        return self._seed

    @property
    def cache(self) -> Path:
        """A folder, made when asked for."""
        self._cache.mkdir(parents=True, exist_ok=True)
        return self._cache
