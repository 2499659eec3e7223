"""What each worker of a pool will offer, so far as that is known before it is there; and how much fits into it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cluster.domain.job.request import Request


@dataclass(frozen=True, slots=True)
class Shape:
    """`amounts`: of each resource beside cpus, memory in bytes, gpus counted. `meets`: whether what a request needs of
    its worker (`--need`) would be true of such a one."""

    millicpus: int
    amounts: Mapping[str, int] = field(default_factory=dict)
    meets: Callable[[str], bool] = lambda need: not need

    def takes(self, request: Request) -> bool:
        """Whether such a worker could run a task of that class. Who asks for one worker by name waits for that one."""
        beside = request.beside
        if request.worker or request.millicpus > self.millicpus:
            return False
        if beside is None:
            return True
        enough = all(self.amounts.get(name, 0) >= amount for name, amount in beside.amounts)
        return enough and (not beside.need or self.meets(beside.need))


class Bin:
    """The room of one worker that is there and idle, or comes."""

    __slots__ = ("_amounts", "_millicpus", "_untouched", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._millicpus = shape.millicpus
        self._amounts = dict(shape.amounts)
        self._untouched = True

    def put(self, request: Request, tasks: int) -> int:
        """How many of these tasks it takes; they are in it from now on."""
        if self._millicpus <= 0 or not self.shape.takes(request):
            return 0
        most = min(tasks, self._millicpus // request.millicpus)
        if request.beside is not None:
            for name, amount in request.beside.amounts:
                most = min(most, self._amounts[name] // amount if amount else most)
            if request.beside.exclusive:
                most = min(most, 1) if self._untouched else 0
        if most > 0:
            self._take(request, most)
        return max(0, most)

    def _take(self, request: Request, tasks: int) -> None:
        self._untouched = False
        self._millicpus -= tasks * request.millicpus
        if request.beside is not None:
            for name, amount in request.beside.amounts:
                self._amounts[name] -= tasks * amount
            if request.beside.exclusive:
                self._millicpus = 0
