"""Numbers as people read them: 3.1 M parameters, 14 min 12 s, 78.4 %, −2.1 points.

Every function takes ``None`` and non-finite numbers and answers with a dash, because any part of a run may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "DASH",
    "compact",
    "date",
    "duration",
    "finite",
    "fixed",
    "integer",
    "learning_rate",
    "megabytes",
    "percent",
    "plural",
    "points",
    "signed_fixed",
    "significant",
]

DASH = "–"
"""Stands for a number that is not known."""
_THIN = "\u202f"
"""Narrow space that never breaks a line, between a number and its unit."""
_MINUS = "\u2212"


def finite(value: Any) -> float | None:
    """``value`` as a float, or None if it is not a finite number (booleans are not numbers)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _or_dash(write: Callable[[float], str], value: Any) -> str:
    number = finite(value)
    return DASH if number is None else write(number).replace("-", _MINUS)


def integer(value: Any) -> str:
    """12345.2 → ``12,345``."""
    return _or_dash(lambda number: f"{number:,.0f}", value)


def fixed(value: Any, digits: int = 2) -> str:
    """0.7312 → ``0.73``."""
    return _or_dash(lambda number: f"{number:,.{digits}f}", value)


def significant(value: Any, digits: int = 3) -> str:
    """Three significant digits, without a trailing exponent where the number is of ordinary size."""

    def write(number: float) -> str:
        if number == 0:
            return "0"
        magnitude = math.floor(math.log10(abs(number)))
        if -4 <= magnitude < 6:
            text = f"{number:,.{max(0, digits - 1 - magnitude)}f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"

    return _or_dash(write, value)


def compact(value: Any) -> str:
    """3143000 → ``3.14 M``; below ten thousand the number itself."""

    def write(number: float) -> str:
        if abs(number) < 10_000:
            return integer(number)
        for size, unit in ((1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")):
            if abs(number) < size * 999.5 or unit == "T":
                return f"{significant(number / size)}{_THIN}{unit}"
        raise AssertionError("the last unit takes any number")

    return _or_dash(write, value)


def duration(seconds: Any) -> str:
    """852.4 → ``14 min 12 s``; 5400 → ``1 h 30 min``; 0.31 → ``310 ms``."""

    def write(number: float) -> str:
        if number < 0:
            return DASH
        if number < 0.9995:
            return f"{number * 1000:.0f}{_THIN}ms"
        if number < 59.5:
            return f"{significant(number, 2 if number < 9.95 else 3 if number < 99 else 4)}{_THIN}s"
        minutes, rest = divmod(round(number), 60)
        if minutes < 60:
            return f"{minutes}{_THIN}min" + (f" {rest}{_THIN}s" if rest else "")
        hours, minutes = divmod(round(number / 60), 60)
        return f"{hours:,}{_THIN}h" + (f" {minutes}{_THIN}min" if minutes else "")

    return _or_dash(write, seconds)


def percent(value: Any, digits: int = 1) -> str:
    """0.784 → ``78.4 %``."""
    return _or_dash(lambda number: f"{100 * number:.{digits}f}{_THIN}%", value)


def points(value: Any, digits: int = 1) -> str:
    """A difference of two shares in percentage points, always signed: 0.077 → ``+7.7``."""

    def write(number: float) -> str:
        text = f"{100 * number:+.{digits}f}"
        return text[1:] if not text.strip("+-0.") else text

    return _or_dash(write, value)


def signed_fixed(value: Any, digits: int = 2) -> str:
    """0.418 → ``+0.42``; zero has no sign."""

    def write(number: float) -> str:
        text = f"{number:+,.{digits}f}"
        return text[1:] if not text.strip("+-0.") else text

    return _or_dash(write, value)


def learning_rate(value: Any) -> str:
    """0.00002 → ``2e−5``; 0 → ``0``."""

    def write(number: float) -> str:
        if number == 0:
            return "0"
        mantissa, exponent = f"{number:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"

    return _or_dash(write, value)


def megabytes(value: Any) -> str:
    """2969.6 → ``2.9 GB``; 512 → ``512 MB``."""
    return _or_dash(
        lambda number: f"{number / 1024:.1f}{_THIN}GB" if number >= 1023.5 else f"{number:.0f}{_THIN}MB", value
    )


def plural(count: Any, noun: str, many: str = "") -> str:
    """``1 step``, ``2 steps``."""
    return f"{integer(count)} {noun if finite(count) == 1 else many or noun + 's'}"


def date(value: Any) -> str:
    """An ISO 8601 time, or seconds since 1970 (shown in UTC), as ``23 Nov 2026, 20:04``; other text as it stands."""
    seconds = finite(value)
    try:
        if seconds is not None:
            moment = datetime.fromtimestamp(seconds, UTC)
        elif isinstance(value, str) and value:
            moment = datetime.fromisoformat(value)
        else:
            return DASH
    except (ValueError, OverflowError, OSError):
        return str(value)
    return f"{moment.day} {moment:%b %Y, %H:%M}"
