"""Strict loading of a YAML file into any pydantic model, with overrides, and with errors that say where and what.

    file ─ recipe_yaml ─▶ plain values + lines ─ overrides ─▶ values + origins ─ pydantic, strict ─▶ Loaded

All problems are listed at once, one a line: ``recipes/tiny.yaml:12: train.stpes: unknown key; did you mean 'steps'?``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mimovl.errors import RecipeError
from mimovl.recipe_schema import default_at, fill_section_defaults, models_at
from mimovl.recipe_yaml import KeyPath, read_yaml, read_yaml_file
from mimovl.suggest import nearest

__all__ = ["Loaded", "load_model"]

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Loaded(Generic[ModelT]):
    """A recipe as it takes effect, and where each value was written."""

    recipe: ModelT
    path: str
    origins: Mapping[str, str]
    """Dotted path → ``recipes/tiny.yaml:12`` or ``--set``; a path that is absent holds its default."""

    def origin(self, dotted: str) -> str:
        """Where the value at ``dotted`` comes from: file and line, ``--set``, both, or ``default``."""
        own = self.origins.get(dotted)
        inside = {origin for path, origin in self.origins.items() if path.startswith(dotted + ".")}
        if own is None:
            return "--set" if inside == {"--set"} else "default"
        return f"{own}, --set" if own != "--set" and "--set" in inside else own


def load_model(model_cls: type[ModelT], path: Path | str, overrides: Sequence[str] = ()) -> Loaded[ModelT]:
    """Read ``path`` as a ``model_cls``, after applying ``a.b=value`` overrides in order.

    An override's value is YAML; list items are named by index or by their ``name`` (``stages.projector.steps=10``).
    Overriding inside a section that the file leaves out changes that one value of the section's default.

    Raises:
        RecipeError: Lists every unknown key, wrong type, missing key and bad override with its place.
    """
    name = str(path)
    tree = read_yaml_file(path)
    draft = _Draft(model_cls, tree.value, {keys: f"{name}:{line}" for keys, line in tree.lines.items()})
    draft.problems += [f"{name}:{line}: {message}" for line, message in tree.problems]
    if tree.value is None:
        if not draft.problems and not overrides:
            required = [key for key, info in model_cls.model_fields.items() if info.is_required()]
            needs = f"it needs: {', '.join(required)}" if required else "every key has a default; write one to change"
            raise RecipeError(f"{name} is empty; {needs}")
        draft.values = {}
    elif not isinstance(tree.value, dict):
        raise RecipeError(f"{name}:1: a recipe is a mapping (key: value), found {_describe(tree.value)}")
    draft.values = fill_section_defaults(model_cls, draft.values)
    for override in overrides:
        draft.override(override)
    recipe = draft.validate()
    if draft.problems or recipe is None:
        head = "" if len(draft.problems) == 1 else f"{name} has {len(draft.problems)} problems:\n  "
        raise RecipeError(head + "\n  ".join(draft.problems))
    origins = {".".join(map(str, keys)): origin for keys, origin in draft.origins.items()}
    return Loaded(recipe=recipe, path=name, origins=origins)


@dataclass
class _Draft(Generic[ModelT]):
    """Values on their way to a model."""

    model_cls: type[ModelT]
    values: Any
    origins: dict[KeyPath, str]
    problems: list[str] = field(default_factory=list)

    def where(self, keys: KeyPath) -> str:
        """Where the value at ``keys`` was written, or the nearest section around it."""
        while keys and keys not in self.origins:
            keys = keys[:-1]
        return self.origins.get(keys, "default")

    def override(self, text: str) -> None:
        dotted, equals, value_text = text.partition("=")
        if not equals or not all(dotted.split(".")):
            self.problems.append(f"--set {text}: write it as path=value, for example --set train.steps=100")
            return
        try:
            tree = read_yaml(value_text, f"--set {dotted}")
        except RecipeError as error:
            self.problems.append(str(error))
            return
        self.problems += [f"--set {dotted}: {message}" for _, message in tree.problems]
        keys: KeyPath = ()
        node = self.values
        words = dotted.strip().split(".")
        for depth, word in enumerate(words):
            key, problem = self.find(node, keys, word)
            if problem:
                self.problems.append(f"--set {dotted}: {problem}")
                return
            keys = (*keys, key)
            if depth == len(words) - 1:
                node[key] = tree.value
            else:
                if isinstance(node, dict) and node.get(key) is None:
                    node[key] = default_at(self.model_cls, self.values, keys)
                    self.origins[keys] = "--set"
                node = node[key]
        self.origins = {at: origin for at, origin in self.origins.items() if at[: len(keys)] != keys}
        self.origins |= {(*keys, *inner): "--set" for inner in tree.lines or {(): 1}}

    def find(self, node: Any, keys: KeyPath, word: str) -> tuple[str | int, str]:
        """The key or index that ``word`` means in ``node``, or what is wrong with it."""
        if isinstance(node, dict):
            return word, ""
        here = ".".join(map(str, keys))
        if not isinstance(node, list):
            return word, f"{here} is a value ({_describe(node)}), it has no {word!r} inside"
        if word.isdecimal():
            if int(word) < len(node):
                return int(word), ""
            return word, f"{here} has {len(node)} items, so the last is {here}.{len(node) - 1}, not {word}"
        names = [str(item.get("name", "")) if isinstance(item, dict) else "" for item in node]
        if word in names:
            return names.index(word), ""
        known = [name for name in names if name]
        return word, f"no item of {here} is named {word!r}{nearest(word, known)} ({here} has {len(node)} items)"

    def validate(self) -> ModelT | None:
        try:
            # Through JSON, because strict mode there still takes a list for a tuple and a text for a path or enum.
            return self.model_cls.model_validate_json(json.dumps(self.values), strict=True)
        except ValidationError as error:
            found: dict[KeyPath, list[ErrorDetails]] = {}
            for details in error.errors(include_url=False):
                if details["type"] == "default_factory_not_called":
                    continue  # it waits for values that are wrong themselves, and listed
                found.setdefault(self.locate(details), []).append(details)
            for keys in sorted(found, key=self.line):
                inner = any(other[: len(keys)] == keys and other != keys for other in found)
                if inner and all(details["type"] == "too_short" for details in found[keys]):
                    continue  # it only lacks the items whose own problems are listed
                dotted = ".".join(map(str, keys))
                place = f"{self.where(keys)}: {dotted}" if dotted else self.where(keys)
                self.problems += [f"{place}: {message}" for message in self.messages(found[keys], keys)]
            return None

    def locate(self, details: ErrorDetails) -> KeyPath:
        """Pydantic's location without the names of union members it puts in between."""
        keys: KeyPath = ()
        node = self.values
        last = len(details["loc"]) - 1
        for index, key in enumerate(details["loc"]):
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                node = node[key]
            elif index < last or details["type"] != "missing":
                continue
            keys = (*keys, key)
        return keys

    def value_at(self, keys: KeyPath) -> Any:
        node = self.values
        for key in keys:
            node = node[key]
        return node

    def messages(self, errors: Sequence[ErrorDetails], keys: KeyPath) -> list[str]:
        """What is wrong at ``keys``; the alternatives of a union become one sentence."""
        expected: list[str] = []
        others: list[str] = []
        for details in errors:
            kind, text = details["type"], details["msg"]
            if kind == "extra_forbidden":
                valid = [key for model in self.models(keys[:-1]) for key in model.model_fields]
                listed = ", ".join(dict.fromkeys(valid))
                others.append(f"unknown key{nearest(str(keys[-1]), valid) or '.'} Valid keys: {listed}")
            elif kind == "missing":
                infos = [model.model_fields.get(str(keys[-1])) for model in self.models(keys[:-1])]
                meaning = next((info.description for info in infos if info and info.description), "")
                others.append("required key is missing" + (f" ({' '.join(meaning.split())})" if meaning else ""))
            elif kind in ("value_error", "assertion_error"):
                others.append(text.partition(", ")[2] or text)
            elif kind in ("too_short", "too_long"):
                context = details.get("ctx", {})
                bound = "at least" if kind == "too_short" else "at most"
                length = context.get("min_length", context.get("max_length"))
                others.append(f"expected {bound} {length} items, found {context.get('actual_length')}")
            elif text.startswith("Input should be "):
                expected.append(_plain(text.removeprefix("Input should be ")))
            else:
                others.append(text[:1].lower() + text[1:])
        if expected:
            value = self.value_at(keys)
            choices = re.findall(r"'([^']*)'", " ".join(expected))
            hint = nearest(value, choices) if isinstance(value, str) else ""
            others.insert(0, f"expected {' or '.join(dict.fromkeys(expected))}, found {_describe(value)}{hint}")
        return list(dict.fromkeys(others))

    def models(self, keys: KeyPath) -> list[type[BaseModel]]:
        return models_at(self.model_cls, self.values, keys)

    def line(self, keys: KeyPath) -> tuple[bool, int]:
        """Sorts problems: by line, those of overrides last."""
        line = self.where(keys).rpartition(":")[2]
        return not line.isdecimal(), int(line) if line.isdecimal() else 0


_PLAIN = {
    "a valid list": "a list",
    "a valid array": "a list",
    "a valid tuple": "a list",
    "an object": "a section (key: value lines)",
    "a valid dictionary": "a section (key: value lines)",
    "a valid string": "a text",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
}
"""Pydantic's words for types → those of somebody editing YAML."""


def _plain(expected: str) -> str:
    for theirs, ours in _PLAIN.items():
        expected = expected.replace(theirs, ours)
    return expected


def _describe(value: Any) -> str:
    """A value as somebody who wrote it in YAML would recognise it."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a section"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[-1]
