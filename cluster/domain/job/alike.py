"""Jobs that are alike: of one owner, asking for the same, with commands that begin with the same words.

What one of them took the next will take, too, or so it is guessed: a worker gets some of them in advance, as it gets
tasks of one array. The guess is a cautious one. It is the longest run lately, and no more is given in advance by it
than have ended by now.
"""

from cluster.domain.job.records import JobRecord
from cluster.domain.job.request import Request

WORDS = 2  # of the command that are looked at, as in `python3 train.py`
MOST_KNOWN = 1000  # kinds; those that were met last
FADES = 0.2  # how much of what a run was shorter the guess loses


class Alike:
    """What was measured of the jobs of one kind."""

    __slots__ = ("ended", "run")

    def __init__(self) -> None:
        self.run: float | None = None  # seconds that the next one takes at most, probably; None: nothing is known
        self.ended = 0

    def note(self, run: float) -> None:
        """One of them, or some tasks of one, took so many seconds."""
        self.ended += 1
        self.run = run if self.run is None or run > self.run else self.run + FADES * (run - self.run)


class JobsAlike:
    """The kinds that were met lately."""

    def __init__(self) -> None:
        self._known: dict[object, Alike] = {}  # the one that was met last is last

    def of(self, record: JobRecord, request: Request) -> Alike:
        """What is measured of the jobs that are like this one."""
        spec = record.spec
        kind = (record.owner, request, spec.argv[:WORDS], spec.script, hash(spec.script_text))
        found = self._known[kind] = self._known.pop(kind) if kind in self._known else Alike()
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return found
