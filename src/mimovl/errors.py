"""Every error a user of mimovl can meet, in one tree.

    MimovlError
    ├── RecipeError        a recipe file: unknown key, wrong type, impossible value (names path, line, nearest key)
    ├── DataError          a sample, image, video, annotation or dataset that cannot be used
    │   └── MediaError     one image or video: corrupt, empty, too large
    ├── CheckpointError    a checkpoint folder: missing file, missing or misshapen tensor, other architecture
    ├── TrainingError      a training that must not go on as it is: a loss or gradient that is no number
    ├── MissingExtraError  an optional library is absent (says the exact install line)
    ├── Stopped            somebody asked the process to end, and it has saved its work
    └── UsageError         a command asked for something that is not there (a folder, a file, an id)

All but ``MissingExtraError`` and ``Stopped`` are ``ValueError``s: the user can mend them. A message names the file,
the field, both numbers where two disagree, and the cure. The command line prints it as one line,
never a traceback. A defect of our own is an ``assert``; a bad rollout is data, not an error.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CheckpointError",
    "DataError",
    "MediaError",
    "MimovlError",
    "MissingExtraError",
    "RecipeError",
    "Stopped",
    "TrainingError",
    "UsageError",
    "plain_warning",
]


class MimovlError(Exception):
    """Base of all errors this package raises on purpose. Pickled whole, so that one raised in a worker arrives."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, vars(self))


class RecipeError(MimovlError, ValueError):
    """A recipe cannot be read as written."""


class DataError(MimovlError, ValueError):
    """A sample, annotation or dataset cannot be used."""


class MediaError(DataError):
    """One image or video cannot be used; ``reason`` is a short stable word for counting drops."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class CheckpointError(MimovlError, ValueError):
    """A checkpoint folder is incomplete or does not fit the model."""


class TrainingError(MimovlError, ValueError):
    """A training must not go on as it is."""


class UsageError(MimovlError, ValueError):
    """A command was pointed at something that does not exist or cannot be used."""


class Stopped(MimovlError):
    """Work ended early because somebody asked for it; what was done is saved."""


class MissingExtraError(MimovlError, ImportError):
    """An optional library is not installed."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}, which is not installed; run: pip install 'mimovl[{extra}]'")


def plain_warning(message: Warning | str, category: object, *_: object, **__: object) -> str:
    """A warning as a person on the command line reads it (for ``warnings.formatwarning``)."""
    return f"warning: {message}\n"


def _restored(kind: type[MimovlError], arguments: tuple[Any, ...], facts: dict[str, Any]) -> MimovlError:
    """An error as it was, made without its constructor, which may want more than the message."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    vars(error).update(facts)
    return error
