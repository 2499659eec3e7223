"""Task numbers and indexes, lines, what a spec must be; and that a job is the same after a restart."""

import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.job import Job
from cluster.domain.job.lines import LineIndex
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import JobRecord, OkEnds
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.job.states import TaskState
from cluster.domain.job.task_variables import OWN_VARIABLES
from tests.domain.core_bench import Bench, attempts, failed, ok, spec


@st.composite
def arrays(draw: st.DrawFn) -> tuple[ArraySegment, ...]:
    """Segments that do not overlap, in any order."""
    segments, reached = [], 0
    for _ in range(draw(st.integers(1, 4))):
        first = reached + draw(st.integers(0, 5))
        step = draw(st.integers(1, 4))
        last = first + step * draw(st.integers(0, 6))
        segments.append(ArraySegment(first, last, step))
        reached = last + 1
    return tuple(draw(st.permutations(segments)))


@given(arrays())
def test_every_index_has_one_number_and_back(array: tuple[ArraySegment, ...]) -> None:
    job = JobSpec(argv=("true",), array=array)
    validate(job)
    numbers = [job.number_of(index) for index in range(job.task_count)]
    assert numbers == [n for s in array for n in range(s.first, s.last + 1, s.step)]
    assert [job.index_of(number) for number in numbers] == list(range(job.task_count))
    for number in set(range(max(numbers) + 3)) - set(numbers):
        assert job.index_of(number) is None


def test_lines_are_numbered_from_one() -> None:
    job = JobSpec(argv=("cat",), lines=b"a\n\nc")
    assert (job.task_count, job.number_of(0), job.index_of(3), job.index_of(4), job.index_of(0)) == (
        3,
        1,
        2,
        None,
        None,
    )
    assert job.without_lines() == JobSpec(argv=("cat",), array=(ArraySegment(1, 3),))


@given(st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line), min_size=1), st.data())
def test_lines_are_found_by_index(lines: list[bytes], data: st.DataObject) -> None:
    index = LineIndex(b"\n".join(lines))
    start = data.draw(st.integers(0, len(lines) - 1))
    stop = data.draw(st.integers(start + 1, len(lines)))
    assert index.slice(start, stop) == lines[start:stop]


def test_finding_millions_of_lines_takes_four_bytes_for_each_block() -> None:
    text = b"x\n" * (8 << 20)
    index = LineIndex(text)
    assert (index.count, index.slice(5_000_000, 5_000_002)) == ((8 << 20) + 1, [b"x", b"x"])
    kept = sum(map(sys.getsizeof, (index, index._ends)))
    assert kept <= 4 * len(text) // (16 << 10) + 1000


WRONG = {
    "empty": JobSpec(argv=()),
    "NUL": JobSpec(argv=("a\0b",)),
    "NUL byte in line 2": JobSpec(argv=("a",), lines=b"x\ny\0"),
    "environment": JobSpec(argv=("a",), env=(("A=B", "c"),)),
    "scripts folder": JobSpec(argv=("sh",), script="../x"),
    "not absolute": JobSpec(argv=("a",), cwd="here"),
    "at least 0.001": JobSpec(argv=("a",), millicpus=0),
    "--timeout -1: use 0 to 1000000000 s": JobSpec(argv=("a",), timeout=-1.0),
    "--lost-after 0.5: use 1 to 1000000000 s": JobSpec(argv=("a",), lost_after=0.5),
    "--timeout 8000000000000000: use 0 to": JobSpec(argv=("a",), timeout=8e15),
    "--retries 99999999999: use 0 to 1000000": JobSpec(argv=("a",), retries=99999999999),
    "--max-output 1000: use 64k to 64G": JobSpec(argv=("a",), max_output=1000),
    "1 lines for 2 task numbers": JobSpec(argv=("a",), lines=b"x", array=(ArraySegment(1, 2),)),
    "comes twice": JobSpec(argv=("a",), array=(ArraySegment(1, 5), ArraySegment(3, 4))),
    "--each-line: all 2 lines are empty": JobSpec(argv=("a",), lines=b"\n"),
    **{
        f"the variable {name} tells each task who it is": JobSpec(argv=("a",), env=((name, "1"),))
        for name in sorted(OWN_VARIABLES)
    },
    "2000001 lines in one job: the most are 2000000": JobSpec(argv=("a",), lines=b"\n" * 2_000_000),
    "16777217 bytes: the most are 16.0 MiB": JobSpec(argv=("a",), lines=bytes(16 * 1024 * 1024 + 1)),
    "10001 segments, and the most are 10000": JobSpec(("a",), array=tuple(ArraySegment(n, n) for n in range(10_001))),
    "--worker 'x.* has 256 characters": JobSpec(argv=("a",), worker="x" * 256),
    "the limit is": JobSpec(argv=("a",), array=(ArraySegment(1, 10**9),)),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_spec_that_can_never_run_is_refused(message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate(WRONG[message])


def test_a_part_of_many_ends() -> None:
    ends = OkEnds(1, 1, 10, 3, b"aabbcc")
    assert ends.part(11, 13) == replace(ends, first=11, count=2, packed=b"bbcc")


def test_a_job_is_the_same_after_a_restart() -> None:
    bench = Bench()
    session = bench.worker("w", 3000)
    bench.submit(spec(20, retries=2, millicpus=500))
    bench.report(session, 1, ok=(ok(1, 0, 1),), ended=(failed(1, 1), failed(1, 3)), started=(attempts(1, 1, (2, 3)),))
    job = bench.core.jobs[1]
    again = Job.restored(job.record, job.progress())
    assert again.progress() == job.progress()
    assert list(again.held_by("w")) == list(job.held_by("w"))


def test_a_million_tasks_are_a_handful_of_ranges() -> None:
    job = Job(JobRecord(1, "id", "alice", spec(1_000_000), 0.0))
    job.assign("w", 4096)
    assert job.progress().sets.of(TaskState.READY) == (4096, 1_000_000)
    assert sum(tasks.range_count() for tasks in job.sets.values()) == 2
