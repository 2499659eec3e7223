"""What an operator reads in the log about jobs: when one is accepted, when it ends, and what was lost meanwhile."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobProgress, JobRecord, TaskEnd
from cluster.domain.job.states import ENDED
from cluster.domain.scheduler.uncommitted import Saved
from cluster.domain.scheduler.worker_record import WorkerRecord

logger = logging.getLogger(__name__)

_TOLD_OF = {JobRecord, JobProgress, WorkerRecord, TaskEnd}

FEW = 20  # jobs of which each has a line; of more that are accepted, or end, in one commit all have one


def tell(saves: Iterable[Saved], jobs: Mapping[int, Job]) -> None:
    """Logs what these say of jobs. They must be on disk."""
    lost: defaultdict[int, list[TaskEnd]] = defaultdict(list)
    accepted: defaultdict[str, list[JobRecord]] = defaultdict(list)  # by owner
    ended: list[Job] = []
    for save in saves:
        if type(save) not in _TOLD_OF:  # a match asks for one type after another
            continue
        match save:
            case JobProgress(ended_at=ended_at):
                if ended_at:
                    ended.append(jobs[save.number])
            case JobRecord():
                accepted[save.owner].append(save)
            case WorkerRecord(removed=True):
                logger.info("worker %s (%s) leaves the list once nothing is held by it", save.name, save.id)
            case TaskEnd(reason=endings.LOST):
                lost[save.job].append(save)
    for owner, records in accepted.items():
        _tell_accepted(owner, records)
    if ended:
        _tell_ended(ended)
    for job, ends in lost.items():
        first = AttemptKey(job, ends[0].index, ends[0].attempt)
        logger.warning(
            "job %d: %d attempts are lost, which are tried again if the job allows it; %s: %s",
            job,
            len(ends),
            first,
            ends[0].detail,
        )


def _tell_accepted(owner: str, records: list[JobRecord]) -> None:
    if len(records) > FEW:
        tasks = sum(record.spec.task_count for record in records)
        logger.info("jobs %s: accepted from %s, tasks: %d", _numbers(r.number for r in records), owner, tasks)
        return
    for record in records:
        logger.info("job %d: accepted from %s, tasks: %d", record.number, owner, record.spec.task_count)


def _tell_ended(jobs: list[Job]) -> None:
    several = [jobs] if len(jobs) > FEW else [[job] for job in jobs]
    for those in several:
        who = f"job {those[0].number}" if len(those) == 1 else f"jobs {_numbers(job.number for job in those)}"
        counts = (f"{state.word}: {sum(job.count(state) for job in those)}" for state in ENDED)
        logger.info("%s: ended, %s", who, ", ".join(counts))


def _numbers(numbers: Iterable[int]) -> str:
    """As in 5-9,12."""
    those = IntervalSet((number, number + 1) for number in sorted(numbers))
    return ",".join(f"{r.start}-{r.stop - 1}" if r.size > 1 else str(r.start) for r in those.ranges())
