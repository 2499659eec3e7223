"""What is measured: jobs, tasks, workers, turns, commits and this process."""

from collections import Counter
from collections.abc import Iterator, Mapping

from cluster.domain.base.durations import Durations
from cluster.domain.job.states import COUNTED, TaskState
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.worker_states import WorkerState
from cluster.rpc.measured import GAUGE, HISTOGRAM, Labels, Measured, of_process
from cluster.scheduler.counting import count_live
from cluster.scheduler.driver import Driver


class MetricsOperations:
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def show(self) -> list[Measured]:
        """All of it."""
        jobs, tasks, paused = await count_live(self._driver)
        ours = [
            Measured("cluster_jobs", "Jobs that have not ended, by state.", GAUGE, _by_state(jobs)),
            Measured("cluster_tasks", "Tasks of jobs that have not ended, by state.", GAUGE, _by_state(tasks)),
            Measured("cluster_jobs_paused", "Jobs that have not ended and are paused.", GAUGE, [({}, paused)]),
            *self._driver.peek(lambda core: list(_of_core(core))),
            _durations("cluster_turn_seconds", "Turns of the core.", self._driver.turn_seconds),
            _durations(
                "cluster_commit_seconds", "Commits of the database, sync included.", self._driver.commit_seconds
            ),
        ]
        return [*ours, *of_process("scheduler")]


def _by_state(counts: Mapping[TaskState, int]) -> list[tuple[Labels, float]]:
    return [({"state": state.name.lower()}, counts.get(state, 0)) for state in COUNTED]


def _of_core(core: SchedulerCore) -> Iterator[Measured]:
    there = [worker for worker in core.workers.values() if not worker.record.removed]
    states = Counter(worker.state for worker in there)
    online = [worker for worker in there if worker.state is WorkerState.ONLINE]
    by_state: list[tuple[Labels, float]] = [({"state": state.name.lower()}, states[state]) for state in WorkerState]
    yield Measured("cluster_workers", "Workers by state.", GAUGE, by_state)
    whole = sum(worker.record.millicpus for worker in online) / 1000
    taken = sum(min(worker.allocated, worker.record.millicpus) for worker in online) / 1000
    yield Measured("cluster_worker_cpus", "Cpus of workers that are online.", GAUGE, [({}, whole)])
    yield Measured("cluster_worker_cpus_taken", "Those of them that tasks have.", GAUGE, [({}, taken)])
    is_paused = float(core.queue_pause is not None)
    yield Measured("cluster_queue_paused", "1: nothing starts until somebody resumes it.", GAUGE, [({}, is_paused)])


def _durations(name: str, words: str, durations: Durations) -> Measured:
    return Measured(name, words, HISTOGRAM, [({}, durations)])
