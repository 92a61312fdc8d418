"""The embedded base: the tiny recipe's starting parts, shipped as package data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mimovl.errors import UsageError

__all__ = ["ASSETS", "EmbeddedBase", "embedded_base"]

ASSETS = Path(__file__).parent.parent / "assets" / "tiny-base"


@dataclass(frozen=True)
class EmbeddedBase:
    """Where the base checkpoint lies, and the recipe that made it."""

    folder: Path
    recipe_hash: str
    """Hash of recipes/tiny-base.yaml as it was run."""


def embedded_base(folder: Path = ASSETS) -> EmbeddedBase:
    """The shipped base.

    Raises:
        UsageError: the package was built without it; says how to make it.
    """
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{folder}: the embedded base is missing from this installation; reinstall mimovl, or make it with: "
            "mimovl run recipes/tiny-base.yaml --out runs/tiny-base (and set start to runs/tiny-base/base/model)"
        )
    about = json.loads((folder / "base.json").read_text(encoding="utf-8"))
    return EmbeddedBase(folder, about["recipe_hash"])
