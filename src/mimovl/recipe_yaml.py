"""YAML for recipes: plain values, and the line each of them stands on.

Departs from ``yaml.safe_load`` where that surprises people: scalars follow the YAML 1.2 core schema (``1e-3`` is a
number; ``no``, ``on``, ``12:30`` and dates are texts), a key written twice is refused, every value knows its line,
and aliases cannot blow up. Merge keys (``<<``) went with YAML 1.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mimovl.errors import RecipeError

__all__ = ["KeyPath", "YamlTree", "dump_yaml", "read_yaml", "read_yaml_file"]

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys of mappings, indices of lists."""

_MAX_NODES = 100_000
"""More values than this is an alias bomb, not a recipe."""

_SCALARS: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
)
"""The YAML 1.2 core schema (§10.3.2): tag, pattern, first characters."""

_PREFIX = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    """Text as PyYAML writes it, but quoted and escaped where it holds a Unicode line break, which would be folded."""
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)

for _tag, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _starts = [*_first, ""] if _tag == "null" else list(_first)
        _class.add_implicit_resolver(_PREFIX + _tag, re.compile(f"^(?:{_pattern})$"), _starts)


@dataclass
class YamlTree:
    """A document as plain values, the line of each, and what is wrong with it short of a syntax error."""

    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    """Line (from 1) of each key or list item."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(line, what is wrong): duplicate keys, unknown tags, endless aliases."""


def read_yaml_file(path: Path | str) -> YamlTree:
    """The one document in a UTF-8 file.

    Raises:
        RecipeError: The file is missing, a folder, not text or not YAML; names path, line and column.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file; give the path of a recipe, for example recipes/tiny.yaml") from None
    except IsADirectoryError:
        raise RecipeError(f"{path} is a folder; give the path of a YAML file in it") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text (byte {error.start}); save the recipe as UTF-8") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    return read_yaml(text, str(path))


def read_yaml(text: str, name: str) -> YamlTree:
    """The one document in ``text``; ``name`` stands before the line in an error.

    Raises:
        RecipeError: The text is not YAML; names line and column.
    """
    loader = _Loader("")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        tree = YamlTree()
        _Reader(tree).read(node, ())
        return tree
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        context = f" ({error.context})" if error.context else ""
        raise RecipeError(f"{where}: not valid YAML: {error.problem or 'unreadable'}{context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RecipeError(f"{name}:{line}: not valid YAML: a control character ({error.character!r})") from None
    except RecursionError:
        raise RecipeError(f"{name}: nested too deeply to be a recipe") from None
    finally:
        loader.dispose()


def dump_yaml(value: Any) -> str:
    """Plain values as YAML text that ``read_yaml`` reads back equal."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text.removesuffix("...\n")


class _Reader:
    """Turns composed nodes into values, noting lines and problems on the way."""

    def __init__(self, tree: YamlTree) -> None:
        self.tree = tree
        self.open: set[int] = set()
        self.count = 0

    def read(self, node: yaml.Node | None, path: KeyPath) -> None:
        self.tree.value = self.convert(node, path)

    def problem(self, node: yaml.Node, message: str) -> None:
        self.tree.problems.append((node.start_mark.line + 1, message))

    def convert(self, node: yaml.Node | None, path: KeyPath) -> Any:
        if node is None:
            return None
        self.tree.lines.setdefault(path, node.start_mark.line + 1)
        self.count += 1
        if self.count > _MAX_NODES:
            raise yaml.MarkedYAMLError(problem=f"more than {_MAX_NODES} values", problem_mark=node.start_mark)
        if id(node) in self.open:
            self.problem(node, "an alias that contains itself")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        self.open.add(id(node))
        value = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)
        self.open.discard(id(node))
        return value

    def sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        if node.tag != _PREFIX + "seq":
            self.problem(node, f"tag {node.tag!r} has no meaning in a recipe")
        return [self.convert(item, (*path, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        if node.tag != _PREFIX + "map":
            self.problem(node, f"tag {node.tag!r} has no meaning in a recipe")
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(key_node, "a key must be one word, not a list or mapping")
                continue
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in values:
                dotted = ".".join(map(str, (*path, key)))
                self.problem(key_node, f"{dotted}: written twice (first on line {lines[key]}); keep one")
            lines[key] = line
            self.tree.lines[(*path, key)] = line
            values[key] = self.convert(value_node, (*path, key))
        return values

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text, tag = node.value, node.tag.removeprefix(_PREFIX)
        try:
            if tag == "null":
                return None
            if tag == "bool":
                return {"true": True, "false": False}[text.lower()]
            if tag == "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            if tag == "float":
                return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        except (ValueError, KeyError):
            self.problem(node, f"{text[:40]!r} is no {tag}")
            return text
        if tag != "str":
            self.problem(node, f"tag {node.tag!r} has no meaning in a recipe")
        return text
