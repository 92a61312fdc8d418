"""Prometheus metrics of a reward service, each service with a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from mimovl.errors import MissingExtraError

__all__ = ["Metrics"]

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counters and gauges of one service.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """

    def __init__(self) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError:
            raise MissingExtraError("prometheus-client", "serve", "the reward service") from None
        self.registry = CollectorRegistry()
        registry = self.registry
        self._requests = Counter("mimovl_reward_requests", "Requests by status.", ["status"], registry=registry)
        self._seconds = Histogram(
            "mimovl_reward_request_seconds", "Time to answer a request.", buckets=SECONDS, registry=registry
        )
        self._items = Counter(
            "mimovl_reward_items", "Items by what rewarded them and outcome.", ["by", "outcome"], registry=registry
        )
        self._ends = Counter("mimovl_reward_worker_ends", "Ends of workers by reason.", ["reason"], registry=registry)
        self._queued = Gauge("mimovl_reward_queued_items", "Items admitted and not yet answered.", registry=registry)
        self._workers = Gauge("mimovl_reward_workers", "Workers that are alive.", registry=registry)

    def watch(self, *, queued: Callable[[], float], workers: Callable[[], float]) -> None:
        """Read the gauges from these when asked."""
        self._queued.set_function(queued)
        self._workers.set_function(workers)

    def request(self, status: int, seconds: float) -> None:
        """Count an answered or refused request."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def item(self, by: str, outcome: str, count: int) -> None:
        """Count rewarded items; ``by`` is a kind, or "function" or "model", never a user's text."""
        self._items.labels(by, outcome).inc(count)

    def worker_ended(self, reason: str) -> None:
        """Count a worker's end."""
        self._ends.labels(reason).inc()

    def text(self) -> tuple[bytes, str]:
        """What /metrics answers, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST
