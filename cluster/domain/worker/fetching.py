"""Assigned attempts whose contents are not on this worker yet: they wait here, and the launcher does not know of them.

A **fetch** gets what some tasks of one job need: its upload and its stdin. All tasks of a job share one; where each
finds an entry of its own (`upload_each`), those that were assigned together do. From its beginning until the last
attempt that uses it has ended the driver keeps what was fetched; then it is released, and may go.

What waits belongs to the session in which it was assigned. When that ends it is forgotten: the next hello does not name
it, so the scheduler gives it out anew. So it needs no leash, and a scheduler that is away is waited for without it.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.rows import file_in
from cluster.domain.job.spec import JobSpec
from cluster.domain.worker.messages import (
    ContentsFetched,
    Define,
    FetchContents,
    FreezeAttempts,
    RecallAttempts,
    ReleaseContents,
    Start,
    StartItem,
    StopAttempts,
    WorkerEffect,
)

LATE = -2  # the launcher's template of what has waited: defined anew for each start, beside those that are remembered


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing


def needs_contents(spec: JobSpec) -> bool:
    """Whether its attempts find anything that must be fetched."""
    return bool(spec.upload or stdin_of(spec))


def stdin_of(spec: JobSpec) -> str:
    """The digest of what each attempt reads, in hex; empty: there is nothing to read."""
    return "" if spec.stdin == EMPTY else spec.stdin


@dataclass(slots=True)
class _Fetch:
    """`keys`: the attempts that use it; of these the `waiting` are started once it is here."""

    define: Define
    keys: set[AttemptKey] = field(default_factory=set)
    waiting: dict[AttemptKey, StartItem] = field(default_factory=dict)
    is_here: bool = False


class Fetches:
    """The fetches of a worker, by their numbers."""

    def __init__(self) -> None:
        self._count = 0
        self._fetches: dict[int, _Fetch] = {}
        self._of_job: dict[int, int] = {}  # of jobs whose tasks share one
        self._of_key: dict[AttemptKey, int] = {}

    def __bool__(self) -> bool:
        """Whether anything here uses contents."""
        return bool(self._fetches)

    def admit(self, define: Define, start: Start) -> list[FetchContents | Start]:
        """What follows of a start by that template: it, if all is here, or nothing yet; and a new fetch."""
        effects: list[FetchContents | Start] = []
        fetch = self._fetches.get(number := self._of_job.get(define.job, 0))
        if fetch is None or define.spec.upload_each:
            self._count = number = self._count + 1
            fetch = self._fetches[number] = _Fetch(define)
            effects.append(_effect_of(number, define, start))
            if not define.spec.upload_each:
                self._of_job[define.job] = number
        for item in start.items:
            fetch.keys.add(item.key)
            self._of_key[item.key] = number
        if fetch.is_here:
            return [*effects, start]
        fetch.waiting.update((item.key, item) for item in start.items)
        return effects

    def fetched(self, event: ContentsFetched, frozen: Container[AttemptKey]) -> list[Define | Start | FreezeAttempts]:
        """Starts what has waited for it. What can never be fetched is started as well, by a template that says why it
        cannot be: so the launcher's journal tells its end, as of any other. `frozen`: what the scheduler wants to stand
        still, of which the launcher has not heard as far as it has waited."""
        fetch = self._fetches.get(event.number)
        if fetch is None or not fetch.waiting:
            return []
        items, fetch.waiting = tuple(fetch.waiting.values()), {}
        fetch.is_here = not event.refusal
        if event.refusal:
            self._forget_of_job(event.number)  # what is assigned later tries again
        still = tuple(item.key for item in items if item.key in frozen)
        freeze = [FreezeAttempts(still, thaw=False)] if still else []
        return [replace(fetch.define, template=LATE, refusal=event.refusal), Start(LATE, items), *freeze]

    def give_back(self, number: int) -> tuple[AttemptKey, ...]:
        """What waits for this one, and does not any more."""
        fetch = self._fetches.get(number)
        return self._drop(fetch.waiting) if fetch is not None else ()

    def take_out(self, effects: list[WorkerEffect]) -> list[AttemptKey]:
        """What waits is taken out of the recalls and stops among these effects: the launcher does not know it."""
        taken: list[AttemptKey] = []
        for place, effect in enumerate(effects):
            if isinstance(effect, RecallAttempts | StopAttempts):
                mine = self._drop(key for key in effect.keys if self._is_waiting(key))
                if mine:
                    taken += mine
                    gone = frozenset(mine)
                    effects[place] = replace(effect, keys=tuple(key for key in effect.keys if key not in gone))
        if taken:
            effects[:] = [e for e in effects if not isinstance(e, RecallAttempts | StopAttempts) or e.keys]
        return taken

    def abandon(self) -> tuple[AttemptKey, ...]:
        """All that waits, and does not any more: its session has ended."""
        return self._drop(key for fetch in self._fetches.values() for key in fetch.waiting)

    def ended(self, key: AttemptKey) -> None:
        """That attempt uses nothing any more."""
        self._drop((key,))

    def keep(self, held: Callable[[AttemptKey], bool]) -> None:
        """Only of what is still held."""
        self._drop(key for key in self._of_key if not held(key))

    def released(self) -> list[ReleaseContents]:
        """What nobody uses since this was asked last."""
        unused = [number for number, fetch in self._fetches.items() if not fetch.keys]
        for number in unused:
            self._forget_of_job(number)
            del self._fetches[number]
        return list(map(ReleaseContents, unused))

    def _is_waiting(self, key: AttemptKey) -> bool:
        number = self._of_key.get(key)
        return number is not None and key in self._fetches[number].waiting

    def _drop(self, keys: Iterable[AttemptKey]) -> tuple[AttemptKey, ...]:
        dropped = tuple(keys)
        for key in dropped:
            if (number := self._of_key.pop(key, None)) is not None:
                self._fetches[number].keys.discard(key)
                self._fetches[number].waiting.pop(key, None)
        return dropped

    def _forget_of_job(self, number: int) -> None:
        job = self._fetches[number].define.job
        if self._of_job.get(job) == number:
            del self._of_job[job]


def _effect_of(number: int, define: Define, start: Start) -> FetchContents:
    spec = define.spec
    paths = tuple(_file_of(item) for item in start.items) if spec.upload_each else None
    return FetchContents(number, define.job, spec.upload, stdin_of(spec), paths, spec.upload_beside)


def _file_of(item: StartItem) -> bytes:
    """Empty where its row names none: then its slot says so."""
    try:
        return file_in((item.line or b"").decode(errors="surrogateescape"))
    except ValueError:
        return b""
