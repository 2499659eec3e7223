"""What an operator reads in the log about jobs: when one is accepted, when it ends, and what was lost meanwhile."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobProgress, JobRecord, TaskEnd
from cluster.domain.job.states import ENDED
from cluster.domain.scheduler.uncommitted import Saved
from cluster.domain.scheduler.worker_record import WorkerRecord

logger = logging.getLogger(__name__)


def tell(saves: Iterable[Saved], jobs: Mapping[int, Job]) -> None:
    """Logs what these say of jobs. They must be on disk."""
    lost: defaultdict[int, list[TaskEnd]] = defaultdict(list)
    for save in saves:
        match save:
            case JobRecord():
                tasks = save.spec.task_count
                logger.info("job %d: accepted from %s, tasks: %d", save.number, save.owner, tasks)
            case JobProgress(ended_at=ended_at) if ended_at:
                counts = (f"{state.word}: {jobs[save.number].count(state)}" for state in ENDED)
                logger.info("job %d: ended, %s", save.number, ", ".join(counts))
            case WorkerRecord(removed=True):
                logger.info("worker %s (%s) leaves the list once nothing is held by it", save.name, save.id)
            case TaskEnd(reason=endings.LOST):
                lost[save.job].append(save)
    for job, ends in lost.items():
        first = AttemptKey(job, ends[0].index, ends[0].attempt)
        logger.warning(
            "job %d: %d attempts are lost, which are tried again if the job allows it; %s: %s",
            job,
            len(ends),
            first,
            ends[0].detail,
        )
