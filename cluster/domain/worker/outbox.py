"""The worker's outbox: the stretch of the launcher's journal that the scheduler has not acknowledged yet."""

from collections.abc import Iterable
from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended
from cluster.domain.session.messages import Attempts
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.report_making import MAX_DETAIL, output_is_large, output_is_small

REPORT_ENTRIES = 4096  # in one report
REPORT_BYTES = 1 << 20  # of small outputs and reasons in one report; a message of gRPC holds 4 MiB
# Seconds between two reports. One costs scheduler, agent and who follows a job as much as hundreds of ends that it
# tells of, so under load it carries many: after one with MANY entries, none with output that somebody may wait for, the
# next takes longer. But not if it tells of an attempt that is all that its job has here. Nor if as many entries wait
# for it as attempts wait here to start: more work is to come before there is none.
REPORT_EVERY, LONG_REPORT_EVERY = 0.03, 0.2
MANY = 40


class Acknowledged(NamedTuple):
    """Attempts whose ends the scheduler knows now, by what is to be done about their outputs."""

    to_push: tuple[AttemptKey, ...] = ()
    to_remove: tuple[AttemptKey, ...] = ()


class Outbox:
    """One report is under way at a time; what happens meanwhile is for the next."""

    def __init__(self) -> None:
        self.ended: dict[AttemptKey, Ended] = {}  # the ends among all that is in here
        self._sent: list[JournalEntry] = []  # in this session
        self._unwanted: set[AttemptKey] = set()  # ends that are under way and will not be taken
        self._unsent: list[JournalEntry] = []
        self._hurries = False  # somebody may wait for something that is unsent
        self._last = 0  # sequence of the last entry that was seen
        self._settled = 0
        self._sent_at, self._sent_many = -LONG_REPORT_EVERY, False  # the last report in this session

    def saw(self, sequence: int) -> None:
        """The journal has come this far, whether or not that entry concerns the scheduler."""
        self._last = sequence

    def add(self, entry: JournalEntry, *, alone: bool) -> None:
        """`alone`: its job has no other attempt here."""
        self._unsent.append(entry)
        self._hurries = self._hurries or alone
        if isinstance(entry.what, Ended):
            self.ended[entry.key] = entry.what

    @property
    def is_empty(self) -> bool:
        return not (self._sent or self._unsent)

    @property
    def may_report(self) -> bool:
        """Whether something is unsent and nothing under way."""
        return bool(self._unsent) and not self._sent

    def next_report_at(self, backlog: int) -> float:
        """When the next report is due. `backlog`: how many attempts wait here to start."""
        gathers = self._sent_many and not self._hurries and 0 < len(self._unsent) < backlog
        return self._sent_at + (LONG_REPORT_EVERY if gathers else REPORT_EVERY)

    def take(self, now: float) -> list[JournalEntry]:
        """The entries of the next report, which is now under way: as many as fit into one. While another is under way
        there are none."""
        self._sent_at = now
        if self._sent:
            return []
        size = count = 0
        for entry in self._unsent[:REPORT_ENTRIES]:
            size += _size(entry)
            if size > REPORT_BYTES and count:
                break
            count += 1
        self._sent, self._unsent = self._unsent[:count], self._unsent[count:]
        self._hurries = bool(self._unsent)
        self._sent_many = count >= MANY and not size
        return self._sent

    def resend(self) -> None:
        """What was under way may not have arrived: a new session says it again."""
        self._unwanted.clear()
        self._unsent, self._sent = self._sent + self._unsent, []
        self._sent_at = -LONG_REPORT_EVERY

    def acknowledge(self, sequence: int) -> Acknowledged:
        """The report up to that entry has arrived: what becomes of the outputs of the ends that it told of."""
        if not self._sent or sequence < self._sent[-1].what.seq:
            return Acknowledged()
        ends = [(entry.key, entry.what) for entry in self._sent if isinstance(entry.what, Ended)]
        unwanted, self._sent, self._unwanted = self._unwanted, [], set()
        self._forget(key for key, _ in ends)
        # Nobody knows what a lost attempt wrote, so whatever there is is pushed. Nor has anybody taken what rode along
        # with an end that was not wanted.
        return Acknowledged(
            tuple(key for key, end in ends if output_is_large(end) or end.reason == endings.LOST or key in unwanted),
            tuple(key for key, end in ends if output_is_small(end) and key not in unwanted),
        )

    def drop(self, attempts: Attempts) -> tuple[AttemptKey, ...]:
        """Nobody wants to hear of these; answers which of them had ended. What is under way stays until it is
        acknowledged: the scheduler ignores what it has disowned."""
        self._unwanted.update(e.key for e in self._sent if isinstance(e.what, Ended) and e.key in attempts)
        ended = tuple(e.key for e in self._unsent if isinstance(e.what, Ended) and e.key in attempts)
        self._unsent = [entry for entry in self._unsent if entry.key not in attempts]
        self._forget(ended)
        return ended

    def newly_settled(self) -> int | None:
        """Everything up to this entry of the journal needs no report any more. None: no more than last time."""
        oldest = self._sent or self._unsent
        settled = oldest[0].what.seq - 1 if oldest else self._last
        if settled <= self._settled:
            return None
        self._settled = settled
        return settled

    def _forget(self, keys: Iterable[AttemptKey]) -> None:
        for key in keys:
            self.ended.pop(key, None)


def _size(entry: JournalEntry) -> int:
    """Bytes that come with its end: output that rides along, and the reason, whose characters may take four each."""
    if not isinstance(entry.what, Ended):
        return 0
    output = entry.what.out + entry.what.err if output_is_small(entry.what) else 0
    return output + 4 * min(MAX_DETAIL, len(entry.what.text))
