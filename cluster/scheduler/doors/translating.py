"""What several doors translate: selectors; and many values to messages, in pieces that hold up nobody."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from cluster.domain.files.pieces import ContentPiece
from cluster.domain.job.state_map import StateMap
from cluster.domain.scheduler.view_sizes import size_of_job
from cluster.domain.scheduler.views import Detail, JobView
from cluster.rpc import selectors
from cluster.rpc.convert import job_to_proto
from cluster.rpc.gate import current_caller
from cluster.rpc.results import results_to_proto
from cluster.scheduler.operations.output import OutputPiece
from cluster.scheduler.operations.results import ShownResults
from cluster.scheduler.showing import PIECE_BYTES, PIECE_JOBS
from cluster.v1 import files_pb2, job_pb2, jobs_pb2


def text_of(selector: jobs_pb2.Selector) -> str:
    """What it says as people type it, a key being one of the caller's."""
    return selectors.text_of(selector, current_caller().user_id)


def texts_of(several: Iterable[jobs_pb2.Selector]) -> list[str]:
    return list(map(text_of, several))


async def jobs_to_proto(views: Sequence[JobView], detail: Detail) -> list[job_pb2.Job]:
    messages: list[job_pb2.Job] = []
    size = 0
    for place, view in enumerate(views, start=1):
        messages.append(job_to_proto(view, detail))
        size += size_of_job(view, detail)
        if place % PIECE_JOBS == 0 or size >= PIECE_BYTES:
            await asyncio.sleep(0)
            size = 0
    return messages


def piece_to_proto(piece: ContentPiece) -> files_pb2.ContentPiece:
    return files_pb2.ContentPiece(**piece._asdict())


def output_to_proto(each: OutputPiece) -> jobs_pb2.ReadOutputResponse:
    return jobs_pb2.ReadOutputResponse(
        job=each.job,
        task_number=each.task_number,
        attempt=each.attempt,
        stderr=each.piece.stderr,
        data=each.piece.data,
        end=each.piece.end,
        note=each.piece.note,
    )


def task_results_to_proto(shown: ShownResults) -> jobs_pb2.TaskResults:
    state: Any = shown.state.value
    results = results_to_proto(shown.kept)
    return jobs_pb2.TaskResults(results=results, task_number=shown.task_number, state=state, worker=shown.worker)


def state_map_to_proto(number: int, all_tasks: int, told: StateMap) -> jobs_pb2.MapTasksResponse:
    """`all_tasks`: how many the job has."""
    answer = jobs_pb2.MapTasksResponse(job=number, tasks=all_tasks, first=told.tasks.start, count=told.tasks.size)
    answer.per_cell = told.per_cell
    for state, pieces in told.by_state.items():
        shown = answer.states.add(state=state.value)
        shown.tasks = sum(pieces if told.per_cell else pieces[1::2])
        (shown.cells if told.per_cell else shown.ranges).extend(pieces)
    return answer
