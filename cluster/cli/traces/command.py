"""`cluster traces`: the command."""

import asyncio
import os
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from cluster.cli.options import COUNT, connection
from cluster.domain.base.errors import InvalidInput, NotFound, Unreachable

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from cluster.client.aio import AsyncClient

MOST_TASKS = 100  # of a job, whose attempts are told
VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@click.command()
@click.option("--endpoint", default="", metavar="URL", help="The collector (default: OTEL_EXPORTER_OTLP_ENDPOINT).")
@click.option("--since", type=COUNT, metavar="NUMBER", help="Also of jobs that ended after the event of that number.")
@click.option("--once", is_flag=True, help="Leave when all that has happened is told.")
@connection
@click.pass_context
def traces(ctx: click.Context, endpoint: str, since: int | None, once: bool) -> None:
    """Tell an OpenTelemetry collector of the life of each job that ends, as spans, by OTLP over HTTP, until Ctrl-C.

    A trace is a job: submitted to ended, in it how long it waited, and its attempts (of its first hundred tasks).
    """
    from cluster.cli.connection import client

    if not (endpoint or any(os.environ.get(name) for name in VARIABLES)):
        raise InvalidInput(
            "there is no collector: give --endpoint or OTEL_EXPORTER_OTLP_ENDPOINT, as in http://localhost:4318"
        )
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise InvalidInput(f"--endpoint {endpoint}: it is no URL: use http:// or https://, as in http://localhost:4318")
    try:
        from cluster.cli.traces.exporting import exporter_to
    except ImportError:
        raise InvalidInput("traces need the SDK of OpenTelemetry: pip install 'cluster[traces]'") from None

    async def work() -> None:
        async with client(ctx) as cluster:
            await tell(cluster, exporter_to(endpoint), 0 if once and since is None else since, once=once)

    asyncio.run(work())


async def tell(cluster: "AsyncClient", exporter: "SpanExporter", since: int | None, *, once: bool) -> None:
    """Of each job that ends. Unreachable where the collector takes nothing."""
    from cluster.cli.traces.exporting import export
    from cluster.cli.traces.spans import spans_of

    async with aclosing(cluster.events(since=since, follow=not once)) as events:
        async for event in events:
            if event.kind != "job.ended":
                continue
            try:
                job, tasks = await cluster.get(event.job, max_tasks=MOST_TASKS, attempts=True)
            except NotFound:
                continue  # it was deleted meanwhile
            if job.state.ended and not await asyncio.to_thread(
                export, exporter, list(spans_of(job, tasks)), cluster.endpoint.address
            ):
                raise Unreachable(
                    f"the collector took no spans; `cluster traces --since {event.sequence - 1}` goes on here"
                )
