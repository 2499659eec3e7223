"""The one table of routes. From it come routing, what a request must look like, OpenAPI and the page of documentation.

Each route is one call of the scheduler's services: its path, its query and its body make the request's message, and
the answer's message is what comes back. Who may call is said by the table of roles (cluster.rpc.roles), by the same
line as for gRPC.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import Any, Protocol

from cluster.client.calls_for_others import Method, method
from cluster.domain.base.errors import ClusterError
from cluster.domain.trust.identity import Role
from cluster.rpc.roles import ROLES, allowed_by_gateway

PEOPLE = (Role.VIEWER, Role.USER, Role.ADMIN)
WHOLE = "*"  # as a body: whatever of the message is in neither path nor query


def roles_of(methods: Iterable[Method]) -> list[Role]:
    """The roles of people that may call all of these."""
    return [role for role in PEOPLE if all(role in ROLES.get(method.path, ()) for method in methods)]


class Form(Enum):
    """What kind of answer a route gives."""

    MESSAGE = auto()  # one JSON document
    COLLECTED = auto()  # one JSON document, of the messages of a stream
    CHANGES = auto()  # one JSON document when all has ended; or each change as an event
    OUTPUT = auto()  # what tasks have written, as bytes; or as events (text/event-stream)
    EVENTS = auto()  # a JSON document of what there is; or as events


@dataclass(frozen=True)
class Route:
    """One method of one path. `path` and `query` name fields of the request's message."""

    verb: str  # GET
    path: str  # /v1/jobs/{job}
    call: str  # Jobs.Get
    summary: str  # one sentence
    at: Mapping[str, str] = field(default_factory=dict)  # field that each parameter of the path fills
    query: Sequence[str] = ()  # fields that parameters of the same names fill
    fixed: Mapping[str, Any] = field(default_factory=dict)  # values of further fields
    body: str = ""  # field that the body is, or WHOLE; empty: there is none
    makes_id: bool = False  # its request, or each of its jobs, has an `id`, for which Idempotency-Key stands
    answer: str = ""  # field of the answer's message that is sent; empty: the message
    status: int = 200
    form: Form = Form.MESSAGE

    @cached_property
    def method(self) -> Method:
        """The method that it calls."""
        return method(f"/cluster.v1.{self.call.replace('.', '/')}")

    @property
    def methods(self) -> Sequence[Method]:
        """The same, as of routes that call several."""
        return (self.method,)

    @property
    def roles(self) -> list[Role]:
        """The roles of people that may call it."""
        return roles_of(self.methods)

    @property
    def name(self) -> str:
        """A name of its own: what OpenAPI calls operationId."""
        last = [part for part in self.path.split("/") if part and "{" not in part][-1]
        return f"{self.verb.lower()}-{self.call.replace('.', '-').lower()}-{last}"


_JOB = {"job": "selector"}
_JOBS = {"job": "selectors"}

ROUTES: tuple[Route, ...] = (
    Route(
        *("GET", "/v1/jobs", "Jobs.List", "Jobs that the caller sees, the newest first, in pages."),
        query=("selectors", "states", "limit", "below"),
    ),
    Route(
        *("POST", "/v1/jobs", "Jobs.Submit", "Submit a job. When this answers, it is on disk."),
        body="spec",
        makes_id=True,
        answer="job",
        status=201,
    ),
    Route(
        *("GET", "/v1/jobs/{job}", "Jobs.Get", "One job, and as many of its tasks as are asked for."),
        at=_JOB,
        query=("max_tasks", "skip", "states", "attempts"),
    ),
    Route(
        *("GET", "/v1/jobs/{job}/why", "Jobs.Get", "What keeps a job or task from running, or what ended it."),
        at=_JOB,
        fixed={"max_tasks": 1, "attempts": True},
    ),
    Route(
        *(
            "GET",
            "/v1/jobs/{job}/states",
            "Jobs.MapTasks",
            "In which states its tasks are: ranges, or counts of cells.",
        ),
        at=_JOB,
        query=("first", "count", "most"),
    ),
    Route(
        *("POST", "/v1/jobs/{job}/cancel", "Jobs.Cancel", "Stop tasks, and let none start any more."),
        at=_JOBS,
        body=WHOLE,
    ),
    Route(
        *("POST", "/v1/jobs/{job}/retry", "Jobs.Retry", "Try again what has failed or was cancelled."),
        at=_JOBS,
        body=WHOLE,
    ),
    Route(
        *("POST", "/v1/jobs/{job}/rerun", "Jobs.Rerun", "Submit a new job with the spec of this one."),
        at=_JOB,
        makes_id=True,
        answer="job",
        status=201,
    ),
    Route(
        *("POST", "/v1/jobs/{job}/pause", "Jobs.Pause", "Let no more tasks of a job start; what runs goes on."),
        at=_JOBS,
        body=WHOLE,
    ),
    Route(
        *("POST", "/v1/jobs/{job}/resume", "Jobs.Resume", "Let a job go on that was paused."),
        at=_JOBS,
        body=WHOLE,
    ),
    Route(
        *("POST", "/v1/cancel-jobs", "Jobs.Cancel", "Stop tasks of several jobs, and let none start any more."),
        body=WHOLE,
    ),
    Route(
        *("POST", "/v1/retry-jobs", "Jobs.Retry", "Try again what has failed or was cancelled, of several jobs."),
        body=WHOLE,
    ),
    Route(
        *("POST", "/v1/pause-jobs", "Jobs.Pause", "Let no more tasks of several jobs start; what runs goes on."),
        body=WHOLE,
    ),
    Route(*("POST", "/v1/resume-jobs", "Jobs.Resume", "Let several jobs go on that were paused."), body=WHOLE),
    Route(
        *("PUT", "/v1/jobs/{job}/priority", "Jobs.SetPriority", "Let a job go before or after others."),
        at=_JOBS,
        body=WHOLE,
    ),
    Route(
        *("PATCH", "/v1/jobs/{job}", "Jobs.Set", "Change options of a job that was submitted."),
        at=_JOBS,
        body="changes",
    ),
    Route(*("DELETE", "/v1/jobs/{job}", "Jobs.Delete", "Delete a job that has ended, with its output."), at=_JOBS),
    Route(*("PUT", "/v1/jobs/{job}/pin", "Jobs.Pin", "Keep a job, however old it becomes."), at=_JOBS),
    Route(*("DELETE", "/v1/jobs/{job}/pin", "Jobs.Unpin", "Keep a job as long as others of its age."), at=_JOBS),
    Route(*("GET", "/v1/jobs/{job}/state", "Jobs.GetState", "What a job keeps for others to read."), at=_JOB),
    Route(
        *("GET", "/v1/jobs/{job}/tree", "Jobs.Tree", "All jobs that have to do with one: calls and dependencies."),
        at=_JOB,
        form=Form.COLLECTED,
    ),
    Route(
        *("GET", "/v1/jobs/{job}/logs", "Jobs.ReadOutput", "What tasks have written, and what they write."),
        at=_JOB,
        query=("stdout", "stderr", "follow", "tail_lines"),
        form=Form.OUTPUT,
    ),
    Route(
        *("GET", "/v1/jobs/{job}/wait", "Jobs.Wait", "Wait until a job or task has ended; or follow its changes."),
        at=_JOBS,
        form=Form.CHANGES,
    ),
    Route(
        *(
            "POST",
            "/v1/workflows",
            "Jobs.SubmitMany",
            "Submit jobs that may wait for each other: all of them, or none.",
        ),
        body=WHOLE,
        makes_id=True,
        status=201,
    ),
    Route(
        *("GET", "/v1/events", "Events.Follow", "What has happened to jobs and workers, and what happens."),
        query=("since", "selectors"),
        form=Form.EVENTS,
    ),
    Route(
        *("GET", "/v1/jobs/{job}/stats", "Jobs.Stats", "What the attempts of a job, or of a name's jobs, have taken."),
        at=_JOB,
    ),
    Route(
        *("GET", "/v1/history", "Jobs.History", "Jobs that have ended, the last one first, in pages."),
        query=("states", "since", "until", "user", "name", "limit", "after"),
    ),
    Route(
        *("GET", "/v1/usage", "Jobs.Usage", "What was used, by users, names of jobs or workers."),
        query=("by", "since", "limit"),
    ),
    Route(
        *("GET", "/v1/workers", "Jobs.ListWorkers", "The workers that the scheduler knows, in pages."),
        query=("limit", "after", "workers", "states", "jobs"),
    ),
    Route(
        *("POST", "/v1/workers/{worker}/drain", "Workers.DrainWorkers", "Give a worker nothing more."),
        at={"worker": "workers"},
        body=WHOLE,
    ),
    Route(
        *("POST", "/v1/workers/{worker}/resume", "Workers.ResumeWorkers", "Give a drained worker work again."),
        at={"worker": "workers"},
        body=WHOLE,
    ),
    Route(
        *("DELETE", "/v1/workers/{worker}", "Workers.RemoveWorker", "Take a worker off the list."),
        at={"worker": "worker"},
        query=("revoke",),
    ),
    Route(*("GET", "/v1/room", "Room.ShowRoom", "What everything takes on disks.")),
    Route(*("POST", "/v1/prune", "Room.Prune", "Delete now what is kept no longer."), body=WHOLE),
    Route(
        *("GET", "/v1/tokens", "Tokens.ListTokens", "Tokens, used up and revoked ones included, in pages."),
        query=("limit", "after"),
    ),
    Route(
        *("POST", "/v1/tokens", "Tokens.CreateToken", "Make a token. Its text is shown once."),
        body=WHOLE,
        status=201,
    ),
    Route(
        *("DELETE", "/v1/tokens/{token}", "Tokens.RevokeToken", "Let a token let nobody in any more."),
        at={"token": "id"},
        query=("and_joined", "keep_jobs"),
    ),
    Route(*("GET", "/v1/whoami", "Users.WhoAmI", "Who calls, and in which role.")),
    Route(
        *("GET", "/v1/users", "Users.ListUsers", "Users, revoked ones included, in pages."),
        query=("limit", "after"),
    ),
    Route(
        *("DELETE", "/v1/users/{user}", "Users.RevokeUser", "Expel a user, and cancel the user's jobs."),
        at={"user": "name"},
        query=("and_joined", "keep_jobs"),
    ),
    Route(
        *("PUT", "/v1/users/{user}/share", "Queue.SetShare", "Say how much a user may have, compared with others."),
        at={"user": "user"},
        body=WHOLE,
        answer="queue",
    ),
    Route(*("GET", "/v1/queue", "Queue.ShowQueue", "Whether anything starts, and whose turn it is."), answer="queue"),
    Route(
        *("POST", "/v1/queue/pause", "Queue.PauseQueue", "Let nothing start any more; what runs goes on."),
        body=WHOLE,
        answer="queue",
    ),
    Route(
        *("POST", "/v1/queue/resume", "Queue.ResumeQueue", "Let jobs start again."),
        body=WHOLE,
        answer="queue",
    ),
)


class AnyRoute(Protocol):
    """What all routes have."""

    @property
    def verb(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def methods(self) -> Sequence[Method]: ...
    @property
    def roles(self) -> list[Role]: ...


def check(routes: Iterable[AnyRoute]) -> None:
    """ClusterError for a route of which nobody has said who may call it, or that no gateway may call for others."""
    seen = set()
    for route in routes:
        where = f"{route.verb} {route.path}"
        if not route.roles or not all(allowed_by_gateway(method.path) for method in route.methods):
            calls = ", ".join(method.path.rpartition(".")[2].replace("/", ".") for method in route.methods)
            raise ClusterError(f"nobody may call {calls} for {where}: add it to cluster/rpc/roles.py")
        if where in seen:
            raise ClusterError(f"two routes are {where}")
        seen.add(where)
