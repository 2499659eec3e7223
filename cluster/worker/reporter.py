"""Reports on their way out: the small outputs are read, and the large ones made durable before anybody is told of them.

Both is done in a thread. Heartbeats pass by meanwhile: the disk must not cost the lease.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.records import SmallOutput
from cluster.domain.worker.messages import SendHeartbeat, SendReport
from cluster.rpc.convert import report_to_proto
from cluster.v1 import room_pb2, scheduler_pb2
from cluster.worker.agent_pipeline import ReportQueue
from cluster.worker.output.files import Outputs
from cluster.worker.output.lanes import Lanes
from cluster.worker.session import Session

logger = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for the outputs of one report; the file that is looked at then is left out


class Reporter:
    """Sends one report after another. To be used from one event loop."""

    def __init__(
        self,
        outputs: Outputs,
        lanes: Lanes,
        session: Callable[[], Session | None],
        fetching: Callable[[], Sequence[scheduler_pb2.Fetching]],
        room: Callable[[], room_pb2.WorkerRoom | None],
    ) -> None:
        """`session` answers the present one, `fetching` what is being fetched, `room` what things take."""
        self._room = room
        self._fetching = fetching
        self._outputs = outputs
        self._lanes = lanes
        self._session = session
        self._queue = ReportQueue(self._send)
        self._task: asyncio.Task[None] | None = None

    def report(self, effect: SendReport) -> None:
        self._queue.report(effect)
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    def heartbeat(self, effect: SendHeartbeat) -> None:
        self._queue.heartbeat(effect)

    def cancel(self) -> None:
        """The session is over."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _send(self, item: SendReport | SendHeartbeat) -> None:
        session = self._session()
        if session is None:
            return
        if isinstance(item, SendReport):
            session.send(scheduler_pb2.SessionRequest(report=report_to_proto(item.report)))
        else:
            said = scheduler_pb2.SessionRequest(heartbeat=item.sequence, no_room=item.no_room)
            said.fetching.extend(self._fetching())
            if room := self._room():
                said.room.CopyFrom(room)
            session.send(said)

    async def _work(self) -> None:
        session = self._session()
        steps = self._queue.steps()
        try:
            item = next(steps)
            while session is not None:
                item = steps.send(await self._made_ready(item))
        except StopIteration:
            pass
        except OSError as error:  # reported as empty it would be lost; the next session reports all of it again
            assert session is not None
            session.close(f"no output can be read for a report: {error.strerror}")
            return
        self._queue.clear()  # of a session that is over
        self._task = None

    async def _made_ready(self, effect: SendReport) -> list[SmallOutput]:
        """The small outputs that go with it. OSError when we lack something to read them."""
        found: list[SmallOutput] = []
        left = [*((key, False) for key in effect.large), *((key, True) for key in effect.small)]
        while left:
            look = _Look(self._outputs, left)
            try:
                await self._lanes.run(look, look.through, PATIENCE)
                left = []
            except OSError as error:
                if error.errno != errno.ETIMEDOUT:
                    raise
                left = left[len(look.done) + 1 :]
            found += [output for output in look.done if output]
            if left or len(look.done) < len(look.wanted):
                key = look.wanted[len(look.done)][0]
                logger.warning(
                    "job %d: the output of %s does not answer; its end is reported without", key.job, key.in_words
                )
        return found


class _Look:
    """One way through the outputs of a report, in a thread. It may hang at any of them."""

    def __init__(self, outputs: Outputs, wanted: Sequence[tuple[AttemptKey, bool]]) -> None:
        """`wanted`: attempts, each with whether its output is small."""
        self._outputs = outputs
        self.wanted = wanted
        self.done: list[SmallOutput | None] = []

    def through(self) -> None:
        jobs = set()
        for key, is_small in self.wanted:
            if is_small:
                self.done.append(self._outputs.read_small(key))
                continue
            if key.job not in jobs:  # else a power cut could take the file with its name
                jobs.add(key.job)
                self._outputs.sync_directory(key.job)
            self._outputs.sync(key)
            self.done.append(None)
