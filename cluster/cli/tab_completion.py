"""What a shell offers at TAB, where only the cluster or the options of a job know that: numbers and names of jobs,
workers, users, tokens, the words of a choice.

A cluster that does not answer at once offers nothing, and none is started for that.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cluster.domain.base.printable import printable
from cluster.domain.job.kinds import CHOICE, JOBS
from cluster.domain.job.options import Option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cluster.client.aio import AsyncClient
    from cluster.client.types import Job, Token, User, Worker

NEWEST = 100  # jobs that are offered
PATIENCE = 2.0  # seconds until the answer
Complete = Callable[[click.Context, click.Parameter, str], list["CompletionItem"]]
Word = tuple[str, str]  # a word, and what shells show beside it that can


def jobs_here(ctx: click.Context, param: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The newest jobs, by number and by name; after a comma, where that parts several, one more."""
    before, comma, begun = incomplete.rpartition(",") if isinstance(param, click.Option) else ("", "", incomplete)
    found: Sequence[Job] = _asked(ctx, lambda cluster: cluster.list(limit=NEWEST))
    names = [(name, "") for name in dict.fromkeys(job.spec.name for job in found) if name]
    return _starting(begun, [*(map(_of_job, found)), *names, ("last", "the newest job")], f"{before}{comma}")


def workers_here(ctx: click.Context, param: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The workers, by name."""
    found: Sequence[Worker] = _asked(ctx, lambda cluster: cluster.workers())
    return _starting(incomplete, [(worker.name, worker.state.word) for worker in found])


def users_here(ctx: click.Context, param: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The users who are not revoked."""
    found: Sequence[User] = _asked(ctx, lambda cluster: cluster.users())
    return _starting(incomplete, [(user.name, user.role) for user in found if not user.revoked_at])


def tokens_here(ctx: click.Context, param: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The tokens that are not revoked, by id."""
    found: Sequence[Token] = _asked(ctx, lambda cluster: cluster.tokens())
    return _starting(incomplete, [(token.id, f"{token.role} {token.user}") for token in found if not token.revoked])


def commands_below(ctx: click.Context, param: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The commands that may follow the words before, as of `cluster help job`."""
    about = ctx.find_root()
    for word in ctx.params.get(param.name or "") or ():
        if not isinstance(about.command, click.Group) or (found := about.command.get_command(about, word)) is None:
            return []
        about = click.Context(found, parent=about, info_name=word)
    if not isinstance(about.command, click.Group):
        return []
    return _starting(incomplete, [(name, "") for name in about.command.list_commands(about)])


def values_of(option: Option) -> Complete:
    """What completes the value of an option of a job: nothing where it may be anything."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list["CompletionItem"]:
        if option.kind is JOBS:
            return jobs_here(ctx, param, incomplete)
        if option.field == "worker":
            return workers_here(ctx, param, incomplete)
        if option.field == "cwd":
            return _of_shell(incomplete, "dir")
        before, comma, begun = incomplete.rpartition(",")
        return _starting(begun, [(word, "") for word in _words_of(option)], f"{before}{comma}")

    return complete


def _words_of(option: Option) -> Iterable[str]:
    """Those that its value begins with."""
    from cluster.domain.base.cron import NICKNAMES
    from cluster.domain.job.check_options import BEGINNINGS
    from cluster.domain.job.retry_policy import CAUSES

    if option.kind is CHOICE:
        return option.metavar.split("|")
    if option.field == "retry_on":
        return CAUSES
    if option.field == "every":
        return NICKNAMES
    return BEGINNINGS if option.field == "check_output" else ()


def _asked(ctx: click.Context, call: Callable[["AsyncClient"], Awaitable[Sequence[Any]]]) -> Sequence[Any]:
    """The cluster's answer; nothing where it has none within PATIENCE. No word of that may come between the shell and
    its line."""
    import asyncio
    from contextlib import redirect_stderr
    from io import StringIO

    from cluster.cli.connection import client

    async def work() -> Sequence[Any]:
        async with client(ctx) as cluster:
            return await call(cluster)

    try:
        with redirect_stderr(StringIO()):
            return asyncio.run(asyncio.wait_for(work(), PATIENCE))
    except Exception:
        return ()


def _of_job(job: "Job") -> Word:
    from cluster.cli.render import command_of

    return str(job.number), f"{job.state.word} {job.spec.name or command_of(job.spec)}"


def _starting(begun: str, words: Iterable[Word], before: str = "") -> list["CompletionItem"]:
    from click.shell_completion import CompletionItem

    fitting = [(word, more) for word, more in words if word.startswith(begun)]
    return [CompletionItem(f"{before}{word}", help=printable(more) or None) for word, more in fitting]


def _of_shell(begun: str, kind: str) -> list["CompletionItem"]:
    """What the shell itself knows: `file` or `dir`."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type=kind)]
