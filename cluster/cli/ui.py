"""`cluster ui`: the page in a browser, as whoever types this."""

import asyncio
import sys

import click

from cluster.cli.connection import endpoint
from cluster.cli.options import Parsed
from cluster.domain.base.errors import Conflict, InvalidInput, NotPermitted


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) < 1 << 16):
        raise InvalidInput(f"{text!r} is no port: use a number from 1 to 65535")
    return int(text)


PORT = Parsed("port", _port)


@click.command()
@click.option("--port", default=0, metavar="PORT", type=PORT, help="Serve it on this loopback port.")
@click.option("--no-open", is_flag=True, help="Only print the address.")
@click.pass_context
def ui(ctx: click.Context, port: int, no_open: bool) -> int:
    """Open the cluster's page in a browser, until Ctrl-C.

    The page is served on this machine alone, and can do what you may do: its address holds a secret. Over ssh, take a
    --port and forward it: `ssh -L 5500:127.0.0.1:5500 HOST cluster ui --port 5500 --no-open`.

    \b
    Examples:
      cluster ui
      cluster ui --port 5500 --no-open
    """
    where = endpoint(ctx)
    if where.is_worker:
        raise NotPermitted("a worker that stands alone has no page: it shows what schedulers know")
    credentials = where.certificate
    from cluster.gateway.own_page import serve_own_page  # starlette and uvicorn: 100 ms

    def ready(url: str) -> None:
        print(url, flush=True)
        if no_open:
            return
        import webbrowser

        if not webbrowser.open(url):
            print("cluster: no browser could be started: open the address above", file=sys.stderr)

    try:
        asyncio.run(serve_own_page(where.address, credentials, port, ready))
    except OSError as error:
        raise Conflict(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another --port") from None
    return 0
