"""Exact equality of mathematical expressions, decided by our own arithmetic: no ``eval``, no library parser, bounded.

    text ── tokens ──▶ parser ──▶ Node ── exact ──▶ a quotient of sums of monomials ──┬──▶ equal ──▶ True, False, None
                                   └──── ball ────▶ a number with a bound on its error ┘

Proved here: rational numbers of any size, roots, i, π, e, logarithms and trigonometric values of constants,
polynomials and quotients of them, powers with symbolic exponents. What is not proved either way is None, and somebody
slower may be asked.
"""

from mimovl.verify.algebra.equal import constant_order, constant_value, equal, equal_nodes, rational_value
from mimovl.verify.algebra.nodes import Node, NotAnExpression
from mimovl.verify.algebra.parser import parse_expression
from mimovl.verify.algebra.tokens import normalise

__all__ = [
    "Node",
    "NotAnExpression",
    "constant_order",
    "constant_value",
    "equal",
    "equal_nodes",
    "normalise",
    "parse_expression",
    "rational_value",
]
