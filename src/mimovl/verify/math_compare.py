"""Do two forms of answer mean the same? True and False are decided, None is not."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from mimovl.verify.algebra import Node, equal_nodes
from mimovl.verify.algebra.evaluate import evaluate
from mimovl.verify.algebra.exact import Arithmetic, Sum, Undecided
from mimovl.verify.algebra.nodes import call, number, variables
from mimovl.verify.math_forms import Form, Group, Matrix, Quantity, Ratio, Region, Relation, Words
from mimovl.verify.math_regions import point, same_region
from mimovl.verify.units import Unit

__all__ = ["compare_forms", "compare_readings"]


def compare_readings(gold: Sequence[Form], given: Sequence[Form]) -> bool | None:
    """Whether any reading of the answer means what any reading of the gold means."""
    axes = [{form.name for form in forms if isinstance(form, Relation)} & {"x", "y", "z"} for forms in (gold, given)]
    if axes[0] and axes[1] and axes[0] != axes[1]:  # the lines x = 5 and y = 5; elsewhere a name is only a name
        gold = [form for form in gold if isinstance(form, Relation)]
        given = [form for form in given if isinstance(form, Relation)]
    undecided = False
    for one in gold:
        for two in given:
            same = compare_forms(one, two)
            if same:
                return True
            undecided = undecided or same is None
    return None if undecided else False


def compare_forms(gold: Form, given: Form) -> bool | None:
    """Compare two forms; the gold may leave out a unit or a name that the answer has, and the other way round."""
    if isinstance(gold, Words) or isinstance(given, Words):
        return _words(gold, given)
    if isinstance(gold, Quantity) and isinstance(given, Quantity):
        return _quantities(gold, given)
    if isinstance(gold, Region) or isinstance(given, Region):
        return _regions(gold, given)
    if isinstance(gold, Relation) or isinstance(given, Relation):
        return _relations(gold, given)
    if isinstance(gold, Ratio) or isinstance(given, Ratio):
        return _ratios(gold, given)
    if isinstance(gold, Matrix) or isinstance(given, Matrix):
        for form in (gold, given):
            if isinstance(form, Quantity) and variables(form.node):
                return None  # a letter may be the name of a matrix
        return _matrices(gold, given)
    if isinstance(gold, Group) and isinstance(given, Group):
        return _groups(gold, given)
    for group, other in ((gold, given), (given, gold)):  # one answer against a group of one
        if isinstance(group, Group):
            return compare_forms(group.items[0], other) if len(group.items) == 1 else False
    return False


def _words(gold: Form, given: Form) -> bool | None:
    if isinstance(gold, Words) and isinstance(given, Words):
        if gold.text == given.text:
            return True
        return False if gold.known and given.known else None
    words, other = (gold, given) if isinstance(gold, Words) else (given, gold)
    assert isinstance(words, Words)
    if words.text == "infinitely many" and isinstance(other, Quantity):
        return other.node == Node("name", name="inf")
    return False if words.known else None


# ---------------------------------------------------------------- quantities


def _quantities(gold: Quantity, given: Quantity) -> bool | None:
    if gold.unit is None and given.unit is None:
        return equal_nodes(gold.node, given.node)
    if _is_numeral(gold.unit) or _is_numeral(given.unit):
        return _numerals(gold, given)
    if gold.unit is None or given.unit is None:
        return _one_unit(gold, given)
    if gold.unit.dimension == given.unit.dimension:
        return equal_nodes(_in_base(gold), _in_base(given))
    if _angle(gold.unit) and _angle(given.unit):
        return equal_nodes(_radians(gold), _radians(given))
    if gold.unit.counted and given.unit.counted:  # 12 students and 12 people: words are not judged here
        return None if equal_nodes(gold.node, given.node) is not False else False
    for unit in (gold.unit, given.unit):
        if unit.counted and not unit.dimension:  # a measure word without a noun
            return equal_nodes(_in_base(gold), _in_base(given))
    if gold.unit.counted or given.unit.counted:
        return None if equal_nodes(gold.node, given.node) is not False else False
    return False


def _one_unit(gold: Quantity, given: Quantity) -> bool | None:
    """One side leaves its unit out. A percentage is a hundredth, degrees may be radians; else the number is meant."""
    unit = gold.unit or given.unit
    assert unit is not None
    if not unit.dimension:
        return equal_nodes(_in_base(gold), _in_base(given))
    same = equal_nodes(gold.node, given.node)
    if not same and unit.dimension == (("degree", 1),):
        return equal_nodes(_radians(gold), _radians(given)) or same
    return same


def _is_numeral(unit: Unit | None) -> bool:
    return unit is not None and bool(unit.dimension) and unit.dimension[0][0] == "numeral"


def _numerals(gold: Quantity, given: Quantity) -> bool | None:
    """1011_2 against another numeral, by value, or against bare digits, which may leave the base out."""
    if not (_is_numeral(gold.unit) and _is_numeral(given.unit)):
        numeral, bare = (gold, given) if _is_numeral(gold.unit) else (given, gold)
        value = bare.node.value
        if bare.unit or bare.node.op != "number" or value.denominator != 1:
            return False
        assert numeral.unit is not None  # its factor holds the digits, read as hexadecimal
        return int(str(value), 16) == numeral.unit.factor or (numeral is given and numeral.node == bare.node)
    return equal_nodes(gold.node, given.node)


def _in_base(quantity: Quantity) -> Node:
    factor = quantity.unit.factor if quantity.unit else Fraction(1)
    return quantity.node if factor == 1 else call("mul", quantity.node, number(factor))


def _angle(unit: Unit) -> bool:
    return unit.dimension in ((("degree", 1),), (("radian", 1),))


def _radians(quantity: Quantity) -> Node:
    in_degrees = quantity.unit is not None and quantity.unit.dimension == (("degree", 1),)
    return call("degree", quantity.node) if in_degrees else quantity.node


# ---------------------------------------------------------------- groups


def _groups(gold: Group, given: Group) -> bool | None:
    if gold.names or given.names:
        return _named_groups(gold, given)
    kinds = {gold.kind, given.kind}
    if kinds == {"tuple", "set"}:
        return False
    if "tuple" in kinds:
        return _ordered(gold.items, given.items)
    one: Sequence[Form] = gold.items
    two: Sequence[Form] = given.items
    if "set" in kinds:
        one, two = _distinct(one), _distinct(two)
    return _unordered(one, two)


def _named_groups(gold: Group, given: Group) -> bool | None:
    if gold.names and given.names:
        if set(gold.names) == set(given.names):
            order = [given.names.index(name) for name in gold.names]
            return _ordered(gold.items, [given.items[index] for index in order])
        return _ordered(gold.items, given.items) or None
    named, other = (gold, given) if gold.names else (given, gold)
    if other.kind == "set":
        return False
    alphabetical = [item for _, item in sorted(zip(named.names, named.items, strict=True), key=lambda pair: pair[0])]
    return _ordered(alphabetical, other.items) or _ordered(named.items, other.items)


def _ordered(gold: Sequence[Form], given: Sequence[Form]) -> bool | None:
    if len(gold) != len(given):
        return False
    results = [compare_forms(one, two) for one, two in zip(gold, given, strict=True)]
    if False in results:
        return False
    return None if None in results else True


def _unordered(gold: Sequence[Form], given: Sequence[Form]) -> bool | None:
    if len(gold) != len(given):
        return False
    left = list(given)
    undecided = False
    for one in gold:
        for index, two in enumerate(left):
            same = compare_forms(one, two)
            if same:
                del left[index]
                break
            undecided = undecided or same is None
        else:
            return None if undecided else False
    return True


def _distinct(items: Sequence[Form]) -> list[Form]:
    found: list[Form] = []
    for item in items:
        if not any(compare_forms(item, other) for other in found):
            found.append(item)
    return found


# ---------------------------------------------------------------- regions, relations, ratios, matrices


def _regions(gold: Form, given: Form) -> bool | None:
    if isinstance(gold, Region) and isinstance(given, Region):
        return same_region(gold.pieces, given.pieces)
    region, other = (gold, given) if isinstance(gold, Region) else (given, gold)
    assert isinstance(region, Region)
    if isinstance(other, Group) and other.kind in ("set", "list"):
        points = [point(item.node) for item in other.items if isinstance(item, Quantity)]
        if len(points) == len(other.items):
            return same_region(region.pieces, points)
    if isinstance(other, Quantity) and other.unit is None:
        return same_region(region.pieces, [point(other.node)])
    return None if isinstance(other, Relation) else False


def _relations(gold: Form, given: Form) -> bool | None:
    if not isinstance(gold, Relation) or not isinstance(given, Relation):
        return False  # "y = 2x + 1" has its right side as another reading
    if gold.sign != given.sign:
        return False
    if gold.name and given.name and gold.name != given.name and not (variables(gold.right) | variables(given.right)):
        names_of_axes = {gold.name, given.name} <= {"x", "y", "z"}
        return False if names_of_axes else equal_nodes(gold.right, given.right)
    work = Arithmetic()
    try:
        one = evaluate(call("add", gold.left, call("neg", gold.right)), work).num
        two = evaluate(call("add", given.left, call("neg", given.right)), work).num
    except (Undecided, ZeroDivisionError):
        return None
    factor = _factor(one, two)
    if factor is None:
        return False if _degree(one) == _degree(two) and gold.sign == "=" else None
    return True if gold.sign == "=" or factor > 0 else False


def _factor(one: Sum, two: Sum) -> Fraction | None:
    """The rational number by which one sum is the other, if there is one."""
    if not one or one.keys() != two.keys():
        return None
    shared = next(iter(one))
    factor = one[shared] / two[shared]
    return factor if all(one[m] == factor * two[m] for m in one) else None


def _degree(terms: Sum) -> Fraction:
    return max((sum((e for g, e in m if g[0] == "v"), Fraction(0)) for m in terms), default=Fraction(0))


def _ratios(gold: Form, given: Form) -> bool | None:
    sides: list[Sequence[Node]] = []
    for form in (gold, given):
        if isinstance(form, Ratio):
            sides.append(form.items)
        elif isinstance(form, Quantity) and form.unit is None:
            sides.append((form.node, number(1)))
        else:
            return False
    one, two = sides
    if len(one) != len(two):
        return False
    results = [
        equal_nodes(call("mul", one[0], right), call("mul", left, two[0]))
        for left, right in zip(one[1:], two[1:], strict=True)
    ]
    if False in results:
        return False
    return None if None in results else True


def _matrices(gold: Form, given: Form) -> bool | None:
    rows = [_rows(form) for form in (gold, given)]
    if rows[0] is None or rows[1] is None:
        return False
    one, two = rows[0], rows[1]
    if len(one) != len(two) or len(one[0]) != len(two[0]):
        flat = [node for row in one for node in row], [node for row in two for node in row]
        vectors = min(len(one), len(one[0])) == min(len(two), len(two[0])) == 1
        if not vectors or len(flat[0]) != len(flat[1]) or (isinstance(gold, Matrix) and isinstance(given, Matrix)):
            return False
        one, two = (flat[0],), (flat[1],)
    results = [
        equal_nodes(left, right)
        for row, other in zip(one, two, strict=True)
        for left, right in zip(row, other, strict=True)
    ]
    if False in results:
        return False
    return None if None in results else True


def _rows(form: Form) -> Sequence[Sequence[Node]] | None:
    if isinstance(form, Matrix):
        return form.rows
    if isinstance(form, Quantity) and form.unit is None:
        return ((form.node,),)
    if isinstance(form, Group) and form.kind == "tuple":
        plain = [item.node for item in form.items if isinstance(item, Quantity)]
        if len(plain) == len(form.items):
            return (tuple(plain),)
        inner = [_rows(item) for item in form.items]
        if all(row is not None and len(row) == 1 for row in inner):
            return [row[0] for row in inner if row is not None]
    return None
