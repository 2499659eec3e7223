"""Finding jobs by owner and name, for whoever asks often: kept as jobs come, not gathered for each question."""

from collections import defaultdict
from collections.abc import Sequence, Set

from cluster.domain.job.records import JobRecord


class Catalogue:
    """Numbers of jobs, each list ascending. What is answered is the list itself: it grows, and is not to be changed."""

    def __init__(self) -> None:
        self._all: list[int] = []
        self._owned: defaultdict[str, list[int]] = defaultdict(list)
        self._named: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, record: JobRecord) -> None:
        """The newest job."""
        self._all.append(record.number)
        self._owned[record.owner].append(record.number)
        if record.spec.name:
            self._named[record.spec.name].append(record.number)

    def without(self, numbers: Set[int]) -> "Catalogue":
        """The same without these jobs."""
        if not numbers:
            return self
        rest = Catalogue()
        rest._all = [number for number in self._all if number not in numbers]
        for theirs, ours in ((self._owned, rest._owned), (self._named, rest._named)):
            ours.update((key, [number for number in found if number not in numbers]) for key, found in theirs.items())
        return rest

    def numbers(self, owner: str | None = None) -> Sequence[int]:
        """Of the jobs of that owner; None: of all."""
        return self._all if owner is None else self._owned.get(owner, ())

    def named(self, name: str) -> Sequence[int]:
        """Of the jobs of that name, whoever owns them."""
        return self._named.get(name, ())
