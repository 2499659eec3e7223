"""What a store gives back at start."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.domain.job.dependencies import Course
from cluster.domain.job.pause import Pause
from cluster.domain.job.records import JobProgress, JobRecord, TaskEnd
from cluster.domain.scheduler.ended_ids import EndedIds
from cluster.domain.scheduler.family import Try
from cluster.domain.scheduler.pool_board import PoolWish
from cluster.domain.scheduler.retention import Pin
from cluster.domain.scheduler.sharing import ShareRecord
from cluster.domain.scheduler.worker_record import WorkerRecord


@dataclass(frozen=True, slots=True)
class Recovered:
    epoch: int  # of the scheduler that loads: one higher at every start, already durable
    next_job_number: int = 1
    # Those that have not ended, ascending by number; of the others only what their UUIDs may be.
    jobs: list[tuple[JobRecord, JobProgress]] = field(default_factory=list)
    workers: list[WorkerRecord] = field(default_factory=list)
    ended_ids: EndedIds = field(default_factory=EndedIds)
    ended: Mapping[int, Course] = field(default_factory=dict)  # of the jobs that have, those that others wait for
    queue_pause: Pause | None = None
    finishing: Mapping[int, Mapping[int, TaskEnd]] = field(default_factory=dict)  # tasks that are, by job and index
    failed_children: Mapping[int, Mapping[Try, Collection[int]]] = field(default_factory=dict)  # see Family.restore
    value_sizes: Mapping[int, Mapping[str, int]] = field(default_factory=dict)  # of what those keep, by job and key
    next_event: int = 1  # its sequence number
    shares: list[ShareRecord] = field(default_factory=list)
    pins: Mapping[int, Pin] = field(default_factory=dict)  # by job
    pool_wishes: Sequence[PoolWish] = ()
