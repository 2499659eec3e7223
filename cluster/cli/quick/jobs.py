"""`cluster job list` and `cluster job submit`, quick."""

import os
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from cluster.cli.quick.head_start import HeadStart
from cluster.cli.quick.nearby import Nearby
from cluster.cli.quick.options import JSON, QUIET, Values, is_file_of_ours, is_no_program, of_job, of_list, whole_number
from cluster.cli.render import USUAL_LIMIT, job_json, print_jobs, print_json
from cluster.client.job_fields import job_fields
from cluster.client.local import Elsewhere, ask
from cluster.domain.job.states import TaskState
from cluster.rpc.quick_messages import message_class


def list_jobs(words: Sequence[str]) -> None:
    """As cluster.cli.jobs.list_jobs."""
    options, selectors = of_list(words, {**QUIET, **JSON, "--limit": ("limit", whole_number)})
    limit = options.get("limit", USUAL_LIMIT)
    nearby = Nearby()
    jobs = [shown(message) for message in _listed(nearby, selectors, limit + 1 if limit else 0)]
    forms = {"as_json": options.get("as_json", False), "quiet": options.get("quiet", False)}
    print_jobs(jobs, limit, me=nearby.user, asked="limit" in options, **forms)


def _listed(nearby: Nearby, selectors: Sequence[str], limit: int) -> list[Any]:
    request = message_class("ListRequest")(selectors=[{"text": text} for text in selectors])
    found: list[Any] = []
    while True:
        request.limit = limit - len(found) if limit else 0
        answer = ask(nearby.socket, "List", request, nearby.token)
        found += answer.jobs
        if not answer.next or (limit and len(found) >= limit):
            return found
        request.below = answer.next


def submit(words: Sequence[str], head_start: HeadStart) -> None:
    """As cluster.cli.submit.submit."""
    options, fields, command = of_job(words, {**QUIET, **JSON})
    nearby = Nearby()
    answer = ask(nearby.socket, "Submit", submission(head_start.job_id, fields, command, nearby), nearby.token)
    head_start.accepted = answer.job
    job = shown(answer.job)
    if job.no_worker_can:
        raise Elsewhere("there is something to say about that")
    if options.get("as_json"):
        print_json(job_json(job))
    elif options.get("quiet"):
        print(job.number)
    else:
        print(f"job {job.number} submitted")
    sys.stdout.flush()


def submission(job_id: str, fields: Values, command: Sequence[str], nearby: Nearby) -> Any:
    """The request to hand in one task. What the fields do not say is the scheduler's to fill in."""
    if not (command and command[0]) or command[0] == "-":
        raise Elsewhere("no command, or a script on stdin")
    if is_no_program(command[0]):
        raise Elsewhere("there is something to say about that")
    if nearby.is_embedded and not fields.get("sandbox"):
        cwd = fields.setdefault("cwd", os.getcwd())
        if not os.path.isdir(cwd):
            raise Elsewhere("there is something to say about that")
    elif "cwd" not in fields and is_file_of_ours(command[0]):
        raise Elsewhere("there is something to say about that")
    return message_class("SubmitRequest")(id=job_id, spec={"argv": command, **fields})


def shown(message: Any) -> Any:
    """What cluster.cli.render needs of a client.types.Job."""
    if message.spec.HasField("raw"):
        raise Elsewhere("not all of it is text")
    fields = job_fields(message)
    return SimpleNamespace(
        spec=message.spec,
        state=TaskState(message.state),
        is_array=bool(message.spec.array) or fields["counts"].total > 1,
        **fields,
    )
