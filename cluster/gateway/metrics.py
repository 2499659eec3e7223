"""What Prometheus reads at /metrics: what the scheduler measures, and what this gateway does."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.responses import Response

from cluster.domain.base.durations import BOUNDS
from cluster.gateway.handled_routes import Exchange, HandledRoute
from cluster.rpc.measured import of_process
from cluster.v1 import metrics_pb2

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # others are one

_ours = CollectorRegistry()
_REQUESTS = Counter(
    "cluster_http_requests",
    "Requests over HTTP that were answered, by method, route and class of status.",
    ["method", "route", "status"],
    registry=_ours,
)
_SECONDS = Histogram(
    "cluster_http_request_seconds",
    "How long it took until the answer of a request over HTTP began.",
    buckets=BOUNDS,
    registry=_ours,
)
IN_PROGRESS = Gauge("cluster_http_requests_in_progress", "Requests over HTTP, streams included.", registry=_ours)


def count_request(verb: str, route: str, status: int, seconds: float) -> None:
    """One that was answered. `route`: the path of its route, empty: it has none. `seconds`: until the answer began."""
    method = verb if verb in VERBS else "other"
    _REQUESTS.labels(method, route or "none", f"{status // 100}xx").inc()
    _SECONDS.observe(seconds)


async def _show(exchange: Exchange) -> Response:
    response = await exchange.one("Metrics.ShowMetrics")
    return Response(_text(response.metrics), media_type=MEDIA_TYPE)


def _text(metrics: Iterable[metrics_pb2.Metric]) -> bytes:
    families = [_family(metric) for metric in metrics]
    by_name = {family.name: family for family in families}
    for measured in of_process("gateway"):  # beside the scheduler's
        family = by_name[measured.name.removesuffix("_total")]
        for labels, value in measured.samples:
            family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]
    return generate_latest(_Families(families)) + generate_latest(_ours)


class _Families(CollectorRegistry):
    """Those that somebody else has collected."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _family(metric: metrics_pb2.Metric) -> Metric:
    names = sorted(metric.samples[0].labels) if metric.samples else []
    kinds = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily}
    family: Any = kinds[metric.kind](metric.name, metric.help, labels=names)
    for sample in metric.samples:
        labels = [sample.labels[name] for name in names]
        if metric.kind == "histogram":
            buckets = [
                ("+Inf" if bucket.at_most == float("inf") else f"{bucket.at_most:g}", bucket.count)
                for bucket in sample.buckets
            ]
            family.add_metric(labels, buckets, sample.value)
        else:
            family.add_metric(labels, sample.value)
    found: Metric = family
    return found


ROUTES = (
    HandledRoute(
        *("GET", "/metrics", ("Metrics.ShowMetrics",), "What is measured, as Prometheus reads it.", _show),
        answers={"text/plain": {"type": "string"}},
    ),
)
