"""Lines on stderr about what is odd in a job that is submitted. The job is accepted all the same."""

import codecs
import os
import re
import sys
from collections.abc import Iterator

from cluster.cli.quick.options import is_file_of_ours, is_no_program, option_of_ours
from cluster.cli.remarks import remark
from cluster.client.discovery import Endpoint
from cluster.client.types import Job
from cluster.domain.job.spec import JobSpec


def remark_on_lines(path: str, lines: bytes) -> None:
    """Remarks on what a text file may have and tasks hardly want, such as CR LF. Tasks get it all the same."""
    for odd in _oddities(lines):
        remark(f"--each-line {path}: {odd}")


def remark_on_job(job: Job, spec: JobSpec, endpoint: Endpoint) -> None:
    """Remarks on a job that was submitted: on what may be a slip, and where no worker that there is now can run it."""
    words = [*spec.argv, *spec.script_args, spec.script_text.decode("latin-1")]
    if spec.upload_each:
        pass  # `cluster map` has said what is odd about its words
    elif spec.rows:
        if not any("{" in word or "CLUSTER_COL_" in word or "CLUSTER_LINE" in word for word in words):
            remark("there is no {COLUMN} in the command: tasks find their rows in variables alone, CLUSTER_COL_COLUMN")
    elif spec.lines and not any("{}" in word or "CLUSTER_LINE" in word for word in words):
        remark("--each-line: there is no {} in the command: tasks find their lines in the variable CLUSTER_LINE alone")
    if endpoint.is_embedded and spec.cwd and not os.path.isdir(spec.cwd):
        remark(f"--cwd {spec.cwd}: there is no such directory here now, and tasks cannot start without it")
    if (
        spec.argv
        and not (spec.script_text or spec.cwd or spec.upload_each)
        and (odd := odd_program(spec.argv[0], endpoint.is_embedded))
    ):
        remark(odd)
    if "--" not in sys.argv and (word := option_of_ours(spec.argv)):
        remark(f"{word} went to the command {spec.argv[0]}: options for us stand before it (and -- before it says so)")
    remark_on_workers(job)


def odd_program(program: str, is_embedded: bool) -> str:
    """What is to be said of a command whose first word names a file here, which is hardly what its worker starts; empty
    where there is nothing. `is_embedded`: the worker is this machine, and starts it where we are."""
    send = f"`cluster run - < {program}` sends a script along"
    if is_no_program(program):
        if program.endswith(".toml"):
            return f"{program} is a file here, and no program; --file {program} hands in its jobs"
        if is_embedded or "/" not in program:
            by_its_place = is_embedded and "/" not in program and os.access(program, os.X_OK)
            return f"{program} is a file here, and no program; {f'`./{program}` runs it' if by_its_place else send}"
    if not is_embedded and is_file_of_ours(program):
        return f"{program} is looked for on the worker, and is here; {send}"
    return ""


def remark_on_workers(job: Job) -> None:
    """Remarks on a job that no worker that there is now can run."""
    if job.no_worker_can:
        why = "; ".join(job.pending_because)
        which = "that there is now can run it" if job.no_worker_ever else "that can run it takes work now"
        remark(f"job {job.number} waits, because no worker {which}: {why}")


def _oddities(lines: bytes) -> Iterator[str]:
    if lines.startswith(codecs.BOM_UTF8):
        yield "it begins with a byte order mark, which its first task gets; `sed -i '1s/^\\xef\\xbb\\xbf//'` removes it"
    if windows := lines.count(b"\r\n") + lines.endswith(b"\r"):
        yield f"lines that end in CR LF: {windows}; their tasks get the CR; `sed -i 's/\\r$//'` removes it"
    if b"\n\n" in lines or lines.startswith(b"\n") or lines.endswith(b"\n"):
        empty = sum(1 for _ in re.finditer(rb"(?m)^$", lines))
        yield f"lines that are empty: {empty}; each is a task as well"
