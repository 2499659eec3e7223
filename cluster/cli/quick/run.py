"""`cluster run`, quick: a job that ends within a moment, and well."""

import os
import select
import stat
import time
from collections.abc import Sequence
from typing import Any

from cluster.cli.quick.head_start import HeadStart
from cluster.cli.quick.jobs import submission
from cluster.cli.quick.nearby import Nearby
from cluster.cli.quick.options import QUIET, Own, of_job
from cluster.client.local import Call, Elsewhere, wait_for
from cluster.domain.job import endings
from cluster.domain.job.states import TaskState
from cluster.rpc.quick_messages import message_class

MOMENT = 0.5  # seconds: whoever has a job that takes longer does not notice what the whole command line takes to load
STDERR = 2
CLOSING = 0.05  # seconds in which whoever has started us with a pipe, and nothing to say, closes it
NO_STDIN: Own = {**QUIET, "--no-stdin": ("no_stdin", None)}


def run(words: Sequence[str], head_start: HeadStart) -> int:
    """As cluster.cli.submit.run. Elsewhere with `head_start` as far as it came."""
    options, fields, command = of_job(words, NO_STDIN)
    nearby = Nearby()
    if not (nearby.token or options.get("no_stdin")) and _is_fed():
        raise Elsewhere("the job may get something to read")
    request = submission(head_start.job_id, fields, command, nearby)
    return _Run(nearby, head_start).follow(request)


def _is_fed() -> bool:
    """Whether our stdin may be for the job: a file that has not been read, or a pipe that has not ended."""
    try:
        found = os.fstat(0)
    except OSError:
        return False
    if stat.S_ISREG(found.st_mode):
        return os.lseek(0, 0, os.SEEK_CUR) < found.st_size
    if not (stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        return False
    poll = select.poll()
    poll.register(0, select.POLLIN)
    return [event for _, event in poll.poll(CLOSING * 1000)] != [select.POLLHUP]


class _Run:
    def __init__(self, nearby: Nearby, head_start: HeadStart) -> None:
        self._nearby = nearby
        self._head_start = head_start
        self._until = time.monotonic() + MOMENT
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        head_start.catch_signals(lambda: os.write(self._wake, b"."))
        self._calls: list[Call] = []

    def follow(self, request: Any) -> int:
        """The job's exit code."""
        try:
            handing_in = self._call("Submit", request)
            self._head_start.sent = True
            while not handing_in.ended:
                self._wait_for(handing_in)
                for answer in handing_in.received():
                    self._head_start.accepted = answer.job
            if self._head_start.accepted is None or self._head_start.accepted.no_worker_can:
                raise Elsewhere("there is something to say about that")
            return self._to_its_end()
        finally:
            for call in self._calls:
                call.close()

    def _to_its_end(self) -> int:
        selector = {"text": self._head_start.job_id}
        output = self._call(
            "ReadOutput", message_class("ReadOutputRequest")(selector=selector, stdout=True, stderr=True, follow=True)
        )
        watch = self._call("Wait", message_class("WaitRequest")(selectors=[selector]))
        job = self._head_start.accepted
        while going := [call for call in (output, watch) if not call.ended]:
            for call in self._wait_for(*going):
                for answer in call.received():
                    if call is watch:
                        job = answer.jobs[0] if answer.jobs else job
                    else:
                        self._write(answer)
        if job.state == TaskState.SUCCEEDED:
            return 0
        if job.state == TaskState.FAILED and endings.is_own_code(job.reason):
            return int(job.exit_code)
        raise Elsewhere("there is something to say about that")

    def _call(self, method: str, request: Any) -> Call:
        call = Call(self._nearby.socket, method, request, self._nearby.token)
        self._calls.append(call)
        return call

    def _wait_for(self, *calls: Call) -> list[Call]:
        """The calls that have more to read. Elsewhere at the end of the moment, and for a signal."""
        ready = wait_for([*calls, self._woken], self._until)
        if not ready or self._woken in ready:
            raise Elsewhere("it takes longer than a moment, or a signal came")
        return [call for call in calls if call in ready]

    def _write(self, piece: Any) -> None:
        if piece.note:
            raise Elsewhere("there is something to say about that")
        before = self._head_start.position
        if before is None or before[:3] != (piece.job, piece.task_number, piece.attempt):
            before = (piece.job, piece.task_number, piece.attempt, 0, 0)
        out, err = (before[3], piece.end) if piece.stderr else (piece.end, before[4])
        self._head_start.position = (*before[:3], out, err)
        self._head_start.unwritten.append((piece.stderr, piece.data))
        self._write_out()

    def _write_out(self) -> None:
        """Writes all that was read. Elsewhere where our reader is slow: a signal must not wait for it."""
        unwritten = self._head_start.unwritten
        while unwritten:
            stderr, data = unwritten[0]
            fd = STDERR if stderr else 1
            if data and not select.select([], [fd], [], 0)[1]:
                raise Elsewhere("its reader is slow")
            written = os.write(fd, data[: select.PIPE_BUF]) if data else 0
            if written < len(data):
                unwritten[0] = (stderr, data[written:])
            else:
                del unwritten[0]
