"""What a worker holds is counted by job as it is found by looking through it."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from cluster.domain.base.ids import AttemptKey
from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.journal import keys_of

keys = st.builds(AttemptKey, st.integers(5, 6), st.integers(0, 2), st.integers(1, 2))
steps = st.lists(st.tuples(st.sampled_from([HeldAttempts.assigned, HeldAttempts.started, HeldAttempts.ended]), keys))


@given(steps)
def test_attempts_are_counted_by_job(
    steps: list[tuple[Callable[[HeldAttempts, AttemptKey], None], AttemptKey]],
) -> None:
    held = HeldAttempts(keys_of(["5.0#1", "0.9#1"]), keys_of(["5.1#1", "6.0#1"]))
    for step, key in steps:
        step(held, key)
        for job in (0, 5, 6, 7):
            assert held.count_of(job) == sum(key.job == job for key in set(held.all))
