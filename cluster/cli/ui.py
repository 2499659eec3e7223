"""`cluster ui`: the page in a browser, as whoever types this."""

import asyncio
import html
import os
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from cluster.cli.connection import endpoint
from cluster.cli.options import Parsed
from cluster.domain.base.errors import Conflict, InvalidInput, NotPermitted


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) < 1 << 16):
        raise InvalidInput(f"{text!r} is no port: use a number from 1 to 65535")
    return int(text)


PORT = Parsed("port", _port)
NO_BROWSER = "cluster: no browser could be started: open the address above"
_LEADS_ON = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>cluster</title>
<p><a href="{url}">The page of the cluster</a>
"""


def _own_directory() -> "tempfile.TemporaryDirectory[str]":
    """One that nobody else can look into; where a browser finds it that has a /tmp of its own, as a snap has."""
    home = Path.home()
    return tempfile.TemporaryDirectory(prefix="cluster-ui-", dir=home if os.access(home, os.W_OK) else None)


def _open(url: str, directory: str) -> None:
    """Starts a browser on a file of ours that leads on to the address: others can list what a browser is started with,
    and that holds no secret then."""
    import webbrowser

    file = Path(directory, "page.html")
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as page:
        page.write(_LEADS_ON.format(url=html.escape(url)))
    if not webbrowser.open(file.as_uri()):
        print(NO_BROWSER, file=sys.stderr)


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
        with suppress(OSError):  # where there is no room for a file, the address above is opened by hand
            directory = stack.enter_context(_own_directory())
            # There are browsers that hold up whoever starts them, and need to be answered meanwhile.
            threading.Thread(target=_open, args=(url, directory), daemon=True).start()
            return
        print(NO_BROWSER, file=sys.stderr)

    stack = ExitStack()
    try:
        with stack:
            asyncio.run(serve_own_page(where.address, credentials, port, ready))
    except OSError as error:
        raise Conflict(f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another --port") from None
    return 0
