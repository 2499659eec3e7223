"""From the connection options to a client."""

import sys
import time
from typing import TYPE_CHECKING

import click

from cluster.cli.quick.head_start import HeadStart
from cluster.client.config import state_root
from cluster.client.discovery import STOPPED, Endpoint, NotConfigured, find

if TYPE_CHECKING:
    from cluster.client.aio import AsyncClient


def client(ctx: click.Context, start: bool = False, head_start: HeadStart | None = None) -> "AsyncClient":
    """A client of the cluster that was named, or found. `start`: where there is none, an embedded one is started.
    `head_start`: what a quick command has done of this command; where it has a job, the client is of that cluster."""
    from cluster.cli.absence import AbsenceLines, say_that_nobody_leads
    from cluster.client.aio import AsyncClient  # gRPC: 100 ms

    if head_start is not None and head_start.accepted is not None:
        return AsyncClient(_where_accepted(head_start), answered=True, listener=AbsenceLines())
    return AsyncClient(endpoint(ctx, start), listener=AbsenceLines(), nobody_leads=say_that_nobody_leads)


def _where_accepted(head_start: HeadStart) -> Endpoint:
    """The cluster that has accepted the job: this machine's. While its scheduler is away this waits up to
    FOLLOW_PATIENCE seconds and starts nothing, since somebody may just be stopping it."""
    from cluster.client.retrying import FOLLOW_PATIENCE, PAUSE

    until = time.monotonic() + FOLLOW_PATIENCE
    while True:
        try:
            return find()
        except NotConfigured:
            if head_start.signals or time.monotonic() > until:
                raise
        time.sleep(PAUSE)


def head_start_of(ctx: click.Context) -> HeadStart:
    """What a quick command has done already of the command that runs now."""
    from cluster.client.job_fields import new_job_id

    return ctx.ensure_object(dict).get("head_start") or HeadStart(new_job_id())


def endpoint(ctx: click.Context, start: bool = False) -> Endpoint:
    """Where the calls go. Where there is no cluster: NotConfigured, or with `start` a new one on this machine."""
    from cluster.cli.embedded import is_running, up

    given = ctx.ensure_object(dict)
    options = {key: given.get(key) for key in ("scheduler", "direct", "credentials")}
    try:
        found = find(**options)
    except NotConfigured:
        if not start:
            raise
    else:
        if not found.is_embedded or is_running(state_root()):
            return found
        if not start:
            raise NotConfigured(STOPPED)
    for line in up(state_root()):
        print(f"cluster: {line}", file=sys.stderr)
    return find(**options)
