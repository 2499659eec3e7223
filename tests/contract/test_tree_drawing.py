"""How `cluster job tree` draws a family."""

from cluster.cli.tree import _dot, _json, _rows
from cluster.client.job_fields import Counts
from cluster.client.types import Job
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState


def job(number: int, *callers: str, state: TaskState = TaskState.RUNNING, schedule: int = 0, **fields: object) -> Job:
    spec = JobSpec(argv=("true",), **fields)  # type: ignore[arg-type]
    reason = "exit:3" if state is TaskState.FAILED else ""
    return Job(
        number=number,
        id=f"id-{number}",
        owner="ann",
        spec=spec,
        state=state,
        reason=reason,
        counts=Counts(),
        submitted_at=0.0,
        started_at=0.0,
        ended_at=0.0,
        exit_code=0,
        pending_because=(),
        no_worker_can=False,
        cancelled_by="",
        cancel_reason="",
        callers=callers,
        schedule=schedule,
    )


FAMILY = [
    job(1, name="all"),
    job(3, "1.5#1"),
    job(4, "1#1", "3#2", after=("3",), after_any=("9",)),
    job(6, "1#1", "3#1", state=TaskState.FAILED),
    job(7, "1#1"),
    job(8, name='a "b"\\', after_each=("7",)),
    job(9, "2#1"),  # of another's
]


def test_each_stands_below_its_caller_and_says_what_it_waits_for() -> None:
    assert [row[:3] for row in _rows(FAMILY)] == [
        ("1", "running", ""),
        ("├─ 3", "running", ""),
        ("│  ├─ 4", "running", "after 3, after-any 9"),
        ("│  └─ 6", "failed (exit:3)", ""),
        ("└─ 7", "running", ""),
        ("8", "running", "after-each 7"),
        ("9", "running", ""),
    ]


def test_graphviz_gets_the_edges_of_what_is_shown() -> None:
    lines = list(_dot(FAMILY[1:6]))
    assert (lines[0], lines[-1]) == ("digraph jobs {", "}")
    assert '  6 [label="6 true\\nfailed (exit:3)"];' in lines
    assert '  8 [label="8 a \\"b\\"\\\\\\nrunning"];' in lines
    assert [line for line in lines if "->" in line] == [
        "  3 -> 4;",
        "  3 -> 6;",
        '  3 -> 4 [style=dashed, label="after"];',
        '  7 -> 8 [style=dashed, label="after-each"];',
    ]


def test_a_run_stands_below_its_schedule() -> None:
    family = [job(3, every="@daily"), job(5, schedule=3), job(6, "5#1"), job(8, schedule=2)]
    assert [row[0] for row in _rows(family)] == ["3", "└─ 5", "   └─ 6", "8"]
    assert "  3 -> 5 [style=dotted, label=run];" in _dot(family)
    assert _json(family)["runs"] == [{"schedule": 3, "job": 5}]


def test_programs_get_jobs_and_edges() -> None:
    said = _json(FAMILY[:3])
    assert [each["number"] for each in said["jobs"]] == [1, 3, 4]
    assert said["calls"] == [{"caller": 1, "job": 3}, {"caller": 3, "job": 4}]
    assert said["waits"] == [{"job": 4, "for": 3, "how": "after"}]
