"""The attempts of the cluster that the launcher holds, as far as it has told: those that run, and its backlog.

What it holds of the worker's own API is not the cluster's (`messages.OWN`), and not in here.
"""

from collections import Counter
from collections.abc import Iterable

from cluster.domain.base.ids import AttemptKey
from cluster.domain.session.messages import Attempts
from cluster.domain.worker.messages import OWN


class HeldAttempts:
    def __init__(
        self,
        running: Iterable[AttemptKey] = (),
        backlog: Iterable[AttemptKey] = (),
        frozen: Iterable[AttemptKey] = (),
    ) -> None:
        """Takes the keys of a launcher's hello."""
        self.running = {key: None for key in running if key.job != OWN}
        self.backlog = {key: None for key in backlog if key.job != OWN}
        self.frozen = {key: None for key in frozen if key.job != OWN}  # or to be, once they run
        self._count_of_job = Counter(key.job for key in self.all)

    def __contains__(self, key: AttemptKey) -> bool:
        return key in self.running or key in self.backlog

    def __len__(self) -> int:
        return len(self.running) + len(self.backlog)

    @property
    def all(self) -> tuple[AttemptKey, ...]:
        return (*self.running, *self.backlog)

    def count_of(self, job: int) -> int:
        """How many attempts of that job are held."""
        return self._count_of_job[job]

    def those_of(self, attempts: Attempts) -> tuple[AttemptKey, ...]:
        """Which of these are held. The cost grows with the smaller of the two."""
        if attempts.count > len(self):
            return tuple(key for key in self.all if key in attempts)
        return tuple(key for key in attempts if key in self)

    def assigned(self, key: AttemptKey) -> None:
        if key not in self:
            self._count_of_job[key.job] += 1
        self.backlog[key] = None

    def started(self, key: AttemptKey) -> None:
        """Told again after a reconnect, it may have ended meanwhile; then that is told next."""
        if key not in self:
            self._count_of_job[key.job] += 1
        self.backlog.pop(key, None)
        self.running[key] = None

    def freeze(self, attempts: Attempts, *, thaw: bool) -> tuple[AttemptKey, ...]:
        """Of these, those that are held and were not frozen are from now on; with `thaw`, the other way round."""
        changed = tuple(key for key in self.those_of(attempts) if (key in self.frozen) is thaw)
        for key in changed:
            if thaw:
                del self.frozen[key]
            else:
                self.frozen[key] = None
        return changed

    def ended(self, key: AttemptKey) -> None:
        if key not in self:
            return
        self.backlog.pop(key, None)
        self.running.pop(key, None)
        self.frozen.pop(key, None)
        self._count_of_job[key.job] -= 1
        if not self._count_of_job[key.job]:
            del self._count_of_job[key.job]
