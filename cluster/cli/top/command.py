"""`cluster top`: the command."""

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import click

from cluster.cli.options import connection
from cluster.domain.base.errors import Unreachable

if TYPE_CHECKING:
    from cluster.cli.top.loop import Top
    from cluster.client.aio import AsyncClient


class Absence:
    """Has it said on the screen when nobody answers (a cluster.client.retrying.AbsenceListener)."""

    def __init__(self, top: "Top") -> None:
        self._top = top

    def began(self, error: Unreachable) -> None:
        self._top.absence(error)

    def ended(self) -> None:
        self._top.absence(None)


@click.command()
@connection
@click.pass_context
def top(ctx: click.Context) -> int:
    """Show what goes on, live: jobs, workers, load and throughput. ? tells the keys; q leaves.

    From there jobs are opened, followed, cancelled, tried again and paused, and workers drained. Colours are left out
    where NO_COLOR is set.
    """
    from cluster.cli.connection import endpoint
    from cluster.cli.top.terminal import Terminal, check_terminal

    check_terminal()
    found = endpoint(ctx)
    terminal = Terminal()

    async def work() -> int:
        from cluster.cli.top.loop import Top
        from cluster.cli.top.model import Model

        top = Top(Model(found.address), terminal, lambda: _client(top), not os.environ.get("NO_COLOR"))
        return await top.run()

    def _client(top: "Top") -> "AsyncClient":
        from cluster.client.aio import AsyncClient

        return AsyncClient(found, listener=Absence(top))

    try:
        code = asyncio.run(work())
    finally:
        terminal.close()
    if code < 0:  # a signal: whoever started us sees that it was one
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code
