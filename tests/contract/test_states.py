"""A state of tasks is said once, in `domain/job/states.py`, and once more in `job.proto`.

Whoever adds one is told here what is missing. The last test adds a made-up one to a copy of the program.
"""

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from cluster.domain.job.states import COUNTED, TaskState
from cluster.v1 import job_pb2
from tests.contract.program_copy import ProgramCopy


def test_the_message_has_the_states_by_the_same_names_and_numbers() -> None:
    numbers = {f"TASK_STATE_{state.name}": int(state) for state in TaskState}
    assert dict(job_pb2.TaskState.items()) == {"TASK_STATE_UNSPECIFIED": 0, **numbers}, "TaskState in job.proto"
    counts = set(job_pb2.TaskCounts.DESCRIPTOR.fields_by_name)
    assert counts == {state.word for state in COUNTED}, "TaskCounts in job.proto: a count for each row of TRAITS"


# A state that ready tasks go to and come from; its number, its traits, its transitions with their events.
NUMBER = "    HALTED = 77\n"
EVENTS = '    HALTED = "halted"\n    RESUMED = "resumed"\n'
ROW = "    _S.HALTED: Traits(job_rank=5, list_rank=15),\n"
MOVES = """    (_S.READY, _E.HALTED): _S.HALTED,
    (_S.HALTED, _E.RESUMED): _S.READY,
    (_S.HALTED, _E.CANCELLED): _S.CANCELLED,
"""

USE = """
import json
from contextlib import closing
from pathlib import Path

from cluster.cli.jobs import _tasks_of
from cluster.cli.quick.jobs import shown
from cluster.cli.render import job_json
from cluster.client.messages import job_of, task_of
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import chunks
from cluster.domain.job.job import Job
from cluster.domain.job.states import TaskEvent, TaskState
from cluster.domain.job.target import Target
from cluster.domain.scheduler.events import CancelRequested
from cluster.domain.scheduler.views import job_view
from cluster.rpc.convert import job_to_proto, task_to_proto
from cluster.rpc.quick_messages import message_class
from cluster.scheduler.tasks_shown import TasksWanted, _pick, _task
from cluster.store.memory import Disk, MemoryStore
from cluster.store.sqlite.store import SqliteStore
from tests.domain.core_bench import Bench, spec

def again(job, stores):
    saves = job.saves()
    found = []
    for open_store in stores:
        with closing(open_store()) as store:
            store.load()
            store.commit([job.record, *saves])
        with closing(open_store()) as store:
            ((record, progress),) = store.load().jobs
            found.append(Job.restored(record, progress))
    return [each.progress().sets == job.progress().sets and each.count(TaskState.HALTED) == 3 for each in found]

bench, disk = Bench(), Disk()
stores = (lambda: SqliteStore(Path("db"), "0" * 16), lambda: MemoryStore(disk))
bench.submit(spec(6))
job = bench.core.jobs[1]
job._move(TaskState.READY, TaskEvent.HALTED, IntervalSet([(1, 4)]))
kept = again(job, stores)
chunks.CHUNK, chunks.MANY_RANGES = 2, 0
kept += again(job, stores)
view = job_to_proto(job_view(bench.core, job))
seen = job_of(view)
listed = [task_of(task_to_proto(_task(bench.core, job, task))) for task in _pick(job, TasksWanted(None, 0, 9))]
bench.turn(CancelRequested(1, (Target(1),), "ann"))
print(json.dumps({
    "kept": kept,
    "state": seen.state.word,
    "counts": (seen.counts.halted, seen.counts.ready, seen.counts.total),
    "json": job_json(seen)["tasks"],
    "shown": _tasks_of(seen),
    "quick": shown(message_class("Job").FromString(view.SerializeToString())).counts == seen.counts,
    "listed": [(task.state.word, task.number) for task in listed],
    "cancelled": job.count(TaskState.CANCELLED),
}))
"""


@pytest.mark.slow
def test_a_new_state_is_its_rows_and_its_lines(tmp_path: Path) -> None:
    copy = ProgramCopy(tmp_path)
    states = "domain/job/states.py"
    copy.insert(states, "\n    @property\n    def ended", NUMBER)
    copy.insert(states, "\n\nclass Traits(", EVENTS)
    copy.insert(states, "    _S.READY: Traits(", ROW)
    copy.insert(states, "    (_S.READY, _E.ASSIGNED)", MOVES)
    copy.change_job_proto(add_lines)
    assert copy.run(USE) == {
        "kept": [True, True, True, True],
        "state": "halted",
        "counts": [3, 3, 6],
        "json": {
            **{"total": 6, "halted": 3, "ready": 3},
            **dict.fromkeys(("waiting", "assigned", "running", "backoff", "finishing"), 0),
            **dict.fromkeys(("succeeded", "failed", "cancelled"), 0),
        },
        "shown": "6: 3 halted, 3 ready; numbers 1-6",
        "quick": True,
        "listed": [*(["halted", number] for number in (2, 3, 4)), *(["ready", number] for number in (1, 5, 6))],
        "cancelled": 6,
    }


def add_lines(file: FileDescriptorProto) -> None:
    (states,) = [each for each in file.enum_type if each.name == "TaskState"]
    states.value.add(name="TASK_STATE_HALTED", number=77)
    (counts,) = [each for each in file.message_type if each.name == "TaskCounts"]
    counts.field.add(name="halted", number=77, type=13, label=1)  # uint32
