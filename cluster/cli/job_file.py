"""`cluster job submit --file` and `cluster run --file`: the jobs of a file are handed in together, and followed; or
their plan is shown."""

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cluster.cli.exit_codes import INTERRUPTED
from cluster.cli.remarks import remark
from cluster.cli.submit_warnings import remark_on_workers
from cluster.cli.uploads import with_files
from cluster.client.job_fields import new_job_id
from cluster.client.job_file import JobFile
from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.job.dependencies import DependencyKind
from cluster.domain.job.job_tables import JOBS, nearest
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.workflow import NewJob, Workflow

if TYPE_CHECKING:
    from cluster.client.aio import AsyncClient

_OWN = ("file", "check", "as_json", "quiet")  # options that go with the file
_OF_RESULTS = ("to", "flat")  # options of `cluster run` that say where files of one job come
MOST_NAMED = 20  # jobs whose files are offered
MOST_FOLLOWED = 10_000  # jobs that are followed together: so many selectors has one call
MOST_LOOKED_AT = 100  # jobs of a file of which it is looked whether any worker can run them
HEADS = ("JOB", "TASKS", "AFTER", "COMMAND")


def submit_file(ctx: click.Context, path: str, *, check: bool, as_json: bool, quiet: bool) -> None:
    """Hands in all jobs of the file, or none; with `check` it shows the plan, and changes nothing."""
    from cluster.cli.connection import client

    refuse_others(ctx)
    file, workflow = _read(path)

    async def work() -> Sequence[int]:
        async with client(ctx, start=not check) as cluster:
            await _check_older(cluster, file, workflow)
            if check:
                return ()
            uploaded = await with_files(cluster, file.specs, file.files, quiet=quiet or as_json)
            numbers = await cluster.submit_many(uploaded or file.specs)
            await _remark(cluster, numbers)
            return numbers

    if check and not workflow.outside():
        numbers: Sequence[int] = ()
    else:
        numbers = asyncio.run(work())
    if check:
        _show(_in_order(workflow), as_json)
    else:
        _tell(file.specs, numbers, as_json, quiet)
    sys.stdout.flush()


def run_file(ctx: click.Context, path: str, *, quiet: bool, tag: bool) -> int:
    """Hands in all jobs of the file, and shows their output in the order of the plan. The exit code of the first that
    failed."""
    from cluster.cli.connection import client, head_start_of

    refuse_others(ctx)
    file, workflow = _read(path)
    if len(file.specs) > MOST_FOLLOWED:
        what = f"it has {len(file.specs)} jobs, and the most that are followed are {MOST_FOLLOWED}"
        raise file.wrong((), f"{what}: hand the file in with `cluster job submit --file`")
    for spec in file.specs:
        if spec.every:
            what = (
                f"job {spec.name}: every makes a job that never ends: hand the file in with `cluster job submit --file`"
            )
            raise file.wrong((JOBS, spec.name, "every"), what)
    ids = [new_job_id() for _ in file.specs]

    async def work() -> int:
        from cluster.cli.follow import Follower, hand_in_all
        from cluster.cli.line_tags import LineTags

        async with client(ctx, start=True) as cluster:
            await _check_older(cluster, file, workflow)
            head_start = head_start_of(ctx)
            jobs = await with_files(cluster, file.specs, file.files, quiet=quiet) or file.specs
            numbers = await hand_in_all(cluster, lambda: cluster.submit_many(jobs, ids=ids), ids, head_start)
            if numbers is None:
                return INTERRUPTED
            await _remark(cluster, numbers)
            known = {job.number: job for job in await cluster.list(*numbers)}
            plan = [known[numbers[place]] for place in workflow.order()]
            code = await Follower(cluster, plan, quiet, head_start, tags=LineTags() if tag else None).follow()
            if code != INTERRUPTED:
                _remark_on_results(numbers, file.specs)
            return code

    return asyncio.run(work())


def _read(path: str) -> tuple[JobFile, Workflow]:
    file = JobFile(path)
    return file, Workflow([NewJob(f"\0{place}", spec) for place, spec in enumerate(file.specs)])


async def _remark(cluster: "AsyncClient", numbers: Sequence[int]) -> None:
    """On jobs that no worker can run."""
    for job in reversed(await cluster.list(*numbers[:MOST_LOOKED_AT], states=[TaskState.READY])):
        remark_on_workers(job)


def _remark_on_results(numbers: Sequence[int], specs: Sequence[JobSpec]) -> None:
    """On files that are kept and have not come here."""
    keeping = [number for number, spec in zip(numbers, specs, strict=True) if spec.out]
    if keeping:
        more = " …" if keeping[MOST_NAMED:] else ""
        jobs = " ".join(map(str, sorted(keeping)[:MOST_NAMED]))
        remark(f"`cluster job fetch {jobs}{more} --to DIR` brings the files that are kept (out)")


def refuse_others(ctx: click.Context) -> None:
    """InvalidInput where the command line says more about the jobs than the file's name."""
    if ctx.params["command"]:
        raise InvalidInput("--file says what to run: give no command beside it")
    for name in ctx.params:
        is_typed = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_typed and name not in _OWN:
            what = f"--{name.replace('_', '-')} does not go with --file"
            if name in _OF_RESULTS:
                raise InvalidInput(
                    f"{what}: `cluster job fetch JOB --to DIR` brings what a job of the file keeps (out)"
                )
            raise InvalidInput(f"{what}: give it in the file, for all of its jobs in [defaults]")


async def _check_older(cluster: "AsyncClient", file: JobFile, workflow: Workflow) -> None:
    """InvalidInput for a name that is neither that of a job of the file nor of an older one."""
    for text, place in workflow.outside():
        try:
            await cluster.list(text, limit=1)
        except NotFound as error:
            spec = file.specs[place]
            kind = next(kind for kind in DependencyKind if text in getattr(spec, kind.value))
            key = kind.value.replace("_", "-")
            close = nearest(text, [spec.name for spec in file.specs])
            what = f"job {spec.name}: {key} = {text!r}: {error}{close and f'; in the file the nearest is {close!r}'}"
            raise file.wrong((JOBS, spec.name, key), what) from None


def _in_order(workflow: Workflow) -> list[JobSpec]:
    return [workflow.jobs[place].spec for place in workflow.order()]


def _tell(specs: Sequence[JobSpec], numbers: Sequence[int], as_json: bool, quiet: bool) -> None:
    if as_json:
        from cluster.cli.render import print_json

        print_json([{"job": number, "name": spec.name} for spec, number in zip(specs, numbers, strict=True)])
        return
    for spec, number in zip(specs, numbers, strict=True):
        tasks = f"{spec.task_count} task{'' if spec.task_count == 1 else 's'}" if spec.is_array else ""
        more = ", ".join(filter(None, (spec.name, tasks)))
        print(number if quiet else f"job {number} submitted{f' ({more})' if more else ''}")


def _show(specs: Sequence[JobSpec], as_json: bool) -> None:
    """The jobs, each after those that it waits for."""
    if as_json:
        from cluster.cli.render import options_json, print_json

        print_json([{**options_json(spec, whole=True), "tasks": spec.task_count} for spec in specs])
        return
    from cluster.cli.render import command_of
    from cluster.cli.table import print_table

    print_table(HEADS, [(spec.name, str(spec.task_count), _after(spec), command_of(spec)) for spec in specs])


def _after(spec: JobSpec) -> str:
    """What it waits for; how, where that is not their success."""
    waits: list[Any] = []
    for kind in DependencyKind:
        how = "" if kind is DependencyKind.SUCCESS else f" ({kind.value.removeprefix('after_')})"
        waits += [f"{text}{how}" for text in getattr(spec, kind.value)]
    return ", ".join(waits) or "-"
