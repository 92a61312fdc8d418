r"""Text → matrix: TeX environments with any brackets, nested lists, a name or a factor before it; determinants."""

from __future__ import annotations

import re

from mimovl.verify.algebra import Node, NotAnExpression, normalise, parse_expression
from mimovl.verify.algebra.nodes import call
from mimovl.verify.math_forms import Form, Matrix, Quantity
from mimovl.verify.math_text import split_top

__all__ = ["read_matrix"]

MAX_ENTRIES = 60

_MATRIX = re.compile(
    r"\\begin\s*\{(?P<kind>[pbvBV]?matrix|array|cases|aligned)\}(?:\s*\{[^{}]*\})?(?P<body>.*)\\end\s*\{(?P=kind)\}",
    re.DOTALL,
)


_NAMED_MATRIX = re.compile(r"[A-Za-z][\w^{}\-' ]{0,12}=\s*(?=\\begin|\[\[)")


def read_matrix(text: str) -> list[Form] | str:
    """The matrix that is the whole text, or its determinant; none: an empty list.

    A system of equations in ``cases`` comes back as text, its lines separated by commas.
    """
    text = _NAMED_MATRIX.sub("", text, count=1)
    if text.startswith("[[") and text.endswith("]]"):
        return _matrix_of([split_top(row.strip()[1:-1], (",",)) for row in split_top(text[1:-1], (",",))])
    inner = re.sub(r"\\(?:left|right)\s*", "", text) if r"\begin" in text else text
    for left, right in (("(", ")"), ("[", "]")):
        if inner.startswith(left + "\\begin") and inner.endswith("}" + right):
            inner = inner[1:-1]
    start = inner.find(r"\begin")
    match = _MATRIX.fullmatch(inner, start) if start >= 0 else None
    if match is None:
        return []
    lines = [line for line in re.split(r"\\\\(?:\s*\[[^\]]*\])?", match["body"]) if line.strip()]
    if match["kind"] in ("cases", "aligned"):
        if start or len(lines) < 2:
            return []
        return ", ".join(line.replace("&", " ") for line in lines)
    return _matrix_of([line.split("&") for line in lines], match["kind"], inner[:start])


def _matrix_of(cells: list[list[str]], kind: str = "matrix", factor: str = "") -> list[Form]:
    try:
        rows = tuple(tuple(parse_expression(normalise(cell)) for cell in row) for row in cells)
        scale = parse_expression(normalise(re.sub(r"\\(?:cdot|times)\s*$", "", factor))) if factor.strip() else None
    except NotAnExpression:
        return []
    if not rows or len({len(row) for row in rows}) != 1 or len(rows) * len(rows[0]) > MAX_ENTRIES:
        return []
    if scale is not None:
        rows = tuple(tuple(call("mul", scale, entry) for entry in row) for row in rows)
    if kind == "vmatrix":
        return [Quantity(_determinant(rows))] if len(rows) == len(rows[0]) <= 3 and scale is None else []
    return [Matrix(rows)]


def _determinant(rows: tuple[tuple[Node, ...], ...]) -> Node:
    if len(rows) == 1:
        return rows[0][0]
    terms: list[Node] = []
    for column, entry in enumerate(rows[0]):
        rest = tuple(row[:column] + row[column + 1 :] for row in rows[1:])
        term = call("mul", entry, _determinant(rest))
        terms.append(call("neg", term) if column % 2 else term)
    return Node("add", tuple(terms))
