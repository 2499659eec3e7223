"""`cluster run` and `cluster job submit`: the options that make a job."""

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Container, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cluster.cli.exit_codes import INTERRUPTED
from cluster.cli.grouped_help import JobCommand
from cluster.cli.job_inputs import (
    TYPED,
    NoLines,
    lines_of,
    read_files_named,
    read_stdin_once,
    reads_stdin,
    script_in,
    take_options_of,
)
from cluster.cli.options import Parsed, as_json, connection, is_given, quiet, tag
from cluster.cli.remarks import remark
from cluster.cli.submit_warnings import remark_on_job
from cluster.cli.tab_completion import values_of
from cluster.cli.uploads import files_of, with_files, with_given_stdin
from cluster.client.types import Job
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.kinds import SWITCH, VARIABLES
from cluster.domain.job.options import Option
from cluster.domain.job.script import name_of
from cluster.domain.job.selectors import check_name
from cluster.domain.job.spec import OPTIONS, JobSpec, wrong_variable_name

if TYPE_CHECKING:
    from cluster.cli.quick.head_start import HeadStart
    from cluster.client.aio import AsyncClient
    from cluster.client.submitting import Uploaded

F = TypeVar("F", bound=Callable[..., Any])

# Everything after the first word that is no option belongs to the command, with or without --.
COMMAND_LINE = {"allow_interspersed_args": False}
ONLY_SUBMITTED = ("every", "overlap", "catch_up")  # options of jobs that never end, which `run` refuses


def job_options(command: F) -> F:
    """What a job is made of, and how to reach the cluster; the same for `run` and `submit`."""
    return job_options_but(())(command)


def job_options_but(refused: Container[str]) -> Callable[[F], F]:
    """The same, where the help is silent about options of these names, which the command refuses."""
    return lambda command: _with_job_options(command, refused)


def _with_job_options(command: F, refused: Container[str]) -> F:
    options: list[Callable[[F], F]] = []
    for each in TYPED:
        options.append(click_option(each, hidden=each.name in refused))
        if each.field == "script":
            help = "Run the script with, as in bash."
            options.append(click.option("--with", "interpreter", default="", metavar="INTERPRETER", help=help))
    options += [connection, click.argument("command", nargs=-1, type=click.UNPROCESSED)]
    for option in reversed(options):
        command = option(command)
    return command


def click_option(option: Option, *, is_change: bool = False, hidden: bool = False) -> Callable[[F], F]:
    """As the command line has it, which collects its value; of variables and lines what was typed, for `spec_of`.
    `is_change`: it is None where it is not given, and a switch can be turned off. `hidden`: no help tells it."""
    how: dict[str, Any] = {"help": option.help, "hidden": hidden}
    if option.kind is SWITCH and is_change:
        return click.option(f"{option.flag}/--no-{option.flag[2:]}", default=None, **how)
    if option.kind is SWITCH:
        return click.option(option.flag, is_flag=True, **how)
    if not option.kind.reads_file:
        how["shell_complete"] = values_of(option)
    how["metavar"] = option.metavar
    if option.kind is VARIABLES:
        how["multiple"] = True
    elif option.kind.reads_file:
        how["type"] = click.Path()  # which shells complete
    elif option.kind.adds_up:
        how["type"], how["multiple"] = Parsed(option.name, option.read), True
        how["callback"] = lambda _, __, several: tuple(chain.from_iterable(several)) or (None if is_change else ())
    else:
        how["type"] = Parsed(option.name, option.read)
        how["default"] = default = None if is_change else option.kind.typed(option.default) or None
        how["show_default"] = bool(default and option.default)
    return click.option(option.flag, **how)


@click.command("submit", cls=JobCommand, context_settings=COMMAND_LINE)
@click.option("--file", metavar="FILE", type=click.Path(), help="Hand in all jobs of a job file (-: stdin), or none.")
@click.option("--check", is_flag=True, help="With --file: show the plan, and change nothing.")
@job_options
@as_json
@quiet
@click.pass_context
def submit(ctx: click.Context, /, file: str | None, check: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Hand in a job and return; once this returns, the job is on disk.

    \b
    Examples:
      cluster job submit -- make -C /src test
      cluster job submit --array 1-100 --cpus 0.5 -- sh -c 'echo $CLUSTER_TASK'
      cluster job submit --each-line files.txt -- xz -9 {}
      cluster job submit --script count.sh --with bash -- 10
      cluster job submit - 10 < count.sh
      cluster job submit --file build.toml --check
    """
    if file is not None:
        from cluster.cli.job_file import submit_file

        submit_file(ctx, file, check=check, as_json=as_json, quiet=quiet)
        return
    if check:
        raise InvalidInput("--check needs --file: it shows the plan of a job file")
    from cluster.cli.connection import client, head_start_of

    try:
        spec, head_start = _checked(spec_of(options, typed_in(ctx))), head_start_of(ctx)
    except NoLines as none:
        raise InvalidInput(f"{none}, so no job is submitted: ask first whether there is a line") from None

    files = files_of(options)

    async def work() -> None:
        async with client(ctx, start=True, head_start=head_start) as cluster:
            uploaded = await with_files(cluster, [spec], [files], quiet=quiet or as_json)
            job = await cluster.submit(uploaded or spec, id=head_start.job_id)
        remark_on_job(job, spec, cluster.endpoint)
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


@click.command("run", cls=JobCommand, context_settings=COMMAND_LINE)
@click.option("--file", metavar="FILE", type=click.Path(), help="Run all jobs of a job file (-: stdin).")
@job_options_but(ONLY_SUBMITTED)
@click.option("--to", metavar="DIR", type=click.Path(), help="Bring what --out keeps into DIR (default: here).")
@click.option("--flat", is_flag=True, help="Of an array bring all into DIR itself, not each task's into DIR/NUMBER.")
@click.option(
    "--out-dir", metavar="DIR", type=click.Path(), help="Also write what task 17 writes to DIR/17.out and .err."
)
@tag
@click.option("--no-stdin", is_flag=True, help="Give tasks nothing to read, whatever our stdin is.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.pass_context
def run(ctx: click.Context, /, file: str | None, no_stdin: bool, quiet: bool, **options: Any) -> int:
    """Run a command on the cluster as if it ran here.

    Its output comes here as it is written, its exit code becomes ours (of an array: the highest). What a file
    or pipe feeds to us it gets to read. Ctrl-C asks what to do, twice cancels, and so does closing the terminal:
    `cluster job submit` outlives it. Without a cluster, one is started on this machine.

    \b
    Examples:
      cluster run -- hostname
      cluster run --cpus 4 --timeout 1h -- make -j4
      cluster run --array 1-10 -- sh -c 'echo task $CLUSTER_TASK'
      cluster run --upload . -- make test
      zcat big.gz | cluster run -- sort -u
      cluster run --file build.toml
    """
    if file is not None:
        from cluster.cli.job_file import run_file

        return run_file(ctx, file, quiet=quiet, tag=options["tag"])
    from cluster.cli.connection import client, head_start_of

    try:
        spec, head_start = _checked(spec_of(options, typed_in(ctx))), head_start_of(ctx)
    except NoLines as none:  # as a loop over them, or `xargs -r`
        remark(f"{none}, so nothing was run")
        return 0

    to, flat = options["to"], options["flat"]
    if not spec.out and (to is not None or flat):
        raise InvalidInput(f"{'--flat' if to is None else '--to'} needs --out: say which files are to come here")
    if spec.every:
        raise InvalidInput("--every makes a job that never ends: hand it in with `cluster job submit`")

    asks = not no_stdin and head_start.accepted is None and not reads_stdin(options)
    files = files_of(options, refuses=no_stdin)

    async def work() -> int:
        async with client(ctx, start=True, head_start=head_start) as cluster:
            given = with_given_stdin(cluster.endpoint, files) if asks else files
            uploaded = await with_files(cluster, [spec], [given], quiet=quiet)
            return await run_here(
                cluster, uploaded or spec, spec, head_start, quiet, to or ".", flat, options["out_dir"], options["tag"]
            )

    return asyncio.run(work())


async def run_here(
    cluster: "AsyncClient",
    job_or_files: "JobSpec | Uploaded",
    spec: JobSpec,
    head_start: "HeadStart",
    quiet: bool,
    to: str,
    flat: bool,
    out_dir: str | None,
    tag: bool,
) -> int:
    """Hands the job in and follows it; what it keeps comes to `to`, what it writes also to files in `out_dir`. `tag`:
    each line says whose it is. Its exit code."""
    from cluster.cli.follow import Follower, hand_in
    from cluster.cli.follow_results import follow_and_fetch
    from cluster.cli.line_tags import LineTags
    from cluster.cli.task_output_files import TaskOutputFiles

    files = TaskOutputFiles(out_dir) if out_dir else None
    job = await hand_in(cluster, job_or_files, head_start)
    if job is None:
        return INTERRUPTED
    remark_on_job(job, spec, cluster.endpoint)
    follower = Follower(cluster, [job], quiet, head_start, files, LineTags() if tag else None)
    return await (follow_and_fetch(follower, cluster, job, to, flat) if spec.out else follower.follow())


def typed_in(ctx: click.Context) -> Collection[str]:
    """The options that were given by flags or variables."""
    return [name for name in ctx.params if is_given(ctx, name)]


def spec_of(options: Mapping[str, Any], typed: Collection[str] = ()) -> JobSpec:
    """The job that the options and the command make. InvalidInput where they do not go together. What was `typed` wins
    over the lines of a script."""
    options = dict(options)
    if options["command"][:1] == ("-",):
        if options["script_file"]:
            raise InvalidInput(f"- is a script on stdin, and --script-file {options['script_file']} another: give one")
        options |= {"script_file": "-", "command": options["command"][1:]}
    script = script_in(options["script_file"]) if options["script_file"] else b""
    if script:
        take_options_of(script, options, typed)
    read_stdin_once(options)
    words, interpreter = options["command"], options["interpreter"]
    values = {each.field: options[each.name] for each in OPTIONS if each.flag}
    values |= {"script_text": script, "script_name": name_of(options["script_file"] or "")}
    if interpreter and not (script or values["script"]):
        raise InvalidInput(f"--with {interpreter} needs a script: --script or --script-file")
    if script or values["script"]:
        import shlex

        values |= {"argv": tuple(shlex.split(interpreter)), "script_args": words}
    else:
        values["argv"] = words
    read_files_named(values)
    values["env"] = tuple(map(_variable, values["env"]))
    values |= lines_of(options)
    return JobSpec(**{name: value for name, value in values.items() if value is not None})


def _checked(spec: JobSpec) -> JobSpec:
    """The same, before a cluster is looked for or started. InvalidInput for an option that may not be so."""
    for option in spec.given:
        if option.field != "cwd":  # whether that may be relative depends on the cluster
            option.validate(getattr(spec, option.field))
    check_name(spec.name)
    return spec


def _variable(text: str) -> tuple[str, str]:
    """NAME=VALUE, or NAME with the value that it has here."""
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if wrong := wrong_variable_name(name):
        raise InvalidInput(f"--env: {wrong}")
    if name not in os.environ:
        raise InvalidInput(f"--env {name}: there is no such variable here; give one with --env {name}=VALUE")
    return name, os.environ[name]
