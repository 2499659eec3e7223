"""The event log as readers see it: from any place on, followed, across restarts, each what is theirs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput, NotFound
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.scheduler.event_records import EventKind, EventRecord
from cluster.domain.session.messages import Assign
from cluster.domain.trust.identity import Role
from cluster.rpc.errors import calling
from cluster.scheduler import event_feed, event_reading
from cluster.v1 import events_pb2, events_pb2_grpc, jobs_pb2
from tests.integration.schedulers import Cluster, User, in_cluster


async def pages(user: User, since: int | None, *jobs: str, follow: bool = False) -> AsyncIterator[Any]:
    request = events_pb2.FollowRequest(
        since=since, follow=follow, selectors=[jobs_pb2.Selector(text=text) for text in jobs]
    )
    stub: Any = events_pb2_grpc.EventsStub(user.channel)
    with calling(user.address):
        async for page in stub.Follow(request):
            yield page


async def told(user: User, since: int = 0, *jobs: str) -> list[tuple[int, str, int]]:
    return [(e.sequence, e.kind, e.job) async for page in pages(user, since, *jobs) for e in page.events]


def test_events_are_read_from_any_place_on_also_after_a_restart(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        assert await told(user) == []
        await worker.connect()
        await user.submit(name="sweep", array=(ArraySegment(1, 2),))
        await worker.finish(await worker.hear(Assign))
        every = [(1, "worker.joined", 0), (2, "job.submitted", 1), (3, "job.started", 1), (4, "job.ended", 1)]
        assert await told(user) == every
        assert await told(user, 2) == every[2:]
        assert await told(user, 0, "sweep") == every[1:]
        assert await told(user, 4) == []
        with pytest.raises(InvalidInput, match=r"^there is no event 5 yet: the last one is 4$"):
            await told(user, 5)
        with pytest.raises(
            InvalidInput, match=r"^1:failed: events takes whole jobs and no tasks that are failed; give 1$"
        ):
            await told(user, 0, "1:failed")
        with pytest.raises(NotFound, match="there is no job 9"):
            await told(user, 0, "9")
        await cluster.restart()
        user = cluster.user()
        await user.submit()
        assert await told(user, 4) == [(5, "job.submitted", 2)]

    in_cluster(tmp_path, body)


def test_who_looks_for_notices_passes_over_events_that_it_knows_to_have_none() -> None:
    feed = event_feed.EventFeed()
    assert feed.without_notices(7) == 7, "nothing has come yet, and what is on disk may have some"
    feed.landed([EventRecord(n, 0.0, EventKind.JOB_READY) for n in (11, 12)])
    assert [feed.without_notices(read) for read in (9, 10, 12, 13)] == [9, 12, 12, 13]
    feed.landed([EventRecord(13, 0.0, EventKind.JOB_ENDED, notify=("cmd",)), EventRecord(14, 0.0, EventKind.JOB_READY)])
    assert [feed.without_notices(read) for read in (10, 12, 13, 14)] == [10, 12, 14, 14]


def test_a_follower_is_told_what_comes_and_only_that(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        await user.submit()
        following = pages(user, None, follow=True)
        first = await anext(following)
        assert (list(first.events), first.position) == ([], 1)
        await user.submit(name="second")
        page = await anext(following)
        assert [(e.sequence, e.kind, e.name) for e in page.events] == [(2, "job.submitted", "second")]
        assert page.position == 2
        await user.cancel("2")
        page = await anext(following)
        assert [(e.kind, e.by) for e in page.events] == [("job.cancelled", "admin"), ("job.ended", "")]

    in_cluster(tmp_path, body)


def test_users_are_told_of_their_own_jobs_and_of_workers(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        await cluster.people(ada=Role.USER, bob=Role.USER, eve=Role.VIEWER)
        admin, ada, bob, eve = (cluster.user(name) for name in ("admin", "ada", "bob", "eve"))
        following = pages(bob, None, follow=True)
        await anext(following)
        await ada.submit()
        await cluster.worker().connect()
        await bob.submit()
        assert [job for *_, job in await told(ada)] == [1, 0]
        assert [job for *_, job in await told(bob)] == [0, 2]
        assert [job for *_, job in await told(admin)] == [job for *_, job in await told(eve)] == [1, 0, 2]
        seen: list[int] = []
        while 2 not in seen:
            seen += [event.job for event in (await anext(following)).events]
        assert seen == [0, 2]
        with pytest.raises(NotFound):
            await told(bob, 0, "1")

    in_cluster(tmp_path, body)


def test_who_comes_too_late_is_told_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.store.sqlite.event_rows.KEPT", 10)
    monkeypatch.setattr("cluster.store.sqlite.event_rows.DROPPED_AT_ONCE", 5)
    monkeypatch.setattr(event_reading, "PAGE", 3)
    monkeypatch.setattr(event_feed, "IN_MEMORY", 4)

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        for _ in range(21):
            await user.submit()
        every = await told(user, 3)
        assert every[0] == (10, "events.missing", 0)
        assert [sequence for sequence, *_ in every[1:]] == list(range(11, 22))
        missing = (await anext(pages(user, 3))).events[0]
        assert (missing.count, missing.detail) == (7, "events 4 to 10 are not kept any more")
        assert [sequence for sequence, *_ in await told(user)] == list(range(11, 22))  # nobody had anything before
        assert [sequence for sequence, *_ in await told(user, 10)] == list(range(11, 22))

    in_cluster(tmp_path, body)


def test_a_follower_that_does_not_read_delays_nobody_and_then_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than are in memory come while it stands still."""
    monkeypatch.setattr(event_feed, "IN_MEMORY", 8)
    monkeypatch.setattr(event_reading, "PAGE", 5)

    async def body(cluster: Cluster) -> None:
        user = cluster.user()
        following = pages(user, 0, follow=True)
        await anext(following)
        await asyncio.gather(*(user.submit() for _ in range(60)))
        seen: list[int] = []
        while len(seen) < 60:
            seen += [event.sequence for event in (await anext(following)).events]
        assert seen == list(range(1, 61))

    in_cluster(tmp_path, body)
