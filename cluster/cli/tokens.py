"""`cluster token`: who may join."""

import asyncio
import sys
import time

import click

from cluster.cli.options import DURATION, as_json, connection, keep_jobs, quiet, yes
from cluster.client.types import RevocationResult, Token
from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.tokens import parse_join_token, split_address

MOST_NAMES = 5  # of those who have joined, in one row
ROLES = ["worker", "user", "viewer", "admin"]


@click.group()
def token() -> None:
    """Let workers and people join: whoever holds a token may join once, while it lives."""


@token.command("create")
@click.option("--role", type=click.Choice(ROLES), default="worker", show_default=True, help="What its bearer becomes.")
@click.option("--user", default="", metavar="NAME", help="Whom it is for, where the role is a person's.")
@click.option("--life", type=DURATION, default="1h", show_default=True, help="How long it is good, as in 10m or 1d.")
@click.option("--uses", type=click.IntRange(0), default=1, show_default=True, help="How often; 0: without limit.")
@as_json
@quiet
@connection
@click.pass_context
def create(ctx: click.Context, role: str, user: str, life: float, uses: int, as_json: bool, quiet: bool) -> None:
    """Make a token and print the line to paste. It is shown once: only its hash is kept.

    \b
    Examples:
      cluster token create                       for one worker, within the hour
      cluster token create --uses 20 --life 1d   for a rack
    """
    from cluster.cli.connection import client
    from cluster.cli.render import print_json, token_json

    if role != "worker" and not user:
        raise InvalidInput(f"--role {role} is a person's: say whose with --user NAME")
    if role == "worker" and user:
        raise InvalidInput(f"--user {user} needs a role of people: --role user, viewer or admin")

    async def work() -> tuple[Token, str]:
        async with client(ctx) as cluster:
            return await cluster.create_token(role, life=life, uses=uses, user=user)

    record, text = asyncio.run(work())
    if as_json:
        print_json({**token_json(record), "token": text})
    elif quiet:
        print(text)
    else:
        print(f"cluster {'worker --join' if role == 'worker' else 'login'} {text}")
    host = split_address(parse_join_token(text).address)[0]
    if host in ("127.0.0.1", "::1", "localhost"):
        hint = f"CAREFUL: this line says {host} and works on the scheduler's machine only"
        print(f"cluster: {hint}; start the scheduler with --advertise HOST for others", file=sys.stderr)


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
        print_table(("TOKEN", "ROLE", "USER", "STATE", "MAKER", "CREATED", "EXPIRES", "USES LEFT", "JOINED"), rows)


def _row(token: Token, now: float) -> tuple[str, ...]:
    from cluster.cli.render import ago, iso

    times = (ago(token.created_at, now), iso(token.expires_at) or "-")
    return (token.id, token.role, token.user, _state(token, now), _maker(token), *times, _uses(token), _joined(token))


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
@click.argument("id")
@click.option("--and-joined", is_flag=True, help="Expel also who has joined with it, or by what those made.")
@keep_jobs
@yes
@connection
@click.pass_context
def revoke(ctx: click.Context, id: str, and_joined: bool, keep_jobs: bool, yes: bool) -> None:
    """Let nobody join with a token any more. Who joined with it (`cluster token list`) stays, but for --and-joined.

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
