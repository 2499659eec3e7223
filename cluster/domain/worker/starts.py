"""From what the scheduler assigns to what the launcher is told: which template, and what differs between attempts."""

from collections.abc import Container

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.spec import JobSpec
from cluster.domain.session.messages import Assign
from cluster.domain.session.spec_memory import SpecMemory
from cluster.domain.worker.messages import Define, Start, StartItem


class Starts:
    """One session's starts: with the next, both sides begin anew to remember specs."""

    def __init__(self) -> None:
        self._specs: SpecMemory[JobSpec] = SpecMemory()

    def of(self, assign: Assign, taken: Container[AttemptKey]) -> list[Define | Start] | None:
        """What starts those of the assigned that are taken. None: the spec did not come with it, and is not known."""
        job = assign.attempts.job
        remembered = self._specs.get(job)
        effects: list[Define | Start] = []
        if assign.spec is not None and (remembered is None or remembered.what != assign.spec):
            spec, template = assign.spec, self._specs.remember(job, assign.spec, assign.spec)
            effects.append(Define(template, job, assign.job_id, spec, assign.leash, assign.owner))
        elif remembered is not None:
            spec, template = remembered.what, remembered.number
        else:
            return None
        items = []
        for position, key in enumerate(assign.attempts):
            if key in taken:
                line = assign.lines[position] if assign.lines else None
                number = spec.number_of(key.index) if spec.array else None
                items.append(StartItem(key, number, line))
        return [*effects, Start(template, tuple(items))] if items else effects
