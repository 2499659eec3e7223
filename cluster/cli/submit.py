"""`cluster run` and `cluster job submit`: the options that make a job."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cluster.cli.exit_codes import INTERRUPTED
from cluster.cli.options import ARRAY, CPUS, DURATION, SIZE, as_json, connection, quiet
from cluster.cli.submit_warnings import remark_on_job, remark_on_lines
from cluster.client.types import Job
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.spec import DEFAULT_GRACE, DEFAULT_LOST_AFTER, DEFAULT_MAX_OUTPUT, JobSpec

F = TypeVar("F", bound=Callable[..., Any])

# Everything after the first word that is no option belongs to the command, with or without --.
COMMAND_LINE = {"allow_interspersed_args": False}


def job_options(command: F) -> F:
    """What a job is made of; the same for `run` and `submit`."""
    options = [
        click.option(
            "--array", type=ARRAY, help="Run once for each number, as in 1-1000:2 or 1,5,10-20 (CLUSTER_TASK)."
        ),
        click.option(
            "--each-line",
            metavar="FILE",
            type=click.Path(),  # which shells complete
            help="Run once for each line of FILE (-: stdin), for {} in the command (CLUSTER_LINE).",
        ),
        click.option("--name", default="", help="A name to find the job by."),
        click.option(
            "--env",
            multiple=True,
            metavar="NAME[=VALUE]",
            help="Set a variable; without value: yours. No others of yours are passed.",
        ),
        click.option(
            "--cwd",
            default="",
            metavar="DIR",
            help="Run in DIR, an absolute path on the worker (default: an empty directory, deleted with its files when "
            "the task ends; on a cluster that `cluster up` or `run` started: yours).",
        ),
        click.option("--cpus", type=CPUS, default="1", show_default=True, help="CPUs for each task, as in 2 or 0.5."),
        click.option(
            "--timeout",
            type=DURATION,
            default="0",
            help="Stop a task that runs longer, as in 90, 10m, 1h30m; 0: never.",
        ),
        click.option(
            "--grace", type=DURATION, default=f"{DEFAULT_GRACE:g}", help="From SIGTERM to SIGKILL.", show_default=True
        ),
        click.option("--retries", type=click.IntRange(0), default=0, help="Try a failed or lost task again, so often."),
        click.option(
            "--lost-after",
            type=DURATION,
            default=f"{DEFAULT_LOST_AFTER:g}",
            help="Give a task up when its worker is silent for so long; no less than 4/3 of --lease (20 s).",
            show_default=True,
        ),
        click.option("--merge-output", is_flag=True, help="Keep stderr in stdout, both in the order written."),
        click.option(
            "--max-output",
            type=SIZE,
            default=f"{DEFAULT_MAX_OUTPUT >> 20}M",
            help="Keep so much of each stream, its beginning and its end, as in 500k, 64M, 2G.",
            show_default=True,
        ),
        click.option("--worker", default="", metavar="ID|NAME", help="Run on this worker only."),
        click.option("--script", default="", metavar="PATH", help="Run PATH of the worker's scripts folder."),
        click.option("--with", "interpreter", default="", metavar="INTERPRETER", help="Run --script with, as in bash."),
        connection,
        click.argument("command", nargs=-1, type=click.UNPROCESSED),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("submit", context_settings=COMMAND_LINE)
@job_options
@as_json
@quiet
@click.pass_context
def submit(ctx: click.Context, /, as_json: bool, quiet: bool, **options: Any) -> None:
    """Hand in a job and return; once this returns, the job is on disk.

    \b
    Examples:
      cluster job submit -- make -C /src test
      cluster job submit --array 1-100 --cpus 0.5 -- sh -c 'echo $CLUSTER_TASK'
      cluster job submit --each-line files.txt -- xz -9 {}
      cluster job submit --script count.sh --with bash -- 10
    """
    from cluster.cli.connection import client

    spec = spec_of(options)

    async def work() -> None:
        async with client(ctx, start=True) as cluster:
            job = await cluster.submit(spec)
        remark_on_job(job, spec, cluster.place)
        try:
            _tell(job, as_json, quiet)
        except OSError as error:
            what = f"{error.strerror}; job {job.number} is submitted all the same"
            raise OSError(error.errno, what, error.filename) from None

    asyncio.run(work())


def _tell(job: Job, as_json: bool, quiet: bool) -> None:
    if as_json:
        from cluster.cli.render import job_json, print_json

        print_json(job_json(job))
    elif quiet:
        print(job.number)
    else:
        tasks = f" ({job.counts.total} task{'' if job.counts.total == 1 else 's'})" if job.is_array else ""
        print(f"job {job.number} submitted{tasks}")
    sys.stdout.flush()


@click.command("run", context_settings=COMMAND_LINE)
@job_options
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.pass_context
def run(ctx: click.Context, /, quiet: bool, **options: Any) -> int:
    """Run a command on the cluster as if it ran here.

    Its output comes here as it is written, its exit code becomes ours (of an array: the highest). Its stdin is empty.
    Ctrl-C asks what to do, twice cancels, and so does closing the terminal: `cluster job submit` outlives it. Without a
    cluster, one is started on this machine.

    \b
    Examples:
      cluster run -- hostname
      cluster run --cpus 4 --timeout 1h -- make -j4
      cluster run --array 1-10 -- sh -c 'echo task $CLUSTER_TASK'
    """
    from cluster.cli.connection import client

    spec = spec_of(options)

    async def work() -> int:
        from cluster.cli.follow import Follower, hand_in

        async with client(ctx, start=True) as cluster:
            job = await hand_in(cluster, spec)
            if job is None:
                return INTERRUPTED
            remark_on_job(job, spec, cluster.place)
            return await Follower(cluster, job, quiet).follow()

    return asyncio.run(work())


def spec_of(options: dict[str, Any]) -> JobSpec:
    """The job that the options and the command make. InvalidInput where they do not go together."""
    words, script = options["command"], options["script"]
    if options["interpreter"] and not script:
        raise InvalidInput(f"--with {options['interpreter']} needs --script: a path in the worker's scripts folder")
    if script:
        import shlex

        argv, script_args = tuple(shlex.split(options["interpreter"])), words
    else:
        argv, script_args = words, ()
    return JobSpec(
        argv=argv,
        name=options["name"],
        script=script,
        script_args=script_args,
        env=tuple(_variable(text) for text in options["env"]),
        cwd=options["cwd"],
        millicpus=options["cpus"],
        array=options["array"] or (),
        lines=_lines(options["each_line"]) if options["each_line"] else b"",
        timeout=options["timeout"],
        grace=options["grace"],
        worker=options["worker"],
        lost_after=options["lost_after"],
        retries=options["retries"],
        merge_output=options["merge_output"],
        max_output=options["max_output"],
    )


def _variable(text: str) -> tuple[str, str]:
    """NAME=VALUE, or NAME with the value that it has here."""
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if name not in os.environ:
        raise InvalidInput(f"--env {name}: there is no such variable here; give one with --env {name}=VALUE")
    return name, os.environ[name]


def _lines(path: str) -> bytes:
    """The lines of a file or of stdin, without the last line's end. What is odd about them is told."""
    try:
        if path == "-":
            content = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                content = file.read()
    except OSError as error:
        raise InvalidInput(f"--each-line {path}: {error.strerror}") from None
    content = content.removesuffix(b"\n")
    if not content.strip(b"\n"):
        raise InvalidInput(f"--each-line {path}: it has no lines but empty ones, so there is nothing to run")
    remark_on_lines(path, content)
    return content
