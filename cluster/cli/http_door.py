"""Options of the HTTP door, for the commands that open one."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cluster.domain.base.errors import InvalidInput
from cluster.rpc.addresses import is_loopback, split_listen

F = TypeVar("F", bound=Callable[..., Any])
LOOPBACK, BEHIND_PROXY = "loopback", "behind-proxy"


def http_plain(command: F) -> F:
    """--http-plain, which alone means loopback."""
    return click.option(
        "--http-plain",
        type=click.Choice([LOOPBACK, BEHIND_PROXY]),
        is_flag=False,
        flag_value=LOOPBACK,
        help="HTTP without TLS: on loopback alone; or behind-proxy, where a proxy or container ends TLS.",
    )(command)


def http_hosts(flag: str) -> Callable[[F], F]:
    """--host, or --http-host: names of this machine that it does not know of itself."""
    return click.option(flag, "hosts", multiple=True, metavar="NAME", help="A further name by which it is reached.")


def http_debug(command: F) -> F:
    """--debug-http, a second door."""
    return click.option(
        "--debug-http",
        default="",
        metavar="HOST:PORT",
        help="Here /execute answers with all that is known of a run, as JSON; :5001 for all addresses.",
    )(command)


def http_door(command: F) -> F:
    """The options of a worker that has one beside it."""
    return click.option(
        "--http", default="", metavar="HOST:PORT", help="Serve HTTP here, too; :5000 for all addresses."
    )(http_hosts("--http-host")(http_plain(command)))


def http_doors(command: F) -> F:
    """The options of a scheduler, which may have two."""
    return http_door(http_debug(command))


def where_it_serves(listen: str, plain: str | None) -> str:
    """The line that says where a door is that listens there, as `full_listen` answers it; empty where the system is to
    choose the port."""
    _, port = split_listen(listen)
    return f"HTTP on {'http' if plain else 'https'}://{listen}" if port else ""


def full_listen(listen: str, plain: str | None) -> str:
    """Where to listen: `:5000` is short for all addresses. InvalidInput for what is no host:port, or where tokens would
    go over a network unencrypted."""
    full = f"0.0.0.0{listen}" if listen.startswith(":") else listen
    host, _ = split_listen(full)
    if plain == LOOPBACK and not is_loopback(host):
        raise InvalidInput(
            f"--http-plain is for this machine alone, and {listen} is for others too: listen on 127.0.0.1, or behind a "
            "proxy that ends TLS say --http-plain=behind-proxy"
        )
    return full
