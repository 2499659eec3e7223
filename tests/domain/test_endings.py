"""Every reason and exit code of a job: what follows from how its process ended, decided in one place."""

import ast

import pytest

from cluster.domain.job import endings
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.states import TaskState
from tools.environments import REPOSITORY


@pytest.mark.parametrize(
    ("reason", "code", "signal", "expected"),
    [
        ("ok", 0, None, 0),
        ("exit:3", 3, None, 3),
        ("signal:SIGSEGV", None, "SIGSEGV", 139),
        ("timeout:run", 0, "SIGTERM", 143),  # it was stopped, and then left with 0
        ("timeout:run", 5, "SIGTERM", 5),
        ("cancelled", 0, "SIGTERM", 143),
        ("cancelled", None, None, 143),  # before it ran
        ("stopped", None, "SIGKILL", 137),
        ("launch_failed", 127, None, 127),
        ("launch_failed", None, None, 126),
        ("lost", None, None, 70),
        ("lost", None, "SIGKILL", 70),  # its leash was over: what killed it says nothing about how it did
        ("of a later version", None, None, 70),
    ],
)
def test_the_exit_code_of_an_end(reason: str, code: int | None, signal: str | None, expected: int) -> None:
    assert endings.exit_code(reason, code, signal) == expected


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("ok", TaskState.SUCCEEDED),
        ("cancelled", TaskState.CANCELLED),
        ("lost", TaskState.FAILED),
        ("", TaskState.FAILED),
    ],
)
def test_the_state_follows_from_the_reason(reason: str, state: TaskState) -> None:
    assert TaskEnd(1, 0, 1, reason).state is state


def test_the_reason_of_a_process_that_ended_by_itself() -> None:
    ends = [(0, None), (3, None), (None, "SIGKILL")]
    assert [endings.reason_of(*end) for end in ends] == ["ok", "exit:3", "signal:SIGKILL"]
    assert [endings.is_own_code(endings.reason_of(*end)) for end in ends] == [False, True, False]


def test_nobody_else_spells_a_reason() -> None:
    """As `"timeout:run"` anywhere, or `reason == "lost"`: whoever does misses it when a reason changes."""
    reasons = {value for name, value in vars(endings).items() if name.isupper() and isinstance(value, str)}
    spelt = [
        f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 0)}"
        for path in sorted((REPOSITORY / "cluster").rglob("*.py"))
        if path.name != "endings.py" and "v1" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if _spells(node, reasons)
    ]
    assert spelt == [], "say it by its name in cluster/domain/job/endings.py"


def _spells(node: ast.AST, reasons: set[str]) -> bool:
    match node:
        case ast.Compare(left=left, comparators=others):
            sides = [left, *others]
        case ast.keyword(arg=name, value=value):
            sides = [ast.Name(name or ""), value]
        case ast.Constant(value=str(text)):
            return text in ("timeout:run", "launch_failed", "exit:", "signal:")
        case _:
            return False
    of_reason = any(getattr(side, "attr", getattr(side, "id", "")) == "reason" for side in sides)
    return of_reason and any(isinstance(side, ast.Constant) and side.value in reasons for side in sides)
