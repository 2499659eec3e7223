"""Whatever a core says at once goes down in responses of bounded size, and means the same."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.domain.base.intervals import Range
from cluster.domain.job.exec_limits import MAX_STRING
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.session.message_splitting import MOST_BYTES, MOST_TASKS, PIECE_BYTES, PIECE_TASKS, fitting, pieces
from cluster.domain.session.messages import Assign, Attempts, Downward, Stop
from cluster.rpc.convert import response_to_proto

LONGEST = b"\x01" * (MAX_STRING - len("CLUSTER_LINE="))
SPEC = JobSpec(("run", "x" * 100_000), env=tuple((f"V{n}", "y" * 100_000) for n in range(14)))


def responses(messages: Sequence[Downward]) -> list[list[Downward]]:
    """As a session's line makes them."""
    waiting = [piece for message in messages for piece in pieces(message)]
    made = []
    while waiting:
        count = fitting(waiting)
        made.append(waiting[:count])
        waiting = waiting[count:]
    return made


@st.composite
def assigns(draw: st.DrawFn) -> Assign:
    ranges, at = [], 0
    for _ in range(draw(st.integers(1, 5))):
        start = at + draw(st.integers(1, 3))
        at = start + draw(st.integers(1, 3000))
        ranges.append(Range(start, at))
    count = sum(r.size for r in ranges)
    size = draw(st.sampled_from([0, 10, 3000]))
    lines = tuple(b"%d" % n + b"x" * size for n in range(count)) if draw(st.booleans()) else ()
    return Assign(Attempts(7, 2, tuple(ranges)), SPEC, 45.0, lines, "the id", "ada")


@settings(max_examples=50, deadline=None)
@given(assigns())
def test_the_pieces_of_an_assign_are_the_whole(assign: Assign) -> None:
    parts = [part for part in pieces(assign) if isinstance(part, Assign)]
    assert [key for part in parts for key in part.attempts] == list(assign.attempts)
    assert tuple(line for part in parts for line in part.lines) == assign.lines
    assert [(part.spec, part.job_id, part.owner) for part in parts] == [
        (SPEC, "the id", "ada"),
        *[(None, "", "")] * (len(parts) - 1),
    ]
    assert all(len(part.lines) in (0, part.attempts.count) and part.leash == 45.0 for part in parts)
    assert all(part.attempts.count <= PIECE_TASKS for part in parts)
    assert all(sum(map(len, part.lines)) < PIECE_BYTES + 4000 for part in parts)


def test_no_response_is_larger_than_a_worker_takes_in() -> None:
    """Two specs of 40 MB each came in one, which was refused for ever."""
    validate(SPEC)
    array = tuple(ArraySegment(n, n + 1) for n in range(0, 40_000, 4))
    said: list[Downward] = [
        Assign(
            Attempts(job, 1, (Range(0, 100),)), JobSpec(SPEC.argv, env=SPEC.env, array=array), 45.0, (LONGEST,) * 100
        )
        for job in range(1, 20)
    ]
    said += [Stop(Attempts(9, 1, tuple(Range(n, n + 1) for n in range(0, 16_000, 2))), 10.0)] * 50
    made = responses(said)
    assert sum(len(response) for response in made) > len(said)
    sizes = [response_to_proto(response).ByteSize() for response in made]
    assert max(sizes) < 3 * MOST_BYTES
    assert sum(len(a.lines) for response in made for a in response if isinstance(a, Assign)) == 1900


def test_no_response_brings_more_tasks_than_are_taken_up_at_once() -> None:
    made = responses([Assign(Attempts(job, 1, (Range(0, 1500),)), None, 45.0) for job in range(100)])
    assert max(sum(a.attempts.count for a in r if isinstance(a, Assign)) for r in made) <= MOST_TASKS
    assert sum(len(response) for response in made) == 100


def test_small_messages_go_together() -> None:
    said = [Assign(Attempts(job, 1, (Range(0, 1),)), JobSpec(("true",)), 45.0) for job in range(1000)]
    assert [len(response) for response in responses(said)] == [1000]
