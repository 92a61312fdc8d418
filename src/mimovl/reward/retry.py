"""When a client asks again: which answers are worth it, and how long it waits."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass

__all__ = ["RETRIED", "RetryPolicy", "retry_after_seconds"]

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may change: rewards are pure, and requests carry an id, so asking twice harms nothing."""


@dataclass(frozen=True)
class RetryPolicy:
    """How patient a client is."""

    timeout: float = 300.0
    """Seconds for one call, all its tries included."""
    attempt_seconds: float = 130.0
    """Seconds for one try; a little more than the service takes before it says 504."""
    first_pause: float = 0.1
    longest_pause: float = 5.0
    hedge_seconds: float = 5.0
    """After so long without an answer the same request is sent once more, to the next address; the first one counts."""

    def pause(self, tries: int, retry_after: float | None, *, spread: float | None = None) -> float:
        """Seconds to wait after so many tries: what the service asked for, else twice as long each time, spread out.

        Args:
            tries: that failed so far, at least 1.
            retry_after: of the answer's header.
            spread: in [0, 1); drawn if None.
        """
        share = random.random() if spread is None else spread
        if retry_after is not None:
            return retry_after * (1 + 0.1 * share)
        return float(min(self.longest_pause, self.first_pause * 2 ** (tries - 1)) * (0.5 + 0.5 * share))


def retry_after_seconds(header: str | None, *, now: float | None = None) -> float | None:
    """The header Retry-After, seconds or a date, as seconds from now; None if it is absent or says nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isdecimal():
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - (time.time() if now is None else now))
