"""Spans on their way to a collector, by the SDK of OpenTelemetry. Imported only where somebody wants traces."""

from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from cluster.cli.traces.spans import JobSpan


def exporter_to(endpoint: str) -> SpanExporter:
    """To the collector there; empty: as OpenTelemetry's own variables say, which also have headers and certificates."""
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None)


def export(exporter: SpanExporter, spans: Iterable[JobSpan], cluster: str) -> bool:
    """Hands them over. Whether they were taken. Blocks."""
    resource = Resource.create({"service.name": "cluster", "service.instance.id": cluster})
    return exporter.export([_readable(span, resource) for span in spans]) is SpanExportResult.SUCCESS


def _readable(span: JobSpan, resource: Resource) -> ReadableSpan:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(span.trace, span.id, is_remote=False, trace_flags=sampled),
        parent=SpanContext(span.trace, span.parent, is_remote=False, trace_flags=sampled) if span.parent else None,
        resource=resource,
        attributes=dict(span.attributes),
        status=Status(StatusCode.ERROR, span.failure) if span.failure else Status(StatusCode.OK),
        start_time=round(span.begin * 1e9),
        end_time=round(span.end * 1e9),
    )
