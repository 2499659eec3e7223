"""The door of those who watch over others: the `Metrics` service."""

from cluster.domain.base.durations import Durations
from cluster.rpc.errors import Context
from cluster.rpc.measured import Measured
from cluster.scheduler.operations.metrics import MetricsOperations
from cluster.v1 import metrics_pb2, metrics_pb2_grpc


class MetricsDoor(metrics_pb2_grpc.MetricsServicer):
    def __init__(self, metrics: MetricsOperations) -> None:
        self._metrics = metrics

    async def ShowMetrics(
        self, request: metrics_pb2.ShowMetricsRequest, context: Context
    ) -> metrics_pb2.ShowMetricsResponse:
        return metrics_pb2.ShowMetricsResponse(metrics=map(_metric, await self._metrics.show()))


def _metric(measured: Measured) -> metrics_pb2.Metric:
    samples = []
    for labels, value in measured.samples:
        if isinstance(value, Durations):
            buckets = [metrics_pb2.Bucket(at_most=at_most, count=count) for at_most, count in value.up_to()]
            samples.append(metrics_pb2.Sample(labels=labels, value=value.total, buckets=buckets))
        else:
            samples.append(metrics_pb2.Sample(labels=labels, value=value))
    return metrics_pb2.Metric(name=measured.name, help=measured.help, kind=measured.kind, samples=samples)
