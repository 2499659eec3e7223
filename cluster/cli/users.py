"""`cluster user`: the people of a cluster."""

import asyncio
import time

import click

from cluster.cli.options import Parsed, as_json, connection, keep_jobs, quiet, silent, yes
from cluster.cli.tab_completion import users_here
from cluster.client.types import RevocationResult, User
from cluster.domain.base.errors import InvalidInput


@click.group()
def user() -> None:
    """List the users, and expel one. `cluster token create --role user --user NAME` lets one in."""


@user.command("list")
@as_json
@quiet
@connection
@click.pass_context
def list_users(ctx: click.Context, as_json: bool, quiet: bool) -> None:
    """List the users, revoked ones included."""
    from cluster.cli.connection import client
    from cluster.cli.render import ago, print_json, user_json
    from cluster.cli.table import print_table

    async def work() -> tuple[User, ...]:
        async with client(ctx) as cluster:
            return await cluster.users()

    users, now = asyncio.run(work()), time.time()
    if as_json:
        print_json([user_json(user) for user in users])
    elif quiet:
        print("".join(f"{user.name}\n" for user in users), end="")
    else:
        rows = [(u.name, _state(u), u.role, str(u.joined), ago(u.created_at, now)) for u in users]
        print_table(("USER", "STATE", "ROLE", "JOINED", "CREATED"), rows)


def _state(user: User) -> str:
    return "revoked" if user.revoked_at else "good"


@user.command("revoke")
@click.argument("name", shell_complete=users_here)
@click.option("--and-joined", is_flag=True, help="Expel also who has joined by tokens that it made, and so on.")
@keep_jobs
@yes
@connection
@click.pass_context
def revoke(ctx: click.Context, name: str, and_joined: bool, keep_jobs: bool, yes: bool) -> None:
    """Expel a user: every certificate of it is refused, its calls are cut, its jobs are cancelled.

    Nobody joins any more by a token that it made; who has, stays and is named, but for --and-joined. A new token may
    give the name to somebody again, who sees no job from before; certificates from before stay refused. Of `admin` the
    one beside the scheduler's keys is made anew, and all copies of the old one are refused.
    """
    from cluster.cli.confirmation import confirm
    from cluster.cli.connection import client
    from cluster.cli.revocation_lines import print_revoked
    from cluster.domain.trust.identity import ADMIN_NAME

    async def work() -> RevocationResult:
        async with client(ctx) as cluster:
            return await cluster.revoke_user(name, and_joined=and_joined, keep_jobs=keep_jobs)

    if not yes:
        jobs = "" if keep_jobs else ", and its jobs are cancelled"
        others = ", and so is who joined by its tokens" if and_joined else ""
        whom = f"User {name} is expelled for good"
        if name == ADMIN_NAME:
            whom = f"Every certificate of user {name} is refused but a new one, beside the scheduler's keys"
        confirm(f"{whom}{others}{jobs}. Revoke?")
    print_revoked(f"user {name}", asyncio.run(work()))


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no share: use a number, as in 2 or 0.5") from None


@user.command("share")
@click.argument("name", shell_complete=users_here)
@click.argument("weight", type=Parsed("weight", _weight))
@silent
@connection
@click.pass_context
def share(ctx: click.Context, name: str, weight: float, quiet: bool) -> None:
    """Let a user have more than others, or less: twice as much with 2, half with 0.5. For admins.

    Where jobs of several users wait, those go first who have had least lately for their share; it is 1 for everybody to
    begin with. `cluster queue show` tells what each has had.
    """
    from cluster.cli.connection import client

    async def work() -> None:
        async with client(ctx) as cluster:
            await cluster.set_share(name, weight)

    asyncio.run(work())
    if not quiet:
        print(f"user {name} has a share of {weight:g}")
