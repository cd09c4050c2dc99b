"""What Prometheus is given. No label ever names an image or a client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from annotator import __version__

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FIRST_MEAN_S, _WEIGHT = 0.1, 0.1


class Metrics:
    """Of one server; two in a process do not share any."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.job_s = Histogram("annotator_job_seconds", "A step of a job", ["kind"], registry=self._registry)
        self.refused = Counter("annotator_refused", "Refused requests by reason", ["why"], registry=self._registry)
        self.requests = Counter("annotator_requests", "Answers", ["path", "status"], registry=self._registry)
        self.hits = Counter("annotator_embedding_hits", "Images that were open already", registry=self._registry)
        build = Gauge("annotator_build_info", "Version", ["version"], registry=self._registry)
        build.labels(__version__).set(1)
        self.mean_s = _FIRST_MEAN_S

    def job_done(self, kind: str, took_s: float) -> None:
        self.job_s.labels(kind).observe(took_s)
        self.mean_s += _WEIGHT * (took_s - self.mean_s)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that asks for its value."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def watch_kinds(self, name: str, text: str, kinds: Sequence[str], value: Callable[[str], float]) -> None:
        """As :meth:`watch`, with a label."""
        gauge = Gauge(name, text, ["kind"], registry=self._registry)
        for kind in kinds:
            gauge.labels(kind).set_function(partial(value, kind))

    def text(self) -> bytes:
        return generate_latest(self._registry)
