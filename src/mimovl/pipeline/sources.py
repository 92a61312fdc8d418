"""The folders a recipe's training samples come from (``data.sources``), looked for before a run makes anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mimovl.errors import UsageError

__all__ = ["check_sources"]


def check_sources(folders: Mapping[str, str]) -> None:
    """Refuse folders that are not there; what is in them is the loader's to judge.

    Raises:
        UsageError: names the first of them with the recipe's field, and the cure.
    """
    missing = [name for name, folder in folders.items() if not Path(folder).is_dir()]
    if not missing:
        return
    first, *others = missing
    nor = f", nor are those of {', '.join(others[:3])}" if others else ""
    nor += f" and {len(others) - 3} more" if len(others) > 3 else ""
    raise UsageError(
        f"data.sources.{first}: {folders[first]}: no such folder of samples{nor}; put the datasets there, or say where "
        f"they are with --set data.sources.{first}=FOLDER"
    )
