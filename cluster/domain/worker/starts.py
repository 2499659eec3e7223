"""From what the scheduler assigns to what the launcher is told: which template, and what differs between attempts."""

from collections.abc import Container
from dataclasses import replace

from cluster.domain.base.ids import AttemptKey
from cluster.domain.session.messages import Assign
from cluster.domain.session.spec_memory import SpecMemory
from cluster.domain.worker.fetching import Fetches, needs_contents
from cluster.domain.worker.messages import Define, FetchContents, Start, StartItem


class Starts:
    """One session's starts: with the next, both sides begin anew to remember specs."""

    def __init__(self, fetches: Fetches) -> None:
        """`fetches`: where those wait whose contents are not here yet."""
        self._specs: SpecMemory[Define] = SpecMemory()
        self._fetches = fetches

    def of(self, assign: Assign, taken: Container[AttemptKey]) -> list[Define | Start | FetchContents] | None:
        """What starts those of the assigned that are taken, or fetches what they need first. None: the spec did not
        come with it, and is not known."""
        job = assign.attempts.job
        remembered = self._specs.get(job)
        effects: list[Define | Start | FetchContents] = []
        if assign.spec is not None and (remembered is None or remembered.what.spec != assign.spec):
            define = Define(0, job, assign.job_id, assign.spec, assign.leash, assign.owner)
            define = replace(define, template=self._specs.remember(job, assign.spec, define))
            effects.append(define)
        elif remembered is not None:
            define = replace(remembered.what, template=remembered.number)
        else:
            return None
        if items := _items(assign, define, taken):
            start = Start(define.template, items)
            effects += self._fetches.admit(define, start) if needs_contents(define.spec) else [start]
        return effects


def _items(assign: Assign, define: Define, taken: Container[AttemptKey]) -> tuple[StartItem, ...]:
    items = []
    for position, key in enumerate(assign.attempts):
        if key in taken:
            line = assign.lines[position] if assign.lines else None
            number = define.spec.number_of(key.index) if define.spec.array else None
            items.append(StartItem(key, number, line))
    return tuple(items)
