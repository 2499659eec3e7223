"""A workflow: jobs that are handed in together, of which some wait for others.

Within a workflow `after` and its like may name jobs of the same call, by their names or UUIDs, in any order: there a
name means the job of the call, whatever older jobs have that name. Here such references become UUIDs, and the jobs get
an order in which each comes after all of the call that it waits for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.dependencies import DependencyKind, check_each, check_reference, with_references
from cluster.domain.job.selectors import check_name
from cluster.domain.job.spec import JobSpec, validate

MAX_JOBS = 20_000  # of one call
MOST_SHOWN = 20  # jobs of a circle that an error names


class NewJob(NamedTuple):
    """A job that is not there yet."""

    id: str  # its UUID, made by the submitter
    spec: JobSpec


class WrongWait(InvalidInput):
    """The job at that place cannot wait in that way as it says: `kind`."""

    def __init__(self, place: int, kind: DependencyKind, text: str) -> None:
        super().__init__(text)
        self.place, self.kind = place, kind


class Workflow:
    """Jobs of one call, in the order in which they were given."""

    def __init__(self, jobs: Sequence[NewJob]) -> None:
        """InvalidInput for a UUID that comes twice, and for more than MAX_JOBS."""
        if len(jobs) > MAX_JOBS:
            raise InvalidInput(f"{len(jobs)} jobs in one call: the most are {MAX_JOBS}; hand them in by several calls")
        self.jobs = jobs
        self._place = {job.id: place for place, job in enumerate(jobs)}
        if len(self._place) < len(jobs):
            twice = next(job.id for place, job in enumerate(jobs) if self._place[job.id] != place)
            raise InvalidInput(f"job id {twice} comes twice in one call: make a new UUID for each job")
        self._named: dict[str, list[int]] = {}
        for place, job in enumerate(jobs):
            if job.spec.name:
                self._named.setdefault(job.spec.name, []).append(place)

    def validate(self) -> None:
        """InvalidInput for a job that could never run, a circle, and words that mean no job that could be waited for,
        or several."""
        for place, (_, spec) in enumerate(self.jobs):
            try:
                validate(spec)
                check_name(spec.name)
            except InvalidInput as error:
                raise InvalidInput(f"{self.job(place)}: {error}") from None
        self.order()

    def called(self, place: int) -> str:
        """What people know the job at that place by."""
        return self.jobs[place].spec.name or f"number {place + 1} of the call"

    def job(self, place: int) -> str:
        return f"job {self.called(place)}"

    def meant(self, text: str) -> int | None:
        """The place of the job of this call that a reference means; None: it means none of them. InvalidInput where it
        means several."""
        text = text.strip()
        if (place := self._place.get(text)) is not None:
            return place
        places = self._named.get(text, ())
        if len(places) > 1:
            raise InvalidInput(f"{len(places)} jobs of this call are called {text!r}: give each a name of its own")
        return places[0] if places else None

    def waits_for(
        self, place: int, kinds: Iterable[DependencyKind] = DependencyKind
    ) -> Iterator[tuple[DependencyKind, str, int | None]]:
        """All that the job waits for in these ways: how, by which words, and which job of the call that is (None: an
        older one). InvalidInput for words that mean no job that could be waited for."""
        for kind in kinds:
            for text in getattr(self.jobs[place].spec, kind.value):
                try:
                    other = self.meant(text)
                    if other is None:
                        check_reference(text)
                except InvalidInput as error:
                    raise WrongWait(place, kind, f"{self.job(place)}: {_flag(kind)} {text}: {error}") from None
                yield kind, text, other

    def outside(self) -> Iterable[tuple[str, int]]:
        """The words that mean jobs which are there already, stripped, each with the place of the first that says it."""
        found: dict[str, int] = {}
        for place, job in enumerate(self.jobs):
            if job.spec.waits:
                for _, text, other in self.waits_for(place):
                    if other is None:
                        found.setdefault(text.strip(), place)
        return found.items()

    def in_order(self, numbers: Mapping[str, int]) -> tuple[NewJob, ...]:
        """The jobs, each after those of the call that it waits for, and otherwise as given; what they wait for is named
        by UUIDs of the call, and by the numbers that `outside` was found to mean. InvalidInput names a circle, and
        tasks that do not go together one by one."""
        return tuple(self._named_anew(place, numbers) for place in self.order())

    def order(self) -> list[int]:
        """The places in that order. InvalidInput names a circle."""
        order: list[int] = []
        done: dict[int, bool] = {}  # False: what comes before it is being looked at
        for start in range(len(self.jobs)):
            way = [] if start in done else [(start, self._before(start))]
            while way:
                place, others = way[-1]
                done.setdefault(place, False)
                other = next((other for other in others if not done.get(other)), None)
                if other is None:
                    done[place] = True
                    order.append(place)
                    way.pop()
                elif other in done:
                    places = [place for place, _ in way]
                    raise self._circle(places[places.index(other) :])
                else:
                    way.append((other, self._before(other)))
        return order

    def _before(self, place: int) -> Iterator[int]:
        """Those of the call that the job waits for."""
        if not self.jobs[place].spec.waits:
            return iter(())
        return (other for _, _, other in self.waits_for(place) if other is not None)

    def _named_anew(self, place: int, numbers: Mapping[str, int]) -> NewJob:
        job_id, spec = self.jobs[place]
        if not spec.waits:
            return self.jobs[place]
        said: dict[str, str] = {}
        for kind, text, other in self.waits_for(place):
            said[text] = str(numbers[text.strip()]) if other is None else self.jobs[other].id
            if other is not None and kind is DependencyKind.EACH:
                try:
                    check_each(self.job(place), self.job(other), self.jobs[other].spec, spec)
                except InvalidInput as error:
                    raise WrongWait(place, kind, str(error)) from None
        if all(text == name for text, name in said.items()):
            return self.jobs[place]
        return NewJob(job_id, with_references(spec, said.__getitem__))

    def _circle(self, places: Sequence[int]) -> WrongWait:
        first, following = places[0], places[1 % len(places)]
        kind = next(kind for kind, _, other in self.waits_for(first) if other == following)
        names = [self.called(place) for place in places]
        shown = [*names[:MOST_SHOWN], "…"] if len(names) > MOST_SHOWN else names
        return WrongWait(
            first,
            kind,
            f"these jobs wait for each other in a circle: {' -> '.join([*shown, names[0]])} (each waits for the next); "
            "take one of these dependencies out",
        )


def _flag(kind: DependencyKind) -> str:
    return f"--{kind.value.replace('_', '-')}"
