"""/execute: Python source in, what it wrote to stdout out. It runs as a job, shut in on a worker (`--sandbox`).

Each run is a job of the caller's like any other: on disk before it starts, listed, with its output kept. What went
wrong is a problem: 422 where the source did it, 504 where it took too long, 503 where we did; so no error looks like
output. Who hangs up cancels the job. On the door for debugging each answer is JSON with all that is known of the run.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cluster.client.job_fields import new_job_id
from cluster.domain.base.errors import ClusterError, NotOffered
from cluster.domain.job import endings
from cluster.domain.job.spec import JobSpec
from cluster.gateway.execute_answers import CodeOutcome, document, problem_in
from cluster.gateway.execute_inspection import INSPECTOR, split
from cluster.gateway.execute_request import BODIES, PARAMETERS, CodeRequest, read_request
from cluster.gateway.handled_routes import Exchange, HandledRoute, Schema
from cluster.gateway.problems import EXHAUSTED, UNAVAILABLE, Problem
from cluster.rpc.on_behalf import Proof
from cluster.rpc.specs import spec_to_proto
from cluster.v1 import job_pb2, jobs_pb2

NAME = "execute"  # of the jobs
MEMORY = 512 << 20  # bytes of each
QUEUE_TIMEOUT = 30.0  # seconds that one waits for a worker
GRACE = 1.0
PATIENCE = 25.0  # seconds for one answer: who runs for longer is waited for by a call that lasts
MOST_OUTPUT = 16 << 20  # bytes of stdout, and of stderr: with more it fails
MOST_STDERR = 64 << 10  # of its end, in a problem
MOST_TOGETHER = 256 << 20  # bytes of output of all that are here at a time
ENDED = (job_pb2.TASK_STATE_SUCCEEDED, job_pb2.TASK_STATE_FAILED, job_pb2.TASK_STATE_CANCELLED)


class OutputRoom:
    """How many bytes of output there may be yet, of all runs together. One caller's may take as much as they leave for
    all others."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._taken: Counter[Proof] = Counter()

    def take(self, caller: Proof, size: int) -> None:
        """Problem where there is no room for that."""
        if self._taken[caller] + size > self._left - size:
            raise Problem(EXHAUSTED, "the outputs of runs take all room that there is for you; try again soon")
        self._left -= size
        self._taken[caller] += size

    def give_back(self, caller: Proof, size: int) -> None:
        """So much is not here any more."""
        self._left += size
        self._taken[caller] -= size
        if not self._taken[caller]:
            del self._taken[caller]


_room = OutputRoom(MOST_TOGETHER)


async def execute(exchange: Exchange) -> Response:
    """Answers what the code wrote. Problem for what is not as it must be, and for what does not succeed."""
    wanted = await read_request(exchange)
    outcome = await _outcome(exchange, _CodeRun(exchange, _spec(wanted), asks_anyway=False), MOST_STDERR)
    if outcome is None:
        return _nobody()
    if problem := problem_in(outcome, MOST_OUTPUT):
        more = {**problem.more, "stderr": outcome.text("stderr")}
        raise Problem(problem.kind, problem.detail, more=more, headers=_head(outcome))
    return Response(bytes(outcome.stdout), headers=_head(outcome), media_type="text/plain; charset=utf-8")


async def execute_and_tell(exchange: Exchange) -> Response:
    """The same, with all that is known of the run."""
    wanted = await read_request(exchange)
    spec = _spec(wanted, ("-c", INSPECTOR), (wanted.mark,))
    outcome = await _outcome(exchange, _CodeRun(exchange, spec), MOST_OUTPUT)
    if outcome is None:
        return _nobody()
    return await asyncio.to_thread(_all_of_it, outcome, wanted.mark)  # both outputs may be large


def _all_of_it(outcome: CodeOutcome, mark: str) -> Response:
    outcome.stderr, outcome.inspection = split(outcome.stderr, mark)
    if problem := problem_in(outcome, MOST_OUTPUT):
        return Problem(problem.kind, problem.detail, more=document(outcome), headers=_head(outcome)).response()
    return JSONResponse(document(outcome), headers=_head(outcome))


def _head(outcome: CodeOutcome) -> dict[str, str]:
    return {"Cluster-Job": str(outcome.job.number)}


def _nobody() -> Response:
    """For who has hung up."""
    return Response(status_code=499)


def _spec(wanted: CodeRequest, inspecting: tuple[str, ...] = (), arguments: tuple[str, ...] = ()) -> JobSpec:
    return JobSpec(
        ("python3", "-I", *inspecting),
        name=NAME,
        script_text=wanted.source,
        script_name="code.py",
        script_args=arguments,
        sandbox=True,
        memory=MEMORY,
        timeout=wanted.timeout,
        grace=GRACE,
        queue_timeout=QUEUE_TIMEOUT,
        max_output=MOST_OUTPUT,
    )


async def _outcome(exchange: Exchange, run: "_CodeRun", most_stderr: int) -> CodeOutcome | None:
    """How the run has ended, with its output; None where the caller has hung up before: then it is cancelled."""

    async def finished() -> CodeOutcome:
        outcome = await run.end()
        try:
            async with aclosing(run.output()) as pieces:
                async for piece in pieces:
                    _room.take(exchange.shown, len(piece.data))
                    outcome.add(piece)
                    _room.give_back(exchange.shown, outcome.shorten_stderr(most_stderr))
        finally:
            size = len(outcome.stdout) + len(outcome.stderr)
            exchange.at_end(partial(_room.give_back, exchange.shown, size))
        return outcome

    return await _unless_hung_up(exchange.request, finished(), run.cancel)


@dataclass
class _CodeRun:
    """One run, as a job of whoever asks."""

    exchange: Exchange
    spec: JobSpec
    asks_anyway: bool = True  # about the attempt, though it has succeeded
    id: str = field(default_factory=new_job_id)
    _early: Iterable[jobs_pb2.ReadOutputResponse] | None = None  # all that it wrote, where that came with its end

    @property
    def _selector(self) -> jobs_pb2.Selector:
        return jobs_pb2.Selector(text=self.id)

    async def end(self) -> CodeOutcome:
        """Hands it in, and waits until it has ended. Problem where no worker could ever run it."""
        job = await self._handed_in()
        if job.no_worker_ever:
            await self.cancel("no worker can run it")
            why = "; ".join(job.pending_because)
            raise Problem(UNAVAILABLE, f"no worker of this cluster runs code that is to be shut in: {why}")
        if job.state not in ENDED:
            job = await self._ended(job)
        if job.state == job_pb2.TASK_STATE_SUCCEEDED and not self.asks_anyway:
            return CodeOutcome(job, job_pb2.Task(reason=endings.OK))
        ended = await self.exchange.one("Jobs.Get", selector=self._selector, max_tasks=1, attempts=True)
        return CodeOutcome(ended.job, ended.tasks[0])

    async def _handed_in(self) -> job_pb2.Job:
        """The job, ended where that is soon."""
        fields = {"id": self.id, "spec": spec_to_proto(self.spec)}
        try:
            answer = await self.exchange.one("Jobs.SubmitAndWait", patience=PATIENCE, **fields)
        except NotOffered:  # by a scheduler that is older than its gateway
            answer = await self.exchange.one("Jobs.Submit", **fields)
        else:
            self._early = answer.output if answer.with_output else None
        job: job_pb2.Job = answer.job
        return job

    async def _ended(self, job: job_pb2.Job) -> job_pb2.Job:
        """The job, which takes long, once it has ended."""
        waiting = self.exchange.message("Jobs.Wait", selectors=[self._selector], ends_only=True)
        async with aclosing(self.exchange.several("Jobs.Wait", waiting)) as changes:
            async for change in changes:
                job = change.jobs[-1] if change.jobs else job
        if job.state not in ENDED:
            raise Problem(UNAVAILABLE, f"the scheduler ends, and job {job.number} has not; it goes on")
        return job

    def output(self) -> AsyncGenerator[jobs_pb2.ReadOutputResponse, None]:
        """What it has written, in pieces."""
        if self._early is not None:
            return _at_once(self._early)
        reading = self.exchange.message("Jobs.ReadOutput", selector=self._selector, stdout=True, stderr=True)
        return self.exchange.several("Jobs.ReadOutput", reading)

    async def cancel(self, reason: str) -> None:
        """Nobody waits for it any more."""
        await self.exchange.one("Jobs.Cancel", selectors=[self._selector], reason=reason)


async def _at_once(
    pieces: Iterable[jobs_pb2.ReadOutputResponse],
) -> AsyncGenerator[jobs_pb2.ReadOutputResponse, None]:
    for piece in pieces:
        yield piece


async def _unless_hung_up(
    request: Request, work: Awaitable[CodeOutcome], cancel: Callable[[str], Awaitable[None]]
) -> CodeOutcome | None:
    """What the work comes to; None where the caller has hung up before: then it is cancelled."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait([working])
            with suppress(ClusterError):  # it has a timeout, in any case
                await cancel("whoever asked for it has hung up")
    return None


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


_CALLS = ("Jobs.SubmitAndWait", "Jobs.Submit", "Jobs.Wait", "Jobs.Get", "Jobs.ReadOutput", "Jobs.Cancel")
_TEXT: Mapping[str, Schema] = {"text/plain": {"type": "string", "description": "What the code wrote to stdout."}}
_ALL: Mapping[str, Schema] = {"application/json": {"type": "object", "description": "All that is known of the run."}}


def _routes(
    handle: Callable[[Exchange], Awaitable[Response]], answers: Mapping[str, Schema]
) -> tuple[HandledRoute, ...]:
    words = "Run Python source, shut in, and answer what it wrote to stdout."
    by_verb: Mapping[str, Mapping[str, Schema]] = {"GET": {}, "POST": BODIES}
    return tuple(
        HandledRoute(verb, "/execute", _CALLS, words, handle, PARAMETERS, bodies, answers, acts=True)
        for verb, bodies in by_verb.items()
    )


ROUTES, DEBUG_ROUTES = _routes(execute, _TEXT), _routes(execute_and_tell, _ALL)
