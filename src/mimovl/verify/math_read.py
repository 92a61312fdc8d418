r"""Text of a mathematical answer → its forms.

``read_forms`` gives every sensible reading of a text, since (0,1) is a point and an interval, and 100,200 a number and
a list; ``math_compare`` looks for two readings that agree. Nothing is computed here beyond what tells forms apart.
"""

from __future__ import annotations

import re

from mimovl.verify.algebra import Node, NotAnExpression, equal_nodes, normalise, parse_expression
from mimovl.verify.algebra.nodes import variables
from mimovl.verify.math_forms import Form, Group, Quantity, Ratio, Region, Relation, Words
from mimovl.verify.math_matrix import read_matrix
from mimovl.verify.math_quantity import read_quantities
from mimovl.verify.math_regions import ALL, NONE, Piece, complement, intersection, point, solve_linear
from mimovl.verify.math_text import WORDS, split_top, strip_group, unwrap_text

__all__ = ["read_forms"]

MAX_DEPTH = 6
MAX_ITEMS = 60


def read_forms(text: str) -> list[Form]:
    """All readings of an answer, the likeliest first; a text that is nothing else is ``Words``."""
    readings = _read(unwrap_text(text), 0)
    return readings or [Words(" ".join(text.casefold().split()))]


def _read(text: str, depth: int) -> list[Form]:
    text = strip_group(text.strip().rstrip(".;,。；，").strip())
    if not text or depth > MAX_DEPTH:
        return []
    known = _known_words(text)
    if known is not None:
        return [known]
    for reader in (_matrix, _parameters, _union, _several, _chain, _set, _bracket, _ratio, _plus_minus):
        forms = reader(text, depth)
        if forms:
            return forms
    return [*read_quantities(text)]


def _known_words(text: str) -> Form | None:
    meaning = WORDS.get(" ".join(text.casefold().split()))
    if meaning is None:
        return None
    if meaning == "empty":
        return Region(NONE)
    return Region(ALL) if meaning == "all" else Words(meaning, known=True)


# ---------------------------------------------------------------- matrices, unions, lists


def _matrix(text: str, depth: int) -> list[Form]:
    read = read_matrix(text)
    return _several(read, depth) if isinstance(read, str) else read


_WHOLE_NUMBERS = re.compile(
    r"[,;]?\s*\(?\s*(?:where|其中|for)?\s*(?P<name>[a-zA-Z])\s*\\in\s*(?:\\mathbb\s*\{?\s*[ZN]\s*\}?|\\Z|Z|N)[_^+*]?\s*\)?$"
    r"|[,;]?\s*\(?\s*(?:where|for)?\s*(?P<word>[a-zA-Z]) is (?:an|any) integer\s*\)?$"
)


def _parameters(text: str, depth: int) -> list[Form]:
    """X = 2kπ, k ∈ ℤ: the parameter gets one name whatever it is called."""
    match = _WHOLE_NUMBERS.search(text)
    if match is None or match.start() == 0:
        return []
    name = match["name"] or match["word"]
    rest = re.sub(rf"(?<![A-Za-z\\]){name}(?![A-Za-z])", " k ", text[: match.start()])
    return _read(rest, depth + 1)


def _union(text: str, depth: int) -> list[Form]:
    parts = split_top(text, (r"\cup",))
    if len(parts) > 1:
        pieces: list[Piece] = []
        for part in parts:
            region = _region_of(_read(part, depth + 1))
            if region is None:
                return []
            pieces.extend(region.pieces)
        return [Region(tuple(pieces))]
    parts = split_top(text, (r"\setminus", r"\backslash"))
    if len(parts) == 2:
        whole, less = (_region_of(_read(part, depth + 1)) for part in parts)
        removed = complement(less.pieces) if less else None
        both = intersection(whole.pieces, removed) if whole and removed is not None else None
        return [Region(both)] if both is not None else []
    return []


def _region_of(forms: list[Form]) -> Region | None:
    for form in forms:
        if isinstance(form, Region):
            return form
    for form in forms:
        if isinstance(form, Group) and form.kind == "set":
            pieces = tuple(point(item.node) for item in form.items if isinstance(item, Quantity))
            return Region(pieces) if len(pieces) == len(form.items) else None
    return None


def _several(text: str, depth: int) -> list[Form]:
    either = split_top(text, (" or ", "或者", "或"))
    if len(either) > 1 and all(part.strip() for part in either):
        regions = [_region_of(_read(part, depth + 1)) for part in either]
        if all(region is not None and region.pieces and _is_relation(part)
               for region, part in zip(regions, either, strict=True)):  # fmt: skip
            return [Region(tuple(piece for region in regions if region for piece in region.pieces))]
    parts = [part for piece in either for part in _list_parts(piece)]
    parts = [part.strip() for part in parts]
    if len(parts) < 2 or len(parts) > MAX_ITEMS or not all(parts):
        return []
    if len(either) == 1 and all(_is_inequality(part) for part in parts):
        joined = _all_conditions(parts, depth)
        if joined:
            return [joined]
    names, items = [], []
    for part in parts:
        name, value = _assignment(part)
        forms = _read(value, depth + 1)
        if not forms or (isinstance(forms[0], Relation) and not name):
            return []
        names.append(name)
        items.append(forms[0] if not isinstance(forms[0], Group) or forms[0].kind != "list" else forms[0])
    flat = _flatten(items)
    readings: list[Form] = []
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:\s*[^\d,].*)?", text):
        readings.extend(read_quantities(text))  # 100,200 is a number first
    distinct = {name for name in names if name}
    if len(distinct) == len(names) and len(flat) == len(items):
        readings.append(Group("tuple", tuple(items), tuple(names)))
    elif len(distinct) <= 1:
        readings.append(Group("list", tuple(flat)))
    return readings


def _flatten(items: list[Form]) -> list[Form]:
    flat: list[Form] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Group) and item.kind == "list" else (item,))
    return flat


def _list_parts(text: str) -> list[str]:
    parts = split_top(text, (" and ", "以及", "和", "及", "且", r"\land ", ";"))
    marks = (", ",) if re.search(r"\d,\d{3}(?!\d)", text) and ", " in text else (",",)
    parts = [part for piece in parts for part in split_top(piece, marks)]
    return parts if len(parts) == 1 or parts[-1].strip() else parts[:-1]


_SIGN = re.compile(r"\\(?:le|ge|ne|in|approx|equiv|notin)(?![A-Za-z])|[<>=]")


def _is_relation(text: str) -> bool:
    return _SIGN.search(text) is not None


def _is_inequality(text: str) -> bool:
    return re.search(r"\\(?:le|ge|ne|in)(?![A-Za-z])|[<>]", text) is not None


def _all_conditions(parts: list[str], depth: int) -> Form | None:
    pieces: tuple[Piece, ...] | None = ALL
    every: list[Piece] = []
    for part in parts:
        region = _region_of(_read(part, depth + 1))
        if region is None or pieces is None:
            return None
        pieces = intersection(pieces, region.pieces)
        every.extend(region.pieces)
    if pieces is None:
        return None
    return Region(pieces or tuple(every))  # "x<1, x>3" can only be meant as either


# ---------------------------------------------------------------- relations

_NAME = re.compile(
    r"(?:\\(?:angle|triangle|overline|vec|overrightarrow|max|min|deg|det|dim|operatorname|lvert|log|sin|cos|tan|frac"
    r"|[A-Za-z]+)\s*|[A-Za-z]\w*|[\u4e00-\u9fff]+|['_^(){},\s]|\\rvert|\||\d(?=[A-Za-z})_])|(?<=[_{A-Za-z(])\d+)+"
)


def _assignment(text: str) -> tuple[str, str]:
    """Split "x = 5" into a name and a value; no name where the left side is more than a name."""
    parts = split_top(text, ("=",))
    if len(parts) < 2:
        return "", text
    name = " ".join(parts[0].split())
    return (name, parts[-1]) if _is_name(name) else ("", text)


def _is_name(text: str) -> bool:
    """Whether a left side names something: x, f(x), ∠ABC, S_{ABC}, 面积, "the area"."""
    text = text.strip()
    if not text or len(text) > 60 or _NAME.fullmatch(text) is None:
        return False
    try:
        node = parse_expression(normalise(text))
    except NotAnExpression:
        return True  # words
    return node.op == "name" or (node.op == "mul" and _is_call(text)) or text.isupper()


def _is_call(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z]'*(?:_\{?\w+\}?)?\s*\([A-Za-z0-9, ]+\)", text) is not None


def _chain(text: str, depth: int) -> list[Form]:
    text = re.sub(r"^(?:for\s+)?(?:all|any|every)\s+(?=[a-z]\b)", "", text)
    signs = [match[0] for match in _SIGN.finditer(text)]
    if not signs:
        return []
    about = split_top(text, (r"\approx",))
    if len(about) > 1:  # an exact value and its decimals are one answer given twice
        return [form for part in reversed(about) if part.strip() for form in _read(part, depth + 1)]
    parts = split_top(text, (r"\le", r"\ge", r"\ne", r"\in", "<", ">", "="))
    if len(parts) != len(signs) + 1:
        return []  # a sign inside brackets
    parts = [part.strip() for part in parts]
    if "\\in" in signs:
        return _read(parts[-1], depth + 1) if len(parts) == 2 and _is_name(parts[0]) else []
    if set(signs) == {"="}:
        return _equation(parts, depth)
    try:
        nodes = [parse_expression(normalise(part)) for part in parts]
    except NotAnExpression:
        return []
    return _inequality(nodes, signs)


_SYMBOL = re.compile(r"[ACP]_\{?\w+\}?\^\{?\w+\}?(?:_\{?\w+\}?)?|\\frac\s*\{\s*d\w*\s*\}\s*\{\s*d\w+\s*\}")
"""Left sides that are names though they look like expressions: a permutation, a derivative."""


def _equation(parts: list[str], depth: int) -> list[Form]:
    readings: list[Form] = []
    named = _is_name(parts[0]) or not parts[0]
    if named or len(parts) > 2 or _SYMBOL.fullmatch(parts[0]):
        readings.extend(_read(parts[-1], depth + 1))
    try:
        left, right = (parse_expression(normalise(part)) for part in (parts[0], parts[-1]))
    except NotAnExpression:
        return readings
    if len(parts) > 2 and not variables(left):
        return readings
    if not readings and equal_nodes(left, right):
        readings.extend(_read(parts[-1], depth + 1))  # an identity that ends in the answer
    relation = Relation("=", left, right, name=" ".join(parts[0].split()) if named else "")
    if not readings and not variables(left) and not variables(right):
        return _read(parts[-1], depth + 1)  # 2+3=5 concludes in 5
    return [*readings, relation]


def _inequality(nodes: list[Node], signs: list[str]) -> list[Form]:
    pieces: tuple[Piece, ...] | None = ALL
    for left, right, sign in zip(nodes, nodes[1:], signs, strict=False):
        solved = solve_linear(left, right, sign)
        pieces = intersection(pieces, solved) if pieces is not None and solved is not None else None
    names = frozenset().union(*(variables(node) for node in nodes))
    if pieces is not None and len(names) == 1:
        return [Region(pieces)]
    if len(nodes) == 2 and signs[0] in ("<", ">", "\\le", "\\ge"):
        left, right = nodes if signs[0] in ("<", "\\le") else nodes[::-1]
        return [Relation("<" if signs[0] in "<>" else "<=", left, right)]
    if len(nodes) == 3 and {"<", "\\le"}.issuperset(signs) and nodes[1].op == "name":
        return [Region((Piece(nodes[0], signs[0] == "\\le", nodes[2], signs[1] == "\\le"),))]  # a < x < b
    return []


# ---------------------------------------------------------------- brackets


def _set(text: str, depth: int) -> list[Form]:
    if not (text.startswith(r"\{") and text.endswith(r"\}")):
        return []
    inner = text[2:-2].strip()
    if not inner:
        return [Region(NONE)]
    built = split_top(inner, (r"\mid", "|", ":"))
    if len(built) == 2:
        plain_name = re.fullmatch(r"\s*[a-zA-Z]\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?)?\s*", built[0])
        return _read(built[1], depth + 1) if plain_name else []
    parts = split_top(inner, (",", ";"))
    if len(parts) > MAX_ITEMS:
        return []
    items = [_read(part, depth + 1) for part in parts]
    if not all(items):
        return []
    return [Group("set", tuple(_flatten([forms[0] for forms in items])))]


def _bracket(text: str, depth: int) -> list[Form]:
    inner_text = text
    if text.startswith(r"\langle") and text.endswith(r"\rangle"):
        inner_text = "(" + text[7:-7] + ")"
    if re.match(r"[A-Z]'?\s*\([^()]*,", inner_text):
        inner_text = inner_text[inner_text.index("(") :]  # the point P(3,4)
    if inner_text[0] not in "([" or inner_text[-1] not in ")]" or len(inner_text) < 3:
        return []
    inner = inner_text[1:-1]
    parts = split_top(inner, (",", ";"))
    if len(parts) < 2 or len(parts) > MAX_ITEMS or not _closes_at_end(inner_text):
        return []
    items = [_read(part, depth + 1) for part in parts]
    if not all(items):
        return []
    first = [forms[0] for forms in items]
    readings: list[Form] = []
    if len(first) == 2:
        low, high = first
        if isinstance(low, Quantity) and isinstance(high, Quantity) and not low.unit and not high.unit:
            ends = inner_text[0] == "[", inner_text[-1] == "]"
            readings.append(Region((Piece(low.node, ends[0], high.node, ends[1]),)))
            if not any(ends):
                readings.insert(0, Group("tuple", tuple(first)))
            return readings
    return [Group("tuple", tuple(first))]


def _closes_at_end(text: str) -> bool:
    """Whether the first bracket is closed by the last character, as in (1,2) and not in (1)+(2)."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return index == len(text) - 1
    return False


def _ratio(text: str, depth: int) -> list[Form]:
    parts = split_top(text, (r"\colon", ":", "∶", " to ", "比"))
    if len(parts) < 2 or len(parts) > 8:
        return []
    try:
        return [Ratio(tuple(parse_expression(normalise(part)) for part in parts))]
    except NotAnExpression:
        return []


def _plus_minus(text: str, depth: int) -> list[Form]:
    if r"\pm" not in text and r"\mp" not in text:
        return []
    both = []
    for upper, lower in (("+", "-"), ("-", "+")):
        forms = _read(re.sub(r"\\mp(?![A-Za-z])", lower, re.sub(r"\\pm(?![A-Za-z])", upper, text)), depth + 1)
        if not forms:
            return []
        both.append(forms[0])
    return [Group("list", tuple(both))]
