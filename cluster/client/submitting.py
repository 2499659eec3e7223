"""The client's verbs that hand in jobs, and send the files that go with them."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from cluster.client.backend import Backend
from cluster.client.discovery import Endpoint
from cluster.client.handy_specs import from_here, spec_of
from cluster.client.job_fields import new_job_id
from cluster.client.own_zone import refuse_unknown_zone
from cluster.client.retrying import PAUSE, RetryPatience
from cluster.client.types import Job
from cluster.domain.base.errors import InvalidInput, MissingContents, NotReached, Unreachable
from cluster.domain.job.selectors import check_name
from cluster.domain.job.spec import JobSpec, refuse_what_needs_a_scheduler, validate
from cluster.domain.job.times import resolved

if TYPE_CHECKING:
    from cluster.client.files.job_files import JobFiles, Path, Stdin
    from cluster.client.files.outgoing import Outgoing
    from cluster.client.files.sending import SendingListener

T = TypeVar("T")

# Seconds to wait for a connection that worked before: a restarted scheduler is back within a few seconds.
PATIENCE = 30.0
# Seconds for which a submission is repeated after its connection broke: a scheduler that is stopping answers errors
# until its last commit. One that answers errors for longer has failed, and the user should know soon.
STOPPING = 5.0
_MOST_SENT = 3  # times that all is sent again, because something of it has gone before the job came


class Uploaded:
    """Jobs whose files have been sent: `specs` name these. Made by `SubmitVerbs.upload`."""

    def __init__(self, specs: "Sequence[JobSpec]", outgoing: "Outgoing", listener: "SendingListener") -> None:
        self.specs, self.outgoing, self.listener = specs, outgoing, listener


class SubmitVerbs:
    """Methods of AsyncClient."""

    endpoint: Endpoint
    _patience: RetryPatience

    @abstractmethod
    def _backend(self) -> Backend: ...

    async def submit(
        self,
        command: JobSpec | Uploaded | Sequence[str],
        *,
        id: str | None = None,
        upload: "Path | Sequence[Path]" = (),
        stdin: "Stdin | None" = None,
        **options: Any,
    ) -> Job:
        """Submits a job; once this returns it is on disk.

        `command` is a JobSpec, or argv with `options` as JobSpec's fields (`array` may be text as in "1-10:2", `env`
        a mapping). `upload`: files and directories that each task finds in its directory. `stdin`: what it reads, as
        bytes, as the path of a file, or as a file that is read to its end. In an embedded cluster a job without upload
        runs in the caller's directory, or in `cwd`, which may be relative to it. When the connection breaks the call is
        repeated with the same id, which cannot submit twice.
        """
        uploaded = command if isinstance(command, Uploaded) else None
        if uploaded is not None:
            spec = uploaded.specs[0]
        else:
            spec = command if isinstance(command, JobSpec) else spec_of(command, **options)  # type: ignore[arg-type]
            if upload or stdin is not None:
                from cluster.client.files.job_files import job_files

                uploaded = await self.upload([spec], [job_files(upload, stdin)])
                spec = uploaded.specs[0]
        spec = self.from_here(spec)
        validate(spec)
        check_name(spec.name)
        job_id = id or new_job_id()

        def hand_in(patience: float) -> Awaitable[Job]:
            return self._backend().submit(job_id, spec, patience)

        return await self._with_files(uploaded, f"job {job_id}", hand_in)

    async def submit_many(
        self, jobs: Iterable[JobSpec | Mapping[str, Any]] | Uploaded, *, ids: Sequence[str] = ()
    ) -> tuple[int, ...]:
        """Submits many jobs, all of them or none, and returns their numbers; once this returns they are on disk.

        Each job is a JobSpec, or a mapping with `command` and options as for `submit`. A job may wait (`after` and its
        like) for others of this call, in any order, by their names or ids; such a name never means an earlier job.
        `ids` holds an id for each job; without it they are made.
        """
        from cluster.domain.job.workflow import NewJob, Workflow

        uploaded = jobs if isinstance(jobs, Uploaded) else await self._uploaded(list(jobs))
        specs = [self.from_here(spec) for spec in uploaded.specs]
        if ids and len(ids) != len(specs):
            raise InvalidInput(f"{len(ids)} ids for {len(specs)} jobs: give one for each, or none")
        new = [NewJob(job_id, spec) for job_id, spec in zip(ids or (new_job_id() for _ in specs), specs, strict=False)]
        if not new:
            return ()
        Workflow(new).validate()
        what = f"job {new[0].id} and the others"
        return await self._with_files(uploaded, what, lambda patience: self._backend().submit_many(new, patience))

    async def upload(
        self,
        specs: Sequence[JobSpec],
        files: "Sequence[JobFiles]",
        listener: "SendingListener | None" = None,
    ) -> Uploaded:
        """Sends the files that go with these jobs, as far as the scheduler lacks them, for `submit` or `submit_many`.
        Goes on where it was when the connection breaks. InvalidInput for what cannot be uploaded."""
        from cluster.client.files.outgoing import Outgoing
        from cluster.client.files.sending import SendingListener, send

        if self.endpoint.inside is not None and any(files):
            raise InvalidInput("a job uploads nothing: --upload and --stdin are for users")
        hearing, outgoing = listener or SendingListener(), Outgoing()
        for spec, each in zip(specs, files, strict=True):
            if each:
                validate(self.from_here(each.promised(spec)))
                if self.endpoint.is_worker:
                    refuse_what_needs_a_scheduler(each.promised(spec))
        named = [
            await asyncio.to_thread(each.added, spec, outgoing, hearing.looked) if each else spec
            for spec, each in zip(specs, files, strict=True)
        ]
        for note in outgoing.notes:
            hearing.noted(note)
        if outgoing.contents:
            await send(self._backend(), outgoing, self._patience, hearing, all=False)
        return Uploaded(named, outgoing, hearing)

    async def _uploaded(self, jobs: Sequence[JobSpec | Mapping[str, Any]]) -> Uploaded:
        from cluster.client.files.job_files import JobFiles, job_files

        specs: list[JobSpec] = []
        files: list[JobFiles] = []
        for job in jobs:
            if isinstance(job, JobSpec):
                specs.append(job)
                files.append(JobFiles())
            else:
                options = dict(job)
                files.append(job_files(options.pop("upload", ()), options.pop("stdin", None)))
                specs.append(spec_of(**options))
        return await self.upload(specs, files)

    async def _with_files(self, uploaded: Uploaded | None, what: str, call: Callable[[float], Awaitable[T]]) -> T:
        """Hands in what needs these files. Where some have gone meanwhile, they are sent again."""
        for _ in range(_MOST_SENT if uploaded is not None and uploaded.outgoing.contents else 0):
            try:
                return await self._hand_in(what, call)
            except MissingContents:
                from cluster.client.files.sending import send

                assert uploaded is not None
                await send(self._backend(), uploaded.outgoing, self._patience, uploaded.listener, all=True)
        return await self._hand_in(what, call)

    def from_here(self, spec: JobSpec) -> JobSpec:
        """The spec with its times resolved in this machine's zone and, for an embedded cluster, with the caller's
        directory."""
        is_elsewhere = spec.sandbox or spec.upload or spec.out or spec.cwd.startswith("/")
        if self.endpoint.is_embedded and not is_elsewhere:
            spec = replace(spec, cwd=from_here(spec.cwd))
        refuse_unknown_zone(spec)
        return resolved(spec, time.time(), None)

    async def _hand_in(self, what: str, call: Callable[[float], Awaitable[T]]) -> T:
        """Makes the call, with the seconds that it may wait for a connection. Repeats it for STOPPING seconds after its
        connection broke, then raises Unreachable."""
        try:
            answer = await call(0.0)
        except NotReached:
            raise  # nobody has answered before either: a user at a prompt wants to know now
        except Unreachable:
            answer = await self._hand_in_again(what, call)
        self._patience.renew()
        return answer

    async def _hand_in_again(self, what: str, call: Callable[[float], Awaitable[T]]) -> T:
        until = time.monotonic() + STOPPING
        while True:
            try:
                return await call(PATIENCE)
            except Unreachable as error:
                if time.monotonic() >= until:
                    raise Unreachable(f"{error}; {what} may have been accepted all the same") from None
            await asyncio.sleep(PAUSE)
