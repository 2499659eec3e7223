"""Why a job waits, worker by worker: those that are kept by the same together, with what would be enough."""

from typing import Any

import pytest

from cluster.domain.scheduler.events import SessionClosed, WorkersDrained
from cluster.domain.scheduler.explaining import MOST_CANDIDATES, MOST_HINDRANCES, MOST_NAMES
from cluster.domain.scheduler.hindrances import NOT_EXPLAINED, Candidate, Explanation
from cluster.domain.scheduler.views import job_view
from cluster.domain.session.offer import Offer
from tests.domain.core_bench import Bench, spec

G = 1 << 30


def explanation(bench: Bench, job: int) -> Explanation:
    return job_view(bench.core, bench.core.jobs[job], explain=True).explanation


def said(bench: Bench, job: int) -> list[str]:
    return [
        f"{each.number} {','.join(each.workers)}: {each.reason}" + (f": {each.fix}" if each.fix else "")
        for each in explanation(bench, job).hindrances
    ]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.worker("w1", 4000, Offer((("licence", 1), ("mem", 8 * G)), labels=(("zone", "a"),)))
    bench.worker("w2", 8000, Offer((("mem", 16 * G),), gpus=("0",), labels=(("zone", "b"),)))
    bench.worker("w3", 4000, Offer((("mem", 8 * G),), labels=(("zone", "a"),)))
    return bench


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"millicpus": 16_000}, ["3 w1,w2,w3: too few cpus (16 needed; w2 has most, 8): --cpus 8 fits w2"]),
        (
            {"millicpus": 6000, "memory": 32 * G},
            [
                "2 w1,w3: too few cpus (6 needed; w1 has most, 4)",
                "1 w2: too little mem (32.0 GiB needed; w2 has most, 16.0 GiB): --mem 16G fits w2",
            ],
        ),
        ({"gpus": 2}, ["2 w1,w3: no gpus", "1 w2: too few gpus (2 needed; w2 has most, 1): --gpus 1 fits w2"]),
        (
            {"resources": ("licence=3",), "need": 'zone == "a"'},
            ["2 w2,w3: no licence", "1 w1: too few licence (3 needed; w1 has most, 1): --resource licence=1 fits w1"],
        ),
        ({"resources": ("licence=3",), "need": 'zone == "b"'}, ["2 w2,w3: no licence", "1 w1: too few licence"]),
        ({"need": "mem > 1T"}, ["3 w1,w2,w3: --need is not true of them: mem > 1T"]),
        (
            {"worker": "w1", "gpus": 1},
            ["2 w2,w3: --worker w1 is another", "1 w1: no gpus"],
        ),
    ],
)
def test_what_no_worker_can_run(bench: Bench, needs: dict[str, Any], words: list[str]) -> None:
    bench.submit(spec(**needs))
    assert all(line.startswith(word) for line, word in zip(said(bench, 1), words, strict=True)), said(bench, 1)
    view = job_view(bench.core, bench.core.jobs[1])
    assert (view.no_worker_can, view.no_worker_ever) == (True, True)
    assert view.explanation is NOT_EXPLAINED, "only where it was asked for"


def test_what_is_in_use(bench: Bench) -> None:
    bench.submit(spec(4, need='name != "w2"', memory=3 * G))
    bench.submit(spec(1, memory=4 * G, need='zone == "a"'))
    assert said(bench, 2) == [
        "2 w1,w3: mem in use (4.0 GiB needed; w1 has most free, 2.0 GiB)",
        '1 w2: --need is not true of it: zone == "a"',
    ]
    bench.submit(spec(1, exclusive=True))  # which w2 gets
    bench.submit(spec(1, exclusive=True))
    bench.submit(spec(1, millicpus=3000))
    assert said(bench, 4) == [
        "2 w1,w3: it is to be alone, and other tasks are there",
        "1 w2: a task runs there that is to be alone",
    ]
    assert said(bench, 5)[0] == "2 w1,w3: cpus in use (3 needed; w1 has most free, 2)"


def test_workers_that_take_nothing_are_named_with_their_state() -> None:
    bench = Bench()
    session = bench.worker("w1", 4000)
    bench.worker("w2", 4000)
    bench.turn(WorkersDrained(9, ("w2",), "admin", "new kernel"))
    bench.turn(SessionClosed(session))
    bench.submit(spec())
    assert said(bench, 1) == [
        "1 w1: unreachable",
        "1 w2: drained (new kernel): `cluster worker resume w2` lets it take work",
    ]
    view = job_view(bench.core, bench.core.jobs[1])
    assert (view.no_worker_can, view.no_worker_ever) == (True, False), "they may come back"


def test_a_thousand_workers_are_some_lines() -> None:
    bench = Bench()
    for number in range(60):
        bench.worker(f"w{number:02}", 1000, Offer(labels=(("rack", str(number % 20)),)))
    bench.submit(spec(1, need="rack > 100"))
    bench.submit(spec(60))
    bench.submit(spec(1, prefer="rack == 7"))
    (group,) = explanation(bench, 1).hindrances
    assert (len(group.workers), group.number) == (MOST_NAMES, 60)
    told = explanation(bench, 3)
    assert (len(told.candidates), told.more) == (MOST_CANDIDATES, 60 - MOST_CANDIDATES)
    assert [candidate.preferred for candidate in told.candidates] == [True] * 3 + [False] * (MOST_CANDIDATES - 3)
    assert len(told.hindrances) <= MOST_HINDRANCES


def test_candidates_are_told_as_they_are_ranked(bench: Bench) -> None:  # S4.4
    bench.submit(spec(16, millicpus=1000))
    bench.submit(spec(5, millicpus=2000, prefer='zone == "a"', spread=True))
    candidates = explanation(bench, 2).candidates
    assert [each.worker for each in candidates[:2]] in (["w1", "w3"], ["w3", "w1"])
    assert candidates[2] == Candidate("w2", preferred=False, tasks_there=0, tasks_that_fit=0, free_millicpus=0)
