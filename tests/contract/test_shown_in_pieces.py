"""Jobs are shown in pieces that hold up nobody, whatever has to be judged to show them."""

from cluster.domain.scheduler.events import JobSubmitted
from cluster.domain.scheduler.pending_in_words import WhyNot
from cluster.domain.scheduler.views import Detail
from cluster.domain.scheduler.worker_record import WorkerRecord
from cluster.scheduler import showing
from tests.domain.core_bench import Bench, spec, uuid


def pieces(bench: Bench, jobs: int) -> list[int]:
    """How many of these jobs each piece has."""
    numbers, counts = list(range(1, jobs + 1)), []
    known: WhyNot = {}
    while numbers:
        some = numbers[: showing.PIECE_JOBS]
        _, looked, _ = showing._piece(
            bench.core, bench.core.jobs, some, (), showing.PIECE_JOBS, Detail.LISTED, showing._WHOLE, known
        )
        counts.append(looked)
        numbers = numbers[looked:]
    return counts


def test_long_expressions_make_small_pieces() -> None:
    bench = Bench()
    bench.worker("w", 1000)
    for number in range(60):
        bench.submit(spec(need=" or ".join(f'zone == "{number}-{at}"' for at in range(40))))
    bench.core.judge._read.clear()
    bench.core.workers["w"].renew(bench.core.workers["w"].record)  # nothing is known of it any more
    counts = pieces(bench, 60)
    assert sum(counts) == 60
    assert max(counts) < 25


def test_many_workers_make_small_pieces_of_jobs_that_ask_for_different_things() -> None:
    bench = Bench()
    for number in range(400):
        bench.core.add_worker(WorkerRecord(f"w{number}", f"w{number}", 1000, "", "1", 0.0))
    for number in range(60):
        bench.core.turn([JobSubmitted(1, uuid(number), "alice", spec(millicpus=2000 + number))], bench.now)
    assert pieces(bench, 60) == [8] * 7 + [4]


def test_what_is_known_of_a_kind_costs_its_later_jobs_nothing() -> None:
    bench = Bench()
    for number in range(4000):
        bench.core.add_worker(WorkerRecord(f"w{number}", f"w{number}", 1000, "", "1", 0.0))
    for number in range(60):
        bench.core.turn([JobSubmitted(1, uuid(number), "alice", spec(millicpus=2000 + number % 2))], bench.now)
    assert pieces(bench, 60) == [1, 1, 58]


def test_jobs_without_make_large_ones() -> None:
    bench = Bench()
    for _ in range(60):
        bench.submit(spec())
    assert pieces(bench, 60) == [60]
