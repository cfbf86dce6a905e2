"""What Prometheus is told: requests, how long they took, which model answers, what was lost."""

import os
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where several workers count together
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10)


class Metrics(Collector):
    """The metrics of an application, whose state tells the rest."""

    def __init__(self, state: Any) -> None:
        self.state, self.own, self._known = state, CollectorRegistry(), dict[Any, Any]()
        labels = ["method", "path", "status"]
        self._requests = Counter("http_requests", "Answered.", labels, registry=self.own)
        self._seconds = Histogram(
            "http_request_seconds", "Until then.", ["path"], buckets=BUCKETS, registry=self.own
        )

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        labels = (method, path, status)
        if labels not in self._known:
            self._known[labels] = (self._requests.labels(*labels), self._seconds.labels(path))
        requests, times = self._known[labels]
        requests.inc()
        times.observe(seconds)

    def exposition(self) -> bytes:
        """All of them as text: requests of all workers, the rest of this one."""
        shared = CollectorRegistry()
        if os.environ.get(FOLDER):
            MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        else:
            shared = self.own
        alone = CollectorRegistry()
        alone.register(self)
        return generate_latest(shared) + generate_latest(alone)

    def collect(self) -> Iterator[Metric]:
        """What this process alone knows."""
        model, lines, quotes = (getattr(self.state, n) for n in ("served", "lines", "quotes"))
        info = vars(model.model) | {"version": model.model.version or ""}
        yield InfoMetricFamily("served_model", "The model that answers.", info)
        dropped, lost = lines.dropped if lines else 0, quotes.lost if quotes else 0
        yield CounterMetricFamily("log_lines_dropped", "Lines that nobody read.", dropped)
        yield CounterMetricFamily("quotes_not_logged", "Answers without a quote_id.", lost)
