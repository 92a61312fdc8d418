r"""Tokens → tree, by recursive descent over a grammar of our own.

    sum      := product (("+" | "-") product)*
    product  := signed (("*" | "/") signed | power)*              juxtaposed factors multiply
    signed   := ("+" | "-") signed | power
    power    := postfix ("^" signed-group)?
    postfix  := atom ("!" | "%" | "°")*
    atom     := number | mixed number | name | "(" sum ")" | "|" sum "|" | \frac{}{} | \sqrt[]{} | \sin … | …

An argument without brackets reaches as far as TeX readers take it: \sin 2x is sin(2x), \sin x \cos x a product.
"""

from __future__ import annotations

from mimovl.verify.algebra.nodes import Node, NotAnExpression, call, number
from mimovl.verify.algebra.tokens import FUNCTIONS, GREEK, Token, tokens

__all__ = ["parse_expression"]

MAX_CHARS = 1000
MAX_DEPTH = 40

_END = Token("end", "")
_CLOSERS = {"(": ")", "{": "}", "[": "]"}
_FENCES = {r"\lvert": (r"\rvert", "abs"), r"\lfloor": (r"\rfloor", "floor"), r"\lceil": (r"\rceil", "ceil")}
_ARGUMENT_COMMANDS = {r"\frac", r"\sqrt", r"\pi", r"\binom"} | {"\\" + name for name in GREEK}


def parse_expression(text: str, *, grouped: bool = True) -> Node:
    """Read a whole normalised text as one expression.

    Raises:
        NotAnExpression: it is none, or exceeds the bounds of length and nesting.
    """
    if len(text) > MAX_CHARS:
        raise NotAnExpression
    parser = _Parser(tokens(text, grouped=grouped))
    node = parser.sum(0)
    if parser.next is not _END:
        raise NotAnExpression
    return node


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self.tokens = [*found, _END, _END, _END]
        self.position = 0
        self.bars = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def sees(self, *texts: str) -> bool:
        token = self.tokens[self.position]
        return token.kind in ("sign", "command") and token.text in texts

    def expect(self, text: str) -> None:
        if not self.sees(text):
            raise NotAnExpression
        self.position += 1

    def sum(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotAnExpression
        terms = [self.product(depth)]
        while self.sees("+", "-"):
            negative = self.take().text == "-"
            term = self.product(depth)
            terms.append(call("neg", term) if negative else term)
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def product(self, depth: int) -> Node:
        node = self.signed(depth)
        while True:
            if self.sees("*"):
                self.take()
                node = call("mul", node, self.signed(depth))
            elif self.sees("/"):
                self.take()
                node = call("div", node, self.signed(depth))
            elif self.starts_factor():
                node = call("mul", node, self.power(depth))
            else:
                return node

    def starts_factor(self) -> bool:
        token = self.next
        if token.kind == "name":
            return True
        if token.kind == "sign":
            return token.text in "({" or (token.text == "|" and not self.bars)
        if token.kind == "command":
            return (
                token.text in _ARGUMENT_COMMANDS
                or token.text in _FENCES
                or token.text[1:] in FUNCTIONS
                or token.text in (r"\infty", r"\imath")
            )
        return False

    def signed(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotAnExpression
        if self.sees("+"):
            self.take()
            return self.signed(depth + 1)
        if self.sees("-"):
            self.take()
            return call("neg", self.signed(depth + 1))
        return self.power(depth)

    def power(self, depth: int) -> Node:
        base = self.postfix(self.atom(depth), depth)
        if not self.sees("^"):
            return base
        return self.postfix(call("pow", base, self.exponent(depth)), depth)

    def exponent(self, depth: int) -> Node:
        """What stands after ^: a group, one token, or a signed power (2^-3, 2^3^2)."""
        self.expect("^")
        if self.sees("{"):
            return self.group("{", depth)
        if self.sees("+", "-"):
            return self.signed(depth + 1)
        node = self.atom(depth + 1)
        return call("pow", node, self.exponent(depth + 1)) if self.sees("^") else node

    def postfix(self, node: Node, depth: int) -> Node:
        while self.sees("!", "%", "°"):
            sign = self.take().text
            if sign == "!":
                node = call("factorial", node)
            else:
                node = call("div", node, number(100)) if sign == "%" else call("degree", node)
        return node

    def group(self, opener: str, depth: int) -> Node:
        self.expect(opener)
        bars, self.bars = self.bars, 0
        node = self.sum(depth + 1)
        self.expect(_CLOSERS[opener])
        self.bars = bars
        return node

    def argument(self, depth: int) -> Node:
        r"""An argument of a TeX command: a group, or one token (\frac12, \sqrt2)."""
        if self.sees("{"):
            return self.group("{", depth)
        if self.next.kind == "number" and self.next.text.isdigit() and len(self.next.text) > 1:
            token = self.next  # \frac12 is 1 over 2: TeX takes one digit
            self.tokens[self.position] = Token("number", token.text[1:], number(int(token.text[1:])).value)
            return number(int(token.text[0]))
        return self.atom(depth + 1)

    def atom(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotAnExpression
        token = self.next
        if token.kind == "number":
            return self.literal(depth)
        if token.kind == "name":
            self.take()
            if token.text in FUNCTIONS:
                return self.function(token.text, depth)
            return self.named(token.text, depth)
        if token.kind == "command":
            return self.command(depth)
        if self.sees("(", "{", "["):
            return self.group(token.text, depth)
        if self.sees("|"):
            self.take()
            self.bars += 1
            node = self.sum(depth + 1)
            self.bars -= 1
            self.expect("|")
            return call("abs", node)
        raise NotAnExpression

    def literal(self, depth: int) -> Node:
        r"""A number, or a mixed number: 1 1/2, 1\frac{1}{2}."""
        first = self.take()
        node = number(first.value)
        if not first.text.isdigit():
            return node
        one, two, three = self.tokens[self.position : self.position + 3]
        if one.kind == three.kind == "number" and two.text == "/" and one.text.isdigit() and three.text.isdigit():
            if int(three.text) == 0:
                raise NotAnExpression
            self.position += 3
            return number(first.value + one.value / three.value)
        if one.text == r"\frac":
            start = self.position
            part = self.command(depth)
            if all(side.op == "number" and side.value.denominator == 1 for side in part.args):
                numerator, denominator = (side.value for side in part.args)
                if 0 < numerator < denominator:
                    return number(first.value + numerator / denominator)
            self.position = start
        return node

    def named(self, name: str, depth: int) -> Node:
        if name == "C" and self.sees("("):
            raise NotAnExpression  # C(5,2) means a binomial to some and a call to others
        while self.sees("'"):
            self.take()
            name += "'"
        if self.sees("_"):
            self.take()
            name += "_" + self.subscript()
        return Node("name", name=name)

    def subscript(self) -> str:
        if not self.sees("{"):
            token = self.take()
            if token.kind not in ("number", "name"):
                raise NotAnExpression
            return token.text
        self.take()
        parts: list[str] = []
        while not self.sees("}"):
            token = self.take()
            if token is _END or token.text in ("{", "^", "_"):
                raise NotAnExpression
            parts.append(token.text)
        self.take()
        return "".join(parts)

    def command(self, depth: int) -> Node:
        name = self.take().text
        if name == r"\frac":
            numerator = self.argument(depth)
            return call("div", numerator, self.argument(depth))
        if name == r"\binom":
            upper = self.argument(depth)
            return call("binom", upper, self.argument(depth))
        if name == r"\sqrt":
            if self.sees("["):
                index = self.group("[", depth)
                return call("root", index, self.argument(depth))
            return call("sqrt", self.argument(depth))
        if name in _FENCES:
            closer, op = _FENCES[name]
            node = self.sum(depth + 1)
            self.expect(closer)
            return call(op, node)
        if name in (r"\pi", r"\infty", r"\imath"):
            return Node("name", name={r"\pi": "pi", r"\infty": "inf", r"\imath": "i"}[name])
        if name[1:] in GREEK:
            return self.named(name[1:], depth)
        if name[1:] in FUNCTIONS:
            return self.function(name[1:], depth)
        raise NotAnExpression

    def function(self, name: str, depth: int) -> Node:
        base = exponent = None
        if name in ("log", "lg") and self.sees("_"):
            self.take()
            base = self.argument(depth)
        if self.sees("^"):
            exponent = self.exponent(depth)
            if exponent == call("neg", number(1)):
                name, exponent = "arc" + name, None  # \sin^{-1} is the inverse
                if name not in FUNCTIONS:
                    raise NotAnExpression
        argument = self.function_argument(name, depth)
        if name == "lg":
            base = base or number(10)
        if name == "cbrt":
            node = call("root", number(3), argument)
        else:
            node = call(name, base, argument) if base is not None else call(name, argument)
        return node if exponent is None else call("pow", node, exponent)

    def function_argument(self, name: str, depth: int) -> Node:
        if self.sees("(", "{"):
            return self.group(self.next.text, depth)
        if name == "sqrt":
            return self.atom(depth + 1)  # √2x is √2 · x
        if self.next.kind == "command" and self.next.text[1:] in FUNCTIONS and self.next.text != r"\sqrt":
            return self.power(depth + 1)  # \ln\sin x
        if self.sees("-"):
            return self.signed(depth + 1)
        node = self.power(depth + 1)
        while self.next.kind in ("name", "number") or (
            self.next.kind == "command" and self.next.text in _ARGUMENT_COMMANDS
        ):
            if self.next.kind == "name" and self.next.text in FUNCTIONS:
                break
            node = call("mul", node, self.power(depth + 1))
        return node
