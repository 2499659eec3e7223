"""Which UUIDs may be those of ended jobs, which the store alone knows by heart.

Submitters make UUIDs of version 7, which begin with the time and so ascend: one above all that there have been is new.
What counts there is only a UUID that is not ahead of the scheduler's clock when it comes. Those that are ahead, because
a clock goes wrong or somebody makes them up, are known apart, and so are those of other versions: or one UUID of
ffffffff-… would have the store asked about every later submission of anybody.

Nothing is ever taken for new that is not; the rare one that is new and not known to be costs a look into the store.
"""

from collections.abc import Iterable

LEEWAY = 60.0  # seconds that the clock of a submitter may be ahead of the scheduler's, and its UUIDs count as usual
_OLD = 3600.0  # seconds after which UUIDs that were ahead need not be known apart: everybody's are above them by then
_FEW = 64  # groups of those that were ahead, that are not worth to be looked through


class EndedIds:
    def __init__(self, usual: str = "", others: str = "", ahead: Iterable[str] = ()) -> None:
        """The highest of the usual ones and of those of other versions, or any above that; and the highest of each
        `group` of those that are ahead."""
        self._usual = usual
        self._others = others
        self._ahead = {group(job_id): job_id for job_id in ahead}
        self._most_ahead = max(_FEW, 2 * len(self._ahead))

    def add(self, job_id: str, submitted_at: float) -> None:
        """A job has ended that was submitted then, in Unix time of the scheduler."""
        if not _is_version_7(job_id):
            self._others = max(self._others, job_id)
        elif job_id < lowest_at(submitted_at + LEEWAY):
            self._usual = max(self._usual, job_id)
        else:
            self._ahead[group(job_id)] = max(self._ahead.get(group(job_id), ""), job_id)
            if len(self._ahead) > self._most_ahead:
                self._forget_old(submitted_at)

    def may_have(self, job_id: str) -> bool:
        """Whether that may be the UUID of a job that has ended. False: it certainly is not."""
        if not _is_version_7(job_id):
            return job_id <= self._others
        return job_id <= max(self._usual, self._ahead.get(group(job_id), ""))

    def _forget_old(self, now: float) -> None:
        self._usual = max(self._usual, lowest_at(now - _OLD))
        self._ahead = {near: job_id for near, job_id in self._ahead.items() if job_id > self._usual}
        self._most_ahead = max(_FEW, 2 * len(self._ahead))


def lowest_at(seconds: float) -> str:
    """What every UUID of version 7 that was made at that Unix time, or later, is above."""
    millis = f"{max(0, int(seconds * 1000)):012x}"
    return f"{millis[:8]}-{millis[8:]}"


def group(job_id: str) -> str:
    """Those of one group were made within 66 s of each other."""
    return job_id[:8]


def _is_version_7(job_id: str) -> bool:
    return job_id[14:15] == "7"
