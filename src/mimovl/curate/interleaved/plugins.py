"""A part of the user's own, named in a recipe as ``package.module:function``."""

from __future__ import annotations

import importlib
from typing import Any

from mimovl.errors import RecipeError

__all__ = ["load_plugin"]


def load_plugin(name: str, *, field: str) -> Any:
    """The object a recipe names.

    Args:
        name: ``package.module:name``.
        field: the recipe's field, for errors.

    Raises:
        RecipeError: it is no such name, or cannot be imported; says which part failed.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise RecipeError(f"{field}: {name!r} names no function; write package.module:function")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise RecipeError(
            f"{field}: cannot import {module_name}: {error}; install it, or put it on PYTHONPATH"
        ) from None
    found = getattr(module, attribute, None)
    if not callable(found):
        raise RecipeError(f"{field}: {module_name} has no function {attribute!r}")
    return found
