"""`cluster top`: the command."""

import gc
import os
import signal
from typing import TYPE_CHECKING

import click

from cluster.cli.options import connection
from cluster.domain.base.errors import Unreachable

if TYPE_CHECKING:
    from cluster.cli.top.loop import Top
    from cluster.cli.top.model import Model
    from cluster.cli.top.screen import Screen
    from cluster.client.aio import AsyncClient
    from cluster.client.discovery import Endpoint

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


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
    from cluster.cli.top.model import Model
    from cluster.cli.top.screen import Screen
    from cluster.cli.top.terminal import Terminal, check_terminal

    check_terminal()
    terminal = Terminal()
    model, screen = Model(""), Screen(terminal, colours=not os.environ.get("NO_COLOR"))
    before = {number: signal.signal(number, lambda number, _: _end_by(number, screen)) for number in _ENDINGS}
    try:
        screen.take(model)  # there is a picture before what asks the cluster is loaded: that takes longer than all else
        code = _work(ctx, model, screen)
    finally:
        screen.leave()
        terminal.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    if code < 0:  # a signal: whoever started us sees that it was one
        _end_by(-code, None)
    return code


def _work(ctx: click.Context, model: "Model", screen: "Screen") -> int:
    gc.disable()  # what is loaded stays
    try:
        from cluster.cli.connection import endpoint

        found = endpoint(ctx)
        model.where = found.address
        import asyncio

        from cluster.cli.top.loop import Top
    finally:
        gc.enable()

    async def work() -> int:
        shown = Top(model, screen, lambda: _client(found, shown))
        return await shown.run()

    return asyncio.run(work())


def _client(found: "Endpoint", top: "Top") -> "AsyncClient":
    from cluster.client.aio import AsyncClient

    return AsyncClient(found, listener=Absence(top))


def _end_by(number: int, screen: "Screen | None") -> None:
    """Ends this process by that signal; the terminal is given back before."""
    if screen:
        screen.leave()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
