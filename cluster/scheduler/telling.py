"""What an operator reads in the log about jobs: when one is accepted, when it ends, and what was lost meanwhile."""

import logging
from collections import defaultdict
from collections.abc import Iterable

from cluster.domain.effects import Effect
from cluster.domain.ids import AttemptKey
from cluster.domain.job import JobProgress, JobRecord, TaskEnd
from cluster.domain.worker import WorkerRecord

logger = logging.getLogger(__name__)


def tell(effects: Iterable[Effect]) -> None:
    """To be called when they are on disk."""
    lost: defaultdict[int, list[TaskEnd]] = defaultdict(list)
    for effect in effects:
        match effect:
            case JobRecord():
                tasks = effect.spec.task_count
                logger.info("job %d: accepted from %s, tasks: %d", effect.number, effect.owner, tasks)
            case JobProgress(ended_at=ended_at) if ended_at:
                counts = map(_size, (effect.succeeded, effect.failed, effect.cancelled))
                logger.info("job %d: ended, succeeded: %d, failed: %d, cancelled: %d", effect.number, *counts)
            case WorkerRecord(removed=True):
                logger.info("worker %s (%s) leaves the list once nothing is held by it", effect.name, effect.id)
            case TaskEnd(reason="lost"):
                lost[effect.job].append(effect)
    for job, ends in lost.items():
        first = AttemptKey(job, ends[0].index, ends[0].attempt)
        logger.warning(
            "job %d: %d attempts are lost, which are tried again if the job allows it; %s: %s",
            job,
            len(ends),
            first,
            ends[0].detail,
        )


def _size(flat: tuple[int, ...]) -> int:
    """How many members a set has whose bounds these are."""
    return sum(flat[1::2]) - sum(flat[::2])
