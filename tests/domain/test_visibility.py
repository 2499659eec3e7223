"""The one rule which jobs a caller sees."""

from collections.abc import Sequence

import pytest

from cluster.domain.job.records import JobRecord
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.visibility import VisibleJobs
from cluster.domain.trust.identity import Caller, Identity, IdentityKind, Role

# By number: of the first ada, of the second, of bob, and of the second again.
RECORDS = {
    number: JobRecord(number, f"id-{number}", owner, JobSpec(("true",), name="sweep"), 0.0)
    for number, owner in enumerate(("ada", "ada~2", "bob", "ada~2"), 1)
}


class All:
    def numbers(self, owner: str | None) -> Sequence[int]:
        return [n for n, record in RECORDS.items() if owner in (None, record.owner)]

    def last(self, owner: str | None) -> int | None:
        return max(self.numbers(owner), default=None)

    def record(self, number: int) -> JobRecord | None:
        return RECORDS.get(number)

    def number_of_id(self, job_id: str) -> int | None:
        return next((n for n, record in RECORDS.items() if record.id == job_id), None)

    def numbers_of_name(self, name: str, owner: str | None) -> Sequence[int]:
        return [n for n in self.numbers(owner) if RECORDS[n].spec.name == name]


@pytest.mark.parametrize(
    ("role", "user_id", "seen"),
    [
        (Role.USER, "ada~2", [2, 4]),
        (Role.USER, "ada", [1]),
        (Role.USER, "eve", []),
        (Role.USER, "", []),
        (Role.WORKER, "", []),
        (Role.VIEWER, "ada~2", [1, 2, 3, 4]),
        (Role.ADMIN, "admin", [1, 2, 3, 4]),
    ],
)
def test_users_see_their_own_by_whatever_they_ask_for(role: Role, user_id: str, seen: list[int]) -> None:
    caller = Caller(Identity("0123456789abcdef", IdentityKind.USER, "ada"), role, user_id=user_id)
    visible = VisibleJobs(All(), caller)
    assert list(visible.numbers()) == seen
    assert visible.last() == (seen[-1] if seen else None)
    assert [n for n in range(6) if visible.record(n)] == seen
    assert [n for n in range(6) if visible.number_of_id(f"id-{n}")] == seen
    assert list(visible.numbers_of_name("sweep")) == seen
