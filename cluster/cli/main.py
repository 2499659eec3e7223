"""The whole command line: loads the command that was named, and turns every error into one line."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from cluster import __version__
from cluster.cli import process_environment
from cluster.cli.exit_codes import BROKEN_PIPE, BUG, BUSY, INTERRUPTED, IO_ERROR, NO_ACCESS
from cluster.cli.help import VERSION
from cluster.cli.interruption import raise_at_ctrl_c
from cluster.cli.lazy import LazyGroup
from cluster.cli.options import refuse_empty
from cluster.cli.quick.head_start import HeadStart
from cluster.cli.variables import warn_of_misspelt
from cluster.domain.base.errors import ClusterError, InvalidInput, NotPermitted
from cluster.domain.base.printable import printable
from cluster.rpc.process_limits import check_descriptors, too_little_memory

TOO_LITTLE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}  # limits of this process or machine, no disk's

COMMANDS = {
    "run": ("cluster.cli.submit:run", "Run a command on the cluster as if it ran here."),
    "map": ("cluster.cli.mapping:map_command", "Run a command for each of some files, which go to where it runs."),
    "job": ("cluster.cli.jobs:job", "Submit jobs, look at them, wait for them, cancel them."),
    "worker": ("cluster.cli.workers:worker", "Make this machine a worker, or list the workers."),
    "pool": ("cluster.cli.pools:pool", "Look at pools of workers that are made by demand, and scale them."),
    "pools": ("cluster.cli.pool_keeping:pools", "Keep pools of workers filled, by what waits."),
    "queue": ("cluster.cli.queue:queue", "Let nothing more start, of all jobs, and let them go on."),
    "usage": ("cluster.cli.usage:usage", "Tell what was used, by users, jobs' names or workers."),
    "top": ("cluster.cli.top.command:top", "Show what goes on, live, in a terminal."),
    "events": ("cluster.cli.events:events", "Tell what happens to jobs and workers."),
    "traces": ("cluster.cli.traces.command:traces", "Tell an OpenTelemetry collector of the lives of jobs."),
    "prune": ("cluster.cli.keeping:prune", "Delete now what is kept no longer."),
    "scheduler": ("cluster.cli.scheduler:scheduler", "Run the scheduler of a cluster."),
    "gateway": ("cluster.cli.gateway:gateway", "Run the HTTP door of a cluster."),
    "ui": ("cluster.cli.ui:ui", "Open the page of the cluster in a browser."),
    "up": ("cluster.cli.up:up_command", "Start a cluster on this machine, in the background."),
    "down": ("cluster.cli.up:down_command", "Stop the cluster that `up` started."),
    "status": ("cluster.cli.status:status", "Tell what cluster this is, who you are, what goes on."),
    "login": ("cluster.cli.login:login", "Use a cluster from this machine, by a user's token."),
    "logout": ("cluster.cli.login:logout", "Forget that cluster, and who you are there."),
    "token": ("cluster.cli.tokens:token", "Let workers and people join: create, list, revoke."),
    "user": ("cluster.cli.users:user", "List the users, and expel one."),
    "ca": ("cluster.cli.ca:ca", "Show the cluster's certificate authority."),
    "config": ("cluster.cli.config:config", "Show what is configured, and where."),
    "completion": ("cluster.cli.completion:completion", "Print the completion script of a shell."),
    "help": ("cluster.cli.help:help_command", "Explain a command, as --help after it does."),
    "version": ("cluster.cli.help:version_command", "Print the version."),
}

# Words that are no commands here, though people type them, and the commands that they mean.
_OF_JOBS = (
    *("submit", "list", "show", "why", "logs", "wait", "cancel", "pause", "resume"),
    *("set", "retry", "rerun", "tree", "state", "history", "stats", "delete", "pin", "unpin", "files", "fetch"),
)
MEANT = {verb: f"job {verb}" for verb in _OF_JOBS} | {
    **dict.fromkeys(("ps", "ls", "jobs"), "job list"),
    **dict.fromkeys(("kill", "stop"), "job cancel"),
    **dict.fromkeys(("nodes", "workers"), "worker list"),
    **{"hold": "job pause", "release": "job resume"},
    **{"exec": "run", "info": "status", "tokens": "token list", "users": "user list"},
}

WELCOME = """cluster turns Linux machines into one secure computer for running commands.

To begin:
  cluster run -- echo hello             run a command (starts a cluster here if there is none)
  cluster job                           see what runs and what ran
  cluster run --array 1-10 -- sh -c 'echo task $CLUSTER_TASK'

`cluster --help` lists all commands, `cluster COMMAND --help` explains one.
"""


class Root(LazyGroup):
    """The outermost group."""

    def invoke(self, ctx: click.Context) -> Any:
        """Gives a reader who left, and Ctrl-C, exit codes of ours. click would leave with 1 after the first, and write
        an empty line after the second, which blocks for ever where stderr is a full pipe that nobody reads."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(_broken_pipe()) from None
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                print(file=sys.stderr)  # the prompt that follows begins a line
            raise click.exceptions.Exit(INTERRUPTED) from None


def _export(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Puts the value of a flag into its variable, where every later reader looks: so flags beat variables."""
    if value:
        os.environ[f"CLUSTER_{str(param.name).upper()}"] = os.path.abspath(value)


@click.group(
    cls=Root,
    commands_at=COMMANDS,
    meant=MEANT,
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "CLUSTER", "help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--home",
    metavar="DIR",
    expose_value=False,
    callback=_export,
    help="Keep all state below DIR (CLUSTER_HOME; default: the XDG state directory).",
)
@click.option(
    "--config",
    metavar="FILE",
    expose_value=False,
    callback=_export,
    help="Read the configuration from FILE (CLUSTER_CONFIG).",
)
@click.version_option(__version__, "-V", "--version", message=VERSION)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turn Linux machines into one secure computer for running commands.

    Every option can also be set by a variable, CLUSTER_COMMAND_OPTION (as in CLUSTER_RUN_CPUS); those of scheduler and
    worker, and which scheduler to use, also in the configuration file: `cluster config show` tells what is in force.
    Exit codes: the job's own for run and wait, 2 for wrong usage, 75 when the cluster cannot be reached, 77 when it
    does not let you in.
    """
    if ctx.invoked_subcommand is None:
        click.echo(WELCOME, nl=False)


refuse_empty(cli)


def main(head_start: HeadStart | None = None) -> NoReturn:
    """Runs the command line of this process and exits: the whole of it. `head_start`: what a quick command has done."""
    code = run(sys.argv[1:], head_start)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _broken_pipe()
    except OSError as error:
        code = _disk_or_limit(error)
    # Everything is written. An orderly end of gRPC and the interpreter would cost each short command 35 ms.
    os._exit(code)


def run(arguments: list[str], head_start: HeadStart | None = None) -> int:
    """Runs one command line, tells its error if it has one, and answers the exit code."""
    try:
        raise_at_ctrl_c()
        check_descriptors()
        warn_of_misspelt(cli)
        result: Any = cli.main(arguments, prog_name="cluster", standalone_mode=False, obj={"head_start": head_start})
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        return _tell(arguments, _usage(error), error.exit_code, getattr(error, "below", ()))
    except click.ClickException as error:
        return _tell(arguments, error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ClusterError as error:
        if os.environ.get("CLUSTER_DEBUG"):
            raise
        return _tell(arguments, _as_typed(error, arguments), error.exit_code)
    except UnicodeEncodeError as error:  # all that goes over the wire as text is UTF-8
        if os.environ.get("CLUSTER_DEBUG"):
            raise
        return _tell(arguments, f"{error.object!r} is not UTF-8, and it must be", InvalidInput.exit_code)
    except OSError as error:
        if os.environ.get("CLUSTER_DEBUG"):
            raise
        return _disk_or_limit(error, arguments)
    except Exception as error:
        if os.environ.get("CLUSTER_DEBUG"):
            raise
        if isinstance(error, ImportError | MemoryError) and (too_little := _little_memory()):
            return _tell(arguments, str(too_little), too_little.exit_code)
        what = f"{type(error).__name__}: {error}".replace("\n", " ")
        return _tell(arguments, f"internal error: {what} (CLUSTER_DEBUG=1 shows the traceback)", BUG)


def _as_typed(error: ClusterError, arguments: Sequence[str]) -> str:
    """What the error says. The refusal of a call names a command that makes it: it is to be the one that was typed."""
    message = str(error)
    if not isinstance(error, NotPermitted):
        return message
    typed = next((word for word in arguments if word in COMMANDS), "")
    return message.replace("`cluster job submit`", f"`cluster {typed}`") if typed in ("run", "map") else message


def _little_memory() -> ClusterError | None:
    """What to tell when a library could not be loaded and this process has a limit on its memory (`ulimit -v`), which
    may be why. None where it has none."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else too_little_memory(limit)


def _disk_or_limit(error: OSError, arguments: Sequence[str] = ()) -> int:
    """Tells what this machine refused us, as a full disk behind a redirection. Returns the exit code."""
    where = f"{error.filename}: " if error.filename else ""
    if error.filename == process_environment.OUTPUT:
        _give_up_output()
        arguments = ()  # no document can be written there
    code = BUSY if error.errno in TOO_LITTLE else NO_ACCESS if isinstance(error, PermissionError) else IO_ERROR
    return _tell(arguments, f"{where}{error.strerror or error}", code)


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and isinstance(error.ctx.command, click.Group):
        commands = ", ".join(error.ctx.command.list_commands(error.ctx))
        return f"`{error.ctx.command_path}` needs a command: {commands}; see `{error.ctx.command_path} --help`"
    message = error.format_message().replace("\n\t", " ").rstrip(".")  # choices come in lines of their own
    where = error.ctx.command_path if error.ctx else "cluster"
    return f"{message}; see `{where} --help`"


def _tell(arguments: Sequence[str], message: str, code: int, below: Sequence[str] = ()) -> int:
    """One line on stderr, and what points at the place that it is about; where --json was asked for, one JSON document
    on stdout instead.

    A program that asked for JSON reads stdout, and finds one document there whatever happens.
    """
    message = " ".join(message.splitlines())
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in own:
        from cluster.cli.json_text import json_text

        print(json_text({"error": {"message": message, "exit_code": code}}, seen=True))
    else:
        print(f"cluster: {printable(message)}", *below, sep="\n", file=sys.stderr)
    return code


def _broken_pipe() -> int:
    """The exit code for a reader who has left."""
    _give_up_output()
    return BROKEN_PIPE


def _give_up_output() -> None:
    """Lets what is still to be written to standard output go nowhere, so that it does not fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
