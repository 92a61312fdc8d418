"""Arithmetic in expressions and short word problems, with thoughts worked digit by digit.

Every step of a thought is local (two digits and a carry) so that a very small model can learn it:
``47+38: 7+8=15 carry 1; 4+3+1=8; 85``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.items import Accept, Turn, WorldItem, draw_accepted
from mimovl.curate.world.language import Templates, pick
from mimovl.curate.world.vocabulary import NAMES, PLURAL_THINGS
from mimovl.types import Gold

__all__ = ["build_arithmetic", "work"]

_QUESTIONS: Templates = {
    "plain": {"en": ("What is {x}?", "Compute {x}.", "{x}=?"), "zh": ("{x}等于多少？", "计算{x}。")},
    "+-": {
        "en": ("{n} has {a} {t}, gets {b} more and gives away {c}. How many {t} now?",),
        "zh": ("小明有{a}本书，又买了{b}本，送出{c}本，现在有几本？",),
    },
    "-+": {
        "en": ("{n} has {a} {t}, loses {b} and finds {c}. How many {t} now?",),
        "zh": ("小明有{a}本书，丢了{b}本，又买了{c}本，现在有几本？",),
    },
    "++": {
        "en": ("{n} has {a} {t}, buys {b} and then {c} more. How many {t} now?",),
        "zh": ("小明有{a}本书，先买了{b}本，又买了{c}本，现在有几本？",),
    },
    "--": {
        "en": ("{n} has {a} {t}, sells {b} and then {c}. How many {t} are left?",),
        "zh": ("小明有{a}本书，先卖了{b}本，又卖了{c}本，还剩几本？",),
    },
    "*+": {
        "en": ("{n} fills {b} bags with {a} {t} each and finds {c} more. How many {t} in all?",),
        "zh": ("小明有{b}袋苹果，每袋{a}个，又买了{c}个，共有几个？",),
    },
    "*-": {
        "en": ("{n} fills {b} bags with {a} {t} each and gives away {c}. How many {t} are left?",),
        "zh": ("小明有{b}袋苹果，每袋{a}个，送出{c}个，还剩几个？",),
    },
}


@dataclass(frozen=True)
class _Problem:
    """``numbers[0] operators[0] numbers[1] …``, evaluated from left to right."""

    numbers: tuple[int, ...]
    operators: str
    told: bool

    @property
    def key(self) -> str:
        """The operation and its operands; sums and products do not depend on their order."""
        numbers = sorted(self.numbers) if self.operators in ("+", "*", "++") else self.numbers
        return f"arithmetic {self.operators} {','.join(map(str, numbers))}"


def build_arithmetic(rng: random.Random, config: WorldConfig, accept: Accept) -> WorldItem:
    """One problem of the wanted split, text only."""
    language = "zh" if rng.random() < config.chinese_share else "en"
    problem = draw_accepted(lambda: _draw_problem(rng, config), accept)
    result, thought = _solve(problem)
    question, answer = _ask(rng, problem, language), f"\\boxed{{{result}}}"
    turn = Turn("arithmetic", question, answer, thought, Gold("number", result), language)
    return WorldItem(source="world/arithmetic", key=problem.key, language=language, turns=(turn,))


def _draw_problem(rng: random.Random, config: WorldConfig) -> _Problem:
    levels = list(config.arithmetic_levels)
    level = rng.choices(levels, [config.arithmetic_levels[name] for name in levels])[0]
    if level in ("add", "subtract", "multiply"):
        operators = {"add": "+", "subtract": "-", "multiply": "*"}[level]
    elif level == "chain":
        operators = "".join(rng.choice("+-") for _ in range(rng.randint(*config.arithmetic_chain)))
    else:
        operators = rng.choice(("+-", "-+", "++", "--", "*+", "*-"))
    largest = 10**config.arithmetic_digits - 1
    while True:  # about every other draw has no negative step
        numbers = [_draw_number(rng, config.arithmetic_digits)]
        total = numbers[0]
        for operator in operators:
            number = rng.randint(2, 9) if operator == "*" else _draw_number(rng, config.arithmetic_digits)
            numbers.append(number)
            total = _apply(operator, total, number)
            if total < 0:
                break
        if 0 <= total <= 10 * largest:
            return _Problem(tuple(numbers), operators, told=level == "word")


def _draw_number(rng: random.Random, digits: int) -> int:
    """Mostly numbers of ``digits`` digits, some shorter."""
    length = digits if digits == 1 or rng.random() < 0.9 else rng.randint(1, digits - 1)
    return rng.randint(2 if length == 1 else 10 ** (length - 1), 10**length - 1)


def _apply(operator: str, a: int, b: int) -> int:
    return a + b if operator == "+" else a - b if operator == "-" else a * b


def _ask(rng: random.Random, problem: _Problem, language: str) -> str:
    if problem.told:
        a, b, c = problem.numbers
        name, thing = rng.choice(NAMES), rng.choice(PLURAL_THINGS)
        return pick(rng, _QUESTIONS, problem.operators, language, n=name, t=thing, a=a, b=b, c=c)
    text = str(problem.numbers[0])
    for operator, number in zip(problem.operators, problem.numbers[1:], strict=True):
        text += f"{'×' if operator == '*' else operator}{number}"
    return pick(rng, _QUESTIONS, "plain", language, x=text)


def _solve(problem: _Problem) -> tuple[int, str]:
    """The result and the thought, one line an operation."""
    total, lines = problem.numbers[0], []
    for operator, number in zip(problem.operators, problem.numbers[1:], strict=True):
        lines.append(work(operator, total, number))
        total = _apply(operator, total, number)
    return total, "\n".join(lines)


def work(operator: str, a: int, b: int) -> str:
    """One operation on non-negative whole numbers, worked from the last digit to the first.

    Args:
        operator: ``+``, ``-`` (``a`` >= ``b``) or ``*`` (one digit for ``b``).
        a: First operand.
        b: Second operand.

    Returns:
        E.g. ``83-47: 13-7=6 borrow 1; 8-4-1=3; 36``.
    """
    sign = "×" if operator == "*" else operator
    first, second = [int(d) for d in reversed(str(a))], [int(d) for d in reversed(str(b))]
    steps, carry = [], 0
    for place, digit in enumerate(first if operator == "*" else _longer(first, second)):
        if operator == "*":
            product = digit * b
            total = product + carry
            text = f"{digit}×{b}={product}" + (f",+{carry}={total}" if carry else "")
            carry = total // 10
            text += f" carry {carry}" if carry and place < len(first) - 1 else ""
        elif operator == "+":
            top, low = _digit(first, place), _digit(second, place)
            total = top + low + carry
            text = f"{top}+{low}" + (f"+{carry}" if carry else "") + f"={total}"
            carry = total // 10
            text += f" carry {carry}" if carry and place < max(len(first), len(second)) - 1 else ""
        else:
            top, low = _digit(first, place), _digit(second, place)
            borrow = int(top - low - carry < 0)
            text = f"{top + 10 * borrow}-{low}" + (f"-{carry}" if carry else "")
            text += f"={top + 10 * borrow - low - carry}" + (" borrow 1" if borrow else "")
            carry = borrow
        steps.append(text)
    return f"{a}{sign}{b}: {'; '.join(steps)}; {_apply(operator, a, b)}"


def _longer(first: list[int], second: list[int]) -> list[int]:
    return first if len(first) >= len(second) else second


def _digit(digits: list[int], place: int) -> int:
    return digits[place] if place < len(digits) else 0
