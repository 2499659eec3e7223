"""Keys: the same key of the same owner is the same job, and nobody can take another's."""

from dataclasses import replace

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput
from cluster.domain.job.keys import id_in_force, refuse_another, uuid_of
from cluster.domain.job.records import JobEnded, JobRecord
from cluster.domain.job.spec import JobSpec, refuse_what_needs_a_scheduler, validate
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.effects import LookUp, Reply
from cluster.domain.scheduler.events import JobSubmitted, LookedUp
from cluster.domain.trust.identity import is_uuid
from tests.domain.core_bench import Bench, Effect, ok, spec

V7 = "0192f0c0-0000-7000-8000-000000000000"


def answers(effects: list[Effect]) -> list[object]:
    return [effect.value for effect in effects if isinstance(effect, Reply)]


def test_a_key_is_a_uuid_that_nobody_may_choose() -> None:
    keyed = spec(key="nightly-7")
    job_id = id_in_force(V7, "ada", keyed)
    assert is_uuid(job_id)
    assert job_id[14] == "8"
    assert job_id == id_in_force(V7.replace("0192", "0193"), "ada", keyed)
    assert job_id != id_in_force(V7, "bob", keyed) != id_in_force(V7, "bob", replace(keyed, key="nightly-8"))
    assert uuid_of("a", "bc") != uuid_of("ab", "c")
    assert id_in_force(V7, "ada", spec()) == V7
    with pytest.raises(InvalidInput, match="UUID of version 8, as keys have: make one of version 7, or give a key"):
        id_in_force(job_id, "bob", spec())


def test_the_same_again_is_the_same_job_and_another_is_refused() -> None:
    bench = Bench()
    keyed = spec(key="k", name="nightly")
    for what, expected in ((keyed, 1), (keyed, 1)):
        assert answers(bench.turn(JobSubmitted(1, uuid_of("key", "ada", "k"), "ada", what))) == [expected]
    for other, words in (
        (replace(keyed, argv=("false",)), "the command"),
        (replace(keyed, timeout=5.0), "--timeout"),
        (replace(keyed, env=(("A", "1"),)), "--env"),
    ):
        (refused,) = answers(bench.turn(JobSubmitted(1, uuid_of("key", "ada", "k"), "ada", other)))
        assert isinstance(refused, Conflict)
        assert str(refused) == f"--key 'k' is that of job 1, where {words} is another: use another key"
    assert len(bench.core.jobs) == 1


def test_a_job_that_has_ended_keeps_its_key() -> None:
    bench = Bench()
    session = bench.worker("w")
    keyed, job_id = spec(key="k"), uuid_of("key", "ada", "k")
    bench.turn(JobSubmitted(1, job_id, "ada", keyed))
    bench.report(session, 1, ok=(ok(1, 0, 1),))
    bench.core.let_go([JobEnded(1, TaskState.SUCCEEDED)])
    again = JobSubmitted(2, job_id, "ada", keyed)
    assert [e for e in bench.turn(again) if isinstance(e, LookUp)] == [LookUp((job_id,))]
    found = JobRecord(1, job_id, "ada", keyed, 0.0)
    assert answers(bench.turn(LookedUp((job_id,), {job_id: found}))) == [1]
    bench.turn(JobSubmitted(3, job_id, "ada", replace(keyed, argv=("false",))))
    (refused,) = answers(bench.turn(LookedUp((job_id,), {job_id: found})))
    assert isinstance(refused, Conflict)


def test_without_a_key_a_uuid_says_enough() -> None:
    """A client that repeats its own submission is not asked whether it is the same."""
    refuse_another(1, JobSpec(("a",)), JobSpec(("b",)))


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(InvalidInput, match="it has 300 characters: the most are 255"):
        validate(JobSpec(("true",), key="x" * 300))
    refuse_what_needs_a_scheduler(JobSpec(("true",), key="k"))  # a worker alone remembers keys, too
