"""Results on their way to the scheduler: collected when their attempts have ended, sent, and only then removed here.

What waits survives a restart as the attempts' directories, which lie apart from all others; what of them is wanted the
scheduler is asked then. Jobs take turns, and what hangs or takes long holds up its own job.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.results import KeptResults, WantedResults
from cluster.rpc.errors import calling
from cluster.rpc.results import results_to_proto
from cluster.v1 import scheduler_pb2
from cluster.worker.output.files import Outputs
from cluster.worker.output.lanes import Lanes
from cluster.worker.results.collecting import NOTHING, Collected, collect
from cluster.worker.results.sending import Content, of_bytes, send
from cluster.worker.session import Session

logger = logging.getLogger(__name__)
T = TypeVar("T")

MOST_JOBS = 16  # that send together; more would only share the same link
AT_ONCE = 64  # attempts of a job that are told of together,
AT_ONCE_BYTES, AT_ONCE_FILES = 8 << 20, 5000  # as long as what they have left is no more
PATIENCE = 6 * 3600.0  # seconds for one attempt's files to be read, or for one piece of them
RETRY = 5.0  # seconds until a scheduler whose disk is full is asked again
REST = 60.0  # seconds until a job is looked at again whose files could not be read
MOST_TRIES = 3  # to read files that somebody changes meanwhile


class _Found(NamedTuple):
    """Of one attempt: what it has left, and what is told of that."""

    collected: Collected
    kept: KeptResults
    contents: dict[bytes, Content]


class ResultPushes:
    """All that one worker has to send of results. To be used from one event loop."""

    def __init__(
        self, outputs: Outputs, lanes: Lanes, session: Callable[[], Session | None], owner: int | None
    ) -> None:
        """`session` answers the open session, None when there is none. `owner`: the user id of jobs, None: ours."""
        self._outputs, self._lanes, self._session, self._owner = outputs, lanes, session, owner
        self._waiting: dict[int, dict[AttemptKey, WantedResults | None]] = {}  # by job; None: it is to be asked
        self._sending: dict[int, asyncio.Task[float]] = {}
        self._resting: set[int] = set()
        self._failed: dict[int, int] = {}  # how often files of a job were not any more what they had been
        self._unwanted: set[int] = set()  # jobs of which that was asked
        self._told: dict[int, str] = {}  # why the results of a job stay here, as was logged last

    def add(self, keys: Iterable[AttemptKey], wanted: WantedResults | None) -> None:
        """These have ended, and what they have left is wanted so; None: nobody here knows. Said twice it is sent
        once."""
        for key in keys:
            if wanted or key.job not in self._unwanted:
                self._waiting.setdefault(key.job, {}).setdefault(key, wanted)
        self.resume()

    @property
    def left(self) -> int:
        """How many attempts' results are still here."""
        return sum(map(len, self._waiting.values()))

    def resume(self) -> None:
        """Call this when a session has opened."""
        if (session := self._session()) is None:
            return
        for job in list(self._waiting):
            if len(self._sending) >= MOST_JOBS:
                return
            if job not in self._sending and job not in self._resting:
                task = self._sending[job] = asyncio.create_task(self._send_some(job, session))
                task.add_done_callback(partial(self._done, job, session))

    async def settle(self, patience: float) -> None:
        """Waits until all has been sent, if the scheduler takes it, but not for ever."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while self._sending and (left := until - loop.time()) > 0:
            await asyncio.wait(self._sending.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if count := self.left:
            logger.info("the results of %d attempts wait here until this worker is back", count)

    def cancel(self) -> None:
        """The session is over; `resume` goes on in the next."""
        for task in self._sending.values():
            task.cancel()

    def _done(self, job: int, session: Session, task: "asyncio.Task[float]") -> None:
        del self._sending[job]
        if not task.cancelled() and (rest := task.result()):
            self._resting.add(job)
            asyncio.get_running_loop().call_later(rest, self._rested, job)
        if job in self._waiting:
            self._waiting[job] = self._waiting.pop(job)  # the others have their turns first
        if not task.cancelled() or self._session() is not session:
            self.resume()

    def _rested(self, job: int) -> None:
        self._resting.discard(job)
        self.resume()

    # -- one job

    async def _send_some(self, job: int, session: Session) -> float:
        """The first of what waits of that job. Seconds for which the job is to rest then."""
        try:
            keys = list(self._waiting[job])[: 1 if job in self._failed else AT_ONCE]
            if not (wanted := await self._known(keys, session)):
                self._settled(job, keys)
                return 0.0
            found = await self._collected(keys, wanted)
            if self._failed.get(job, 0) > MOST_TRIES:
                found = [_given_up(each.kept.key) for each in found]
            contents = {digest: content for each in found for digest, content in each.contents.items()}
            await send(session, contents, partial(self._in_lane, job))
            await self._tell(session, [each.kept for each in found])
            self._failed.pop(job, None)
            self._settled(job, [each.kept.key for each in found])
        except InvalidInput as error:
            self._failed[job] = self._failed.get(job, 0) + 1
            self._stay(job, str(error))
            return 0.0 if self._failed[job] < MOST_TRIES else RETRY
        except OSError as error:
            self._stay(job, f"they cannot be read now: {error.strerror}")
            return REST
        except Unreachable:
            return RETRY if self._session() is session else 0.0  # else the session says why
        except ClusterError as error:
            self._stay(job, str(error))
            return RETRY
        return 0.0

    def _stay(self, job: int, why: str) -> None:
        if self._told.get(job) != why:
            self._told[job] = why
            logger.warning("job %d: results stay here for now: %s", job, why)

    def _settled(self, job: int, keys: Sequence[AttemptKey]) -> None:
        """The scheduler has these, or will never want them."""
        waiting = self._waiting[job]
        for key in keys:
            waiting.pop(key, None)
        if not waiting:
            del self._waiting[job]
            self._told.pop(job, None)
        self._outputs.remove_kept(keys)

    async def _known(self, keys: Sequence[AttemptKey], session: Session) -> dict[AttemptKey, WantedResults]:
        """What is wanted of each. Empty: of none of them anything."""
        waiting = self._waiting[keys[0].job]
        unknown = next((key for key in keys if waiting[key] is None), None)
        asked = None
        if unknown is not None:
            asked = await self._ask(unknown, session)
            if asked is None:
                self._unwanted.add(unknown.job)
            for key in keys:
                waiting[key] = waiting[key] or asked
        return {key: wanted for key in keys if (wanted := waiting[key]) is not None}

    async def _ask(self, key: AttemptKey, session: Session) -> WantedResults | None:
        request = scheduler_pb2.WantedResultsRequest(job=key.job, index=key.index, attempt=key.attempt)
        try:
            with calling(session.address):
                answer = await session.stub.WantedResults(request)
        except NotFound as error:
            logger.warning("job %d: the results of %s are not wanted: %s", key.job, key.in_words, error)
            return None
        return WantedResults(tuple(answer.out), answer.max_files, answer.max_bytes) if answer.out else None

    async def _collected(self, keys: Sequence[AttemptKey], wanted: dict[AttemptKey, WantedResults]) -> list[_Found]:
        """Of the first of these, as many as are sent together."""
        found: list[_Found] = []
        files = size = 0
        for key in keys:
            if key not in wanted:
                continue
            directory = self._outputs.kept_directory(key)
            look = partial(_look, directory, key, wanted[key], self._owner)
            one: _Found = await self._in_lane(key.job, look)
            found.append(one)
            files, size = files + len(one.collected.entries), size + one.kept.size
            if files > AT_ONCE_FILES or size > AT_ONCE_BYTES:
                break
        return found

    async def _tell(self, session: Session, kept: Sequence[KeptResults]) -> None:
        request = scheduler_pb2.KeepResultsRequest(results=map(results_to_proto, kept))
        with calling(session.address):
            answer = await session.stub.KeepResults(request)
        for place in answer.refused:
            key = kept[place].key
            logger.warning("job %d: the scheduler does not want the results of %s, which go now", key.job, key.in_words)

    async def _in_lane(self, job: int, call: Callable[[], Any]) -> Any:
        return await self._lanes.run(("results", job), call, PATIENCE)


def _look(directory: str, key: AttemptKey, wanted: WantedResults, owner: int | None) -> _Found:
    """Blocks."""
    collected = collect(directory, wanted, owner)
    contents = {d: Content(size, None, directory, path) for d, (path, size) in collected.paths.items()}
    digest = b""
    if tree := collected.tree():
        digest, content = of_bytes(tree)
        contents[digest] = content
    kept = KeptResults(*key, digest.hex(), collected.files, collected.size, collected.notes)
    return _Found(collected, kept, contents)


def _given_up(key: AttemptKey) -> _Found:
    return _Found(NOTHING, KeptResults(*key, notes=("all is left out: somebody changes the files all the time",)), {})
