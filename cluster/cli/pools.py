"""`cluster pool`: the pools of workers that are made and removed by demand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from cluster.cli.lazy import LazyGroup
from cluster.cli.options import COUNT, as_json, connection, quiet
from cluster.client.aio import AsyncClient
from cluster.domain.base.errors import NotFound
from cluster.domain.base.printable import printable
from cluster.domain.base.quantities import format_cpus, format_duration
from cluster.domain.job.amounts import amount_in_words
from cluster.domain.scheduler.pool_board import STALE, PoolStatus, PoolWish

COMMANDS = {
    "list": ("cluster.cli.pools:list_pools", "List the pools, and how many workers each has."),
    "show": ("cluster.cli.pools:show", "Show all that is known of a pool."),
    "scale": ("cluster.cli.pools:scale", "Say how many workers a pool is to have, or `auto`: as many as are needed."),
    "pause": ("cluster.cli.pools:pause", "Let a pool start nothing, and nothing of it leave."),
}
T = TypeVar("T")
COLUMNS = ("POOL", "PROVIDER", "STATE", "WORKERS", "STARTING", "LEAVING", "BOUNDS", "WANTED", "TROUBLE")


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def pool() -> None:
    """Look at pools of workers that are made and removed by demand, and say what you want of them."""


@click.command("list")
@as_json
@quiet
@connection
@click.pass_context
def list_pools(ctx: click.Context, as_json: bool, quiet: bool) -> None:
    """List the pools that somebody keeps, or has kept within the hour."""
    from cluster.cli.render import print_json
    from cluster.cli.table import print_table

    pools = _do(ctx, AsyncClient.pools)
    if as_json:
        print_json(list(map(_json, pools)))
    elif quiet:
        print("".join(f"{each.pool.name}\n" for each in pools), end="")
    else:
        print_table(COLUMNS, list(map(_row, pools)))


@click.command()
@click.argument("name", metavar="POOL")
@as_json
@connection
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show a pool as the one who keeps it has told it last."""
    found = [each for each in _do(ctx, AsyncClient.pools) if each.pool.name == name]
    if not found:
        raise NotFound(f"there is no pool {name!r}; `cluster pool list` shows those there are")
    _print(found[0], as_json=as_json)


@click.command()
@click.argument("name", metavar="POOL")
@click.argument("count", metavar="COUNT|auto")
@as_json
@connection
@click.pass_context
def scale(ctx: click.Context, name: str, count: str, as_json: bool) -> None:
    """Say how many workers a pool is to have, within its bounds; `auto`: as many as are needed. For admins.

    It goes on, too, if it was paused. The wish holds until it is said otherwise, over restarts too.
    """
    wanted = None if count == "auto" else COUNT.convert(count, None, ctx)
    _print(_do(ctx, lambda cluster: cluster.set_pool(name, count=wanted)), as_json=as_json)


@click.command()
@click.argument("name", metavar="POOL")
@as_json
@connection
@click.pass_context
def pause(ctx: click.Context, name: str, as_json: bool) -> None:
    """Let a pool start nothing, and nothing of it leave, until `cluster pool scale`. For admins."""
    _print(_do(ctx, lambda cluster: cluster.set_pool(name, paused=True)), as_json=as_json)


def _do(ctx: click.Context, call: Callable[[AsyncClient], Awaitable[T]]) -> T:
    from cluster.cli.connection import client

    async def work() -> T:
        async with client(ctx) as cluster:
            return await call(cluster)

    return asyncio.run(work())


def _state(status: PoolStatus) -> str:
    if status.age >= STALE:
        return f"not heard for {format_duration(status.age)}"
    return "paused" if status.wish and status.wish.is_paused else "kept"


def _row(status: PoolStatus) -> tuple[str, ...]:
    pool, wish = status.pool, status.wish or PoolWish(status.pool.name)
    numbers = (str(pool.online), str(pool.starting), str(pool.leaving), f"{pool.minimum}-{pool.maximum}")
    wanted = "auto" if wish.count is None else str(wish.count)
    return pool.name, pool.provider, _state(status), *numbers, wanted, pool.trouble or "-"


def _print(status: PoolStatus, *, as_json: bool) -> None:
    from cluster.cli.render import print_json

    if as_json:
        print_json(_json(status))
        return
    for head, cell in zip(COLUMNS, _row(status), strict=True):
        print(printable(f"{head.lower() + ':':10}{cell}"))
    pool = status.pool
    each = [f"{format_cpus(pool.millicpus)} cpus", *(amount_in_words(*pair) for pair in sorted(pool.amounts.items()))]
    print(printable(f"{'each has:':10}{', '.join(each)}"))


def _json(status: PoolStatus) -> dict[str, Any]:
    pool, wish = status.pool, status.wish
    return {
        "name": pool.name,
        "provider": pool.provider,
        "minimum": pool.minimum,
        "maximum": pool.maximum,
        "online": pool.online,
        "starting": pool.starting,
        "starting_since": pool.starting_since or None,
        "leaving": pool.leaving,
        "trouble": pool.trouble,
        "cpus": pool.millicpus / 1000,
        "amounts": dict(pool.amounts),
        "age": status.age,
        "paused": bool(wish and wish.is_paused),
        "wanted": wish.count if wish else None,
    }
