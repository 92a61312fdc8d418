"""Reading one table of a ``config.json``: every entry typed, every complaint naming the file and the entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mimovl.errors import CheckpointError

__all__ = ["Section"]


@dataclass(frozen=True)
class Section:
    """A table of a JSON file.

    All readers raise ``CheckpointError`` for an entry that is missing without a default or of the wrong type.
    """

    data: Mapping[str, Any]
    where: str
    """The file, for messages."""
    name: str = ""
    """Dotted path of the table within it, with a final dot."""

    def table(self, key: str) -> Section:
        """A table within this one; empty if absent or null."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(key, "a table", value)
        return Section(value or {}, self.where, f"{self.name}{key}.")

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number", value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number", value)
        return float(value)

    def integers(self, key: str) -> list[int]:
        """A list of whole numbers."""
        value = self._value(key, None)
        if not isinstance(value, list | tuple) or not all(type(item) is int for item in value):
            raise self._wrong(key, "a list of whole numbers", value)
        return list(value)

    def token(self, key: str, fallback: Section, default: int) -> int:
        """A token id, here or in another table; the first one of a list of ids."""
        value = self.data.get(key)
        if value is None:
            value = fallback.data.get(key)
        if isinstance(value, list):
            value = value[0] if value else None
        if value is not None and type(value) is not int:
            raise self._wrong(key, "a token id", value)
        return default if value is None else value

    def only(self, key: str, *supported: Any) -> None:
        """Refuse any other value; None among ``supported`` lets the entry be absent or null."""
        value = self.data.get(key)
        if value not in supported:
            listed = ", ".join(repr(item) for item in supported if item is not None) or "none"
            raise CheckpointError(f"{self.where}: {self.name}{key} is {value!r}; supported: {listed}")

    def _value(self, key: str, default: Any) -> Any:
        value = self.data.get(key)
        if value is None:
            value = default
        if value is None:
            raise CheckpointError(f"{self.where}: {self.name}{key} is missing; copy the whole config.json of the model")
        return value

    def _wrong(self, key: str, expected: str, value: Any) -> CheckpointError:
        return CheckpointError(f"{self.where}: {self.name}{key} must be {expected}, it is {value!r}")
