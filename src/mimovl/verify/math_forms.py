"""The forms of a mathematical answer: quantity, tuple, set, region of the line, relation, matrix, ratio, words."""

from __future__ import annotations

from typing import NamedTuple

from mimovl.verify.algebra import Node
from mimovl.verify.math_regions import Piece
from mimovl.verify.units import Unit

__all__ = ["Form", "Group", "Matrix", "Quantity", "Ratio", "Region", "Relation", "Words"]


class Quantity(NamedTuple):
    """An expression and its unit, if one is written."""

    node: Node
    unit: Unit | None = None


class Group(NamedTuple):
    """Several answers. ``kind`` is tuple (ordered), set or list (both without order, a list keeps repetitions).

    ``names`` holds the variables of "x=1, y=2", in the order of the items.
    """

    kind: str
    items: tuple[Form, ...]
    names: tuple[str, ...] = ()


class Region(NamedTuple):
    """A set of real numbers as pieces with their ends."""

    pieces: tuple[Piece, ...]


class Relation(NamedTuple):
    """``left sign right`` with sign =, < or <= (the others are turned around); ``name`` if the left is only a name."""

    sign: str
    left: Node
    right: Node
    name: str = ""


class Matrix(NamedTuple):
    """Rows of entries."""

    rows: tuple[tuple[Node, ...], ...]


class Ratio(NamedTuple):
    """a : b : c."""

    items: tuple[Node, ...]


class Words(NamedTuple):
    """Text. ``known`` if it is a word with a fixed meaning, such as yes or undefined."""

    text: str
    known: bool = False


Form = Quantity | Group | Region | Relation | Matrix | Ratio | Words
