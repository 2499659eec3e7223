"""`cluster token`: who may join, and who may call over HTTP."""

import asyncio
import sys
import time

import click

from cluster.cli.options import COUNT, DURATION, as_json, connection, keep_jobs, quiet, yes
from cluster.cli.tab_completion import tokens_here
from cluster.client.types import RevocationResult, Token
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import parse_duration
from cluster.domain.trust.tokens import parse_join_token, split_address

MOST_NAMES = 5  # of those who have joined, in one row
ROLES = ["worker", "user", "viewer", "admin", "gateway", "pools"]
OF_MACHINES = ("worker", "gateway")
JOINS = {"worker": "worker --join", "gateway": "gateway --join", "pools": "pools --config pools.toml --join"}
COLUMNS = ("TOKEN", "FOR", "ROLE", "USER", "STATE", "MAKER", "CREATED", "EXPIRES", "USES LEFT", "JOINED")


@click.group()
def token() -> None:
    """Let workers and people join: whoever holds a token may join once, while it lives. Or let them in over HTTP."""


@token.command("create")
@click.option("--role", type=click.Choice(ROLES), help="What its bearer becomes (default: worker, for HTTP user).")
@click.option("--user", default="", metavar="NAME", help="Whom it is for, where the role is a person's.")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["join", "http"]),
    default="join",
    show_default=True,
    help="To join by, once; or to show with each request over HTTP.",
)
@click.option("--life", type=DURATION, help="How long it is good, as in 10m or 1d (default: 1h, for HTTP 30d).")
@click.option("--uses", type=COUNT, help="How many may join by it (default: 1; 0: without limit).")
@as_json
@quiet
@connection
@click.pass_context
def create(
    ctx: click.Context,
    role: str | None,
    user: str,
    purpose: str,
    life: float | None,
    uses: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make a token and print the line to paste. It is shown once: only its hash is kept.

    \b
    Examples:
      cluster token create                               for one worker, within the hour
      cluster token create --uses 20 --life 1d           for a rack
      cluster token create --for http --user ada         to be shown with each request, as ada's
    """
    from cluster.cli.connection import client
    from cluster.cli.render import print_json, token_json

    http = purpose == "http"
    role = role or ("user" if http else "worker")
    life = life if life is not None else parse_duration("30d" if http else "1h")
    _check(role, user, http, uses)

    async def work() -> tuple[Token, str]:
        async with client(ctx) as cluster:
            return await cluster.create_token(role, life=life, uses=1 if uses is None else uses, user=user, http=http)

    record, text = asyncio.run(work())
    if as_json:
        print_json({**token_json(record), "token": text})
    elif quiet or http:
        print(text)
    else:
        print(f"cluster {JOINS.get(role, 'login')} {text}")
    if http:
        return
    host = split_address(parse_join_token(text).address)[0]
    if host in ("127.0.0.1", "::1", "localhost"):
        hint = f"CAREFUL: this line says {host} and works on the scheduler's machine only"
        print(f"cluster: {hint}; start the scheduler with --advertise HOST for others", file=sys.stderr)


def _check(role: str, user: str, http: bool, uses: int | None) -> None:
    """InvalidInput for options that do not go together."""
    if role in OF_MACHINES and http:
        raise InvalidInput(f"a token for HTTP is a person's: --role {role} has none; use user, viewer or admin")
    if role in OF_MACHINES and user:
        raise InvalidInput(f"--user {user} needs a role of people: --role user, viewer or admin")
    if role not in OF_MACHINES and not user and not http:
        raise InvalidInput(f"--role {role} is a person's: say whose with --user NAME")
    if http and uses is not None:
        raise InvalidInput("a token for HTTP is shown with each request: leave --uses out, and say --life")


@token.command("list")
@as_json
@quiet
@connection
@click.pass_context
def list_tokens(ctx: click.Context, as_json: bool, quiet: bool) -> None:
    """List tokens, used up and revoked ones included."""
    from cluster.cli.connection import client
    from cluster.cli.render import print_json, token_json
    from cluster.cli.table import print_table

    async def work() -> tuple[Token, ...]:
        async with client(ctx) as cluster:
            return await cluster.tokens()

    tokens = asyncio.run(work())
    now = time.time()
    if as_json:
        print_json([token_json(token) for token in tokens])
    elif quiet:
        print("".join(f"{token.id}\n" for token in tokens), end="")
    else:
        rows = [_row(token, now) for token in tokens]
        print_table(COLUMNS, rows)


def _row(token: Token, now: float) -> tuple[str, ...]:
    from cluster.cli.render import ago, iso

    times = (ago(token.created_at, now), iso(token.expires_at) or "-")
    whose = ("http" if token.http else "join", token.role, token.user)
    return (token.id, *whose, _state(token, now), _maker(token), *times, _uses(token), _joined(token))


def _maker(token: Token) -> str:
    """Who made it, as people call them; `?` of a token that an older version made."""
    kind, _, name = token.maker.partition("/")
    return (name if kind == "user" else kind) or "?"


def _joined(token: Token) -> str:
    """Who has joined by it, as people call them; of many the first."""
    names = [member.name or member.id for member in token.joined[:MOST_NAMES]]
    more = f" and {token.joined_total - len(names)} more" if token.joined_total > len(names) else ""
    return (", ".join(names) + more) or "-"


def _uses(token: Token) -> str:
    return "no limit" if token.uses_left is None else str(token.uses_left)


def _state(token: Token, now: float) -> str:
    if token.revoked:
        return "revoked"
    if token.expires_at <= now:
        return "expired"
    return "used up" if token.uses_left == 0 else "good"


@token.command("revoke")
@click.argument("id", shell_complete=tokens_here)
@click.option("--and-joined", is_flag=True, help="Expel also who has joined with it, or by what those made.")
@keep_jobs
@yes
@connection
@click.pass_context
def revoke(ctx: click.Context, id: str, and_joined: bool, keep_jobs: bool, yes: bool) -> None:
    """Let nobody join with a token any more. Who joined with it (`cluster token list`) stays, but for --and-joined.
    A token for HTTP lets nobody in any more, and calls that came by it are cut; its user stays.

    That expels them, and who has joined by tokens that they made, and so on. A user who has joined by another token
    too keeps what that one gave.
    """
    from cluster.cli.confirmation import confirm
    from cluster.cli.connection import client
    from cluster.cli.revocation_lines import print_revoked

    async def work() -> RevocationResult:
        async with client(ctx) as cluster:
            return await cluster.revoke_token(id, and_joined=and_joined, keep_jobs=keep_jobs)

    if and_joined and not yes:
        confirm(f"Who has joined by token {id}, and by tokens that those made, is expelled for good. Revoke?")
    print_revoked(f"token {id}", asyncio.run(work()))
