"""Files of a source: what a path in a recipe means, in an order that is the same everywhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mimovl.errors import DataError

__all__ = ["files_of", "short_name"]


def files_of(path: str, suffixes: Collection[str], what: str) -> list[Path]:
    """The file, or all files below the folder, whose names end so.

    Args:
        path: of a file, a folder, or a pattern with ``*``.
        suffixes: endings, lower case, such as ``.jsonl`` or ``.jsonl.gz``.
        what: what they hold, for errors.

    Raises:
        DataError: there is none; says what was looked for.
    """
    root = Path(path)
    if root.is_file():
        return [root]
    if root.is_dir():
        found = [file for file in root.rglob("*") if file.name.lower().endswith(tuple(suffixes))]
        found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(root).parts)]
    elif any(mark in path for mark in "*?["):
        anchor = Path(root.anchor) if root.is_absolute() else Path()
        found = list(anchor.glob(str(root.relative_to(root.anchor)) if root.is_absolute() else path))
    else:
        raise DataError(f"{path}: no such file or folder; give where the {what} are")
    found = sorted((file for file in found if file.is_file()), key=lambda file: file.as_posix())
    if not found:
        raise DataError(f"{path} holds no {what} ({', '.join(sorted(suffixes))})")
    return found


def short_name(file: Path, path: str) -> str:
    """A file's name below the path of the recipe, with which ids and units begin."""
    root = Path(path)
    try:
        relative = file.relative_to(root).as_posix()
    except ValueError:
        return file.as_posix()
    return relative if relative != "." else file.name
