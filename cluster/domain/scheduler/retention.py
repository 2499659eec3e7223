"""What is kept of jobs that have ended, for how long and how much of it; and what goes next.

Jobs, the output of jobs, and their files (what was uploaded for them, and their results) go by rules of one kind: older
than so long, or beyond so many bytes, what ended first going first. A job that is deleted takes its output and files
along; where only these go, all else of the job stays.

Never deleted is a job that goes on, that is pinned, that a job which goes on waits for, of which a run goes on, or in
whose tree (what has called it, what it has called) anything goes on: `Bonds` knows these. Output goes of any job that
has ended and is not pinned.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.now import Now
from cluster.domain.base.quantities import format_duration, format_size, parse_duration, parse_size
from cluster.domain.base.wall_time import iso
from cluster.domain.job.dependencies import references_of
from cluster.domain.job.records import JobRecord

DAY = 86400.0  # seconds
FOR_EVER = "forever"
STEADY = 3600.0  # seconds that a clock must have gone on evenly before anything is too old by it
LEAP = 60.0  # seconds: a clock that is set by less has gone on evenly
LEAST_AGE = 1.0  # second
MOST_TOMBSTONES = 20_000  # deleted jobs of which it is remembered when and why they went: the last ones
PIECE_TARGET = 0.01  # seconds that one commit of what goes is to take
FEWEST, MOST = 8, 512  # jobs of which one commit drops rows


class Keep(NamedTuple):
    """How long something is kept after its job has ended, and how much of it. None: without limit."""

    seconds: float | None = None
    size: int | None = None  # bytes

    def __str__(self) -> str:
        """As people type it."""
        parts = []
        if self.seconds is not None:
            days = self.seconds / DAY
            parts.append(f"{days:.0f}d" if days >= 1 and days == int(days) else format_duration(self.seconds))
        if self.size is not None:
            parts.append(format_size(self.size))
        return ", ".join(parts) or FOR_EVER


# Unless somebody says otherwise. Files stay as long as their jobs.
KEEP_JOBS, KEEP_OUTPUT, KEEP_FILES = Keep(365 * DAY), Keep(180 * DAY), Keep()
KEEP_USAGE = Keep(3 * 365 * DAY)  # so that a year can be put beside the one before


def parse_keep(text: str) -> Keep:
    """`90d`, `20 GB`, both as in `90d, 20 GB`, or `forever`. InvalidInput for anything else."""
    if text.strip() == FOR_EVER:
        return Keep()
    keep = Keep()
    for part in text.split(","):
        word = part.strip()
        if not word[-1:].isalpha():
            raise InvalidInput(_WRONG.format(text))
        if word[-1:].lower() == "b" or word[-1:] in "kKMgGtT":
            again, keep = keep.size is not None, keep._replace(size=parse_size(word))
        else:
            again, keep = keep.seconds is not None, keep._replace(seconds=_age(word, text))
        if again:
            raise InvalidInput(_WRONG.format(text))
    if keep.seconds is not None and keep.seconds < LEAST_AGE:
        raise InvalidInput(f"{text!r}: nothing is kept for less than {LEAST_AGE:g} s")
    return keep


def _age(word: str, text: str) -> float:
    try:
        return parse_duration(word)
    except InvalidInput:
        raise InvalidInput(_WRONG.format(text)) from None


def parse_keep_age(text: str) -> Keep:
    """As parse_keep, of what has no size."""
    keep = parse_keep(text)
    if keep.size is not None:
        raise InvalidInput(f"{text!r}: sums of usage go by their age alone: use a time as in 1095d, or forever")
    return keep


_WRONG = (
    "{!r} says neither how long nor how much: use a time as in 90d, a size as in 20GB, both as in 90d,20GB, or forever"
)


class Limits(NamedTuple):
    """What is kept of jobs, of what they have written, of their files, and of the sums of usage."""

    jobs: Keep = KEEP_JOBS
    output: Keep = KEEP_OUTPUT
    files: Keep = KEEP_FILES
    user_files: int | None = None  # bytes of files that the jobs of one user may have; None: no limit
    usage: Keep = KEEP_USAGE  # by age alone
    user_output: int | None = None  # bytes of output that is kept of the jobs of one user; None: no limit

    def why(self, kind: str, *, by_size: bool) -> str:
        """Why something of that kind, a field of this, goes: as of Tombstone."""
        keep: Keep = getattr(self, kind)
        return f"as --keep-{kind} {Keep(size=keep.size) if by_size else Keep(seconds=keep.seconds)} says"

    def without_ages(self) -> "Limits":
        """Only what is beyond so many bytes goes."""
        jobs, output, files = (keep._replace(seconds=None) for keep in (self.jobs, self.output, self.files))
        return self._replace(jobs=jobs, output=output, files=files, usage=Keep())


USUAL_LIMITS = Limits()


def first_day(keep: Keep, now: float) -> int:
    """The first day, counted from the Unix epoch in UTC, of which sums of usage are kept; 0: all are."""
    return 0 if keep.seconds is None else max(0, int((now - keep.seconds) // DAY))


class UserOutputs:
    """How much output of the jobs of each user is kept, and of whom there is too much. Jobs are added when they have
    ended. What goes otherwise (deleted, kept no longer) is not subtracted here: so this is too much at times, and
    before anything goes by it whoever is over it is counted anew."""

    def __init__(self, most: int) -> None:
        """`most`: bytes that are kept of one user's."""
        self._most = most
        self._bytes: dict[str, int] = {}
        self._left: dict[str, int] = {}  # by user: what cannot go, when that was last found to be too much

    def add(self, owner: str, size: int) -> None:
        if size:
            self._bytes[owner] = self._bytes.get(owner, 0) + size

    def over(self) -> list[str]:
        """Who has too much, unless no more than what could not go."""
        return [o for o, size in self._bytes.items() if size > max(self._most, self._left.get(o, 0))]

    def recount(self, owner: str, size: int) -> int:
        """So much it is now. How much of that must go."""
        self._bytes[owner] = size
        return max(0, size - self._most)

    def went(self, owner: str, size: int) -> None:
        """So much went, and no more can just now."""
        self._bytes[owner] = self._left[owner] = self._bytes[owner] - size

    @property
    def sizes(self) -> list[tuple[str, int]]:
        """Bytes by user, most first; never too few."""
        return sorted(self._bytes.items(), key=lambda each: (-each[1], each[0]))


class SteadyClock:
    """Whether ages may be told by the wall clock. One that is wrong for a moment, or at a start, would delete years of
    history at once; who sees that has an hour to set it right."""

    def __init__(self) -> None:
        self._ahead: float | None = None  # of the monotonic clock, seconds
        self._since = 0.0  # on that

    def is_steady(self, now: Now) -> bool:
        """Ask this more often than the clock may be set."""
        ahead = now.wall - now.mono
        if self._ahead is None or abs(ahead - self._ahead) > LEAP:
            self._since = now.mono
        self._ahead = ahead
        return now.mono - self._since >= STEADY


class EndedJob(NamedTuple):
    """What of an ended job is to be known to delete it."""

    ended_at: float
    number: int
    id: str
    owner: str
    root: int


class Pin(NamedTuple):
    """Somebody's wish that a job is kept."""

    by: str  # a user's name
    at: float


class JobPinned(NamedTuple):
    """Persisted as one record. `pin` None: it is not, from now on."""

    job: int
    pin: Pin | None


class Tombstone(NamedTuple):
    """What is remembered of a job that was deleted. Persisted in the commit in which the job goes from where it is
    found; what else there is of it goes later, in pieces, as long as it has `remains`."""

    number: int
    id: str
    owner: str
    at: float
    why: str  # in words that follow `job 5 was deleted on …`

    @property
    def said(self) -> str:
        return f"job {self.number} was deleted on {iso(self.at)}, {self.why}"


class OutputExpired(NamedTuple):
    """What a job has written is not kept any more. Persisted before any of it goes."""

    job: int
    at: float
    why: str

    @property
    def said(self) -> str:
        return f"what it wrote was deleted on {iso(self.at)}, {self.why}"


class FilesExpired(NamedTuple):
    """The files of a job are not kept any more: neither what was uploaded for it nor its results."""

    at: float
    why: str

    @property
    def said(self) -> str:
        return f"its files were deleted on {iso(self.at)}, {self.why}"


class RemainsDropped(NamedTuple):
    """Of the first so many deleted jobs with remains, and of as many whose output has expired, so many rows of each
    table go at most. Persisted as what is not there any more."""

    jobs: int
    rows: int


class RemainsGone(NamedTuple):
    """Of these jobs that were deleted, and of these of which output has expired, nothing is left, in no file either.
    Tombstones beyond MOST_TOMBSTONES go, too."""

    deleted: tuple[int, ...]
    expired: tuple[int, ...]


class SpaceReturned(NamedTuple):
    """The file system gets at most so many pages of the database back that are free."""

    pages: int


class UsageDropped(NamedTuple):
    """At most so many sums of usage of days before this one (as of UsageAdded) go, those of names and workers first.
    Persisted as what is not there any more."""

    before: int
    rows: int


class OutputsWalked(NamedTuple):
    """The output of all jobs that ended before this place, in order of ends, was looked at for expiry."""

    ended_at: float
    job: int


NOTHING_WALKED = OutputsWalked(0.0, 0)


def too_old(ended: Sequence[EndedJob], keep: Keep, now: float) -> list[EndedJob]:
    """Of these, the first to end first, those that are kept no longer by their age."""
    if keep.seconds is None:
        return []
    until = now - keep.seconds
    return [job for job in ended if job.ended_at <= until]


def too_many(sizes: Sequence[int], used: int, keep: Keep) -> int:
    """How many of the first must go, of those that take so many bytes each, so that no more are kept than may be of
    all that are used."""
    if keep.size is None:
        return 0
    for count, size in enumerate(sizes):
        if used <= keep.size:
            return count
        used -= size
    return len(sizes)


def next_piece(jobs: int, took: float) -> int:
    """Of how many jobs the next commit drops rows, after one for so many has taken so many seconds."""
    if took > 2 * PIECE_TARGET:
        return max(FEWEST, jobs // 2)
    return min(MOST, jobs * 2) if took < PIECE_TARGET else jobs


class Bonds:
    """What keeps jobs that have ended from being deleted: pins, and jobs that go on. What is here follows from the
    records of these; pins are persisted."""

    __slots__ = ("_needed", "_roots", "_runs", "deleted", "pins")

    def __init__(self) -> None:
        self.pins: dict[int, Pin] = {}
        self.deleted = IntervalSet()  # since the start: whoever read of them before is told so
        self._needed: dict[int, int] = {}  # by job: how many jobs that go on name it among those that come first
        self._roots: dict[int, int] = {}  # by root of a tree: how many jobs below that go on
        self._runs: dict[int, int] = {}  # by schedule: how many of its runs go on

    def goes_on(self, record: JobRecord) -> None:
        self._count(record, 1)

    def has_ended(self, record: JobRecord) -> None:
        self._count(record, -1)

    def _count(self, record: JobRecord, by: int) -> None:
        if record.callers:
            _add(self._roots, record.root, by)
        if record.schedule:
            _add(self._runs, record.schedule, by)
        if record.spec.waits:
            for text in set(references_of(record.spec)):  # numbers, in the one form
                _add(self._needed, int(text), by)

    def why_kept(self, job: EndedJob, jobs: Collection[int]) -> str:
        """Why the job may not be deleted, in words that follow its number; empty: it may. `jobs`: those in memory."""
        if job.number in jobs:
            return "has not ended"
        if pin := self.pins.get(job.number):
            return f"is pinned by {pin.by}: `cluster job unpin {job.number}`"
        if job.number in self._needed:
            return "is waited for by a job that goes on"
        if job.number in self._runs:
            return "has a run that goes on, which finds what was uploaded with it"
        if job.root in self._roots or (job.root != job.number and job.root in jobs):
            return f"belongs to the tree of job {job.root}, in which a job goes on"
        return ""

    def same_as(self, other: "Bonds") -> bool:
        """Whether both say the same of what goes on."""
        mine, others = ((each._needed, each._roots, each._runs) for each in (self, other))
        return mine == others


def _add(counts: dict[int, int], key: int, by: int) -> None:
    count = counts.get(key, 0) + by
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)
