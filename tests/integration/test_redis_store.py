"""The store in Redis where Redis is not well: what it refuses, what it survives. All else is in the contract."""

import signal
import socketserver
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotAuthenticated, Unusable
from cluster.domain.job.records import JobProgress, JobRecord, JobValue
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.usage import Usage, UsageAdded, UsageKind
from cluster.scheduler.store_choice import cluster_in, open_store
from cluster.store.interface import Item, StoreFailed, StoreTroubled
from cluster.store.redis import connecting, moving, scripts
from cluster.store.redis.store import RedisStore
from cluster.store.sqlite.store import SqliteStore
from tests.redis_servers import SAFE, RedisServer, redis_server

pytestmark = pytest.mark.slow

CLUSTER, OTHER = "0123456789abcdef", "fedcba9876543210"
USED = UsageAdded(7, UsageKind.USER, "ann", "", Usage(1, 1))


def job(number: int) -> list[Item]:
    return [JobRecord(number, f"id-{number}", "ann", JobSpec(("true",)), 1.0), JobProgress(number)]


def refused(tmp_path: Path, url: str, kind: type[ClusterError]) -> str:
    with pytest.raises(kind) as caught:
        RedisStore(url, CLUSTER, tmp_path / "refused")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "refused").exists()
    return str(caught.value)


def test_a_commit_that_was_not_acknowledged_counts_once_whenever_it_is_done(
    empty: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "PATIENCE", 0.2)
    with closing(RedisStore(empty.url, CLUSTER, tmp_path / "copy")) as store:
        store.load()
        store.commit(job(1))
        empty.send(signal.SIGSTOP)
        tries: list[list[Item]] = [[JobValue(1, "k", "old"), USED], [JobValue(1, "k", "newer"), USED, *job(2)]]
        for items in tries:
            with pytest.raises(StoreTroubled, match="has not answered"):
                store.commit(items)
        assert store.values(1) == {}, "nothing is shown that was not acknowledged"
        empty.send(signal.SIGCONT)
        store.commit([JobValue(1, "k", "new"), USED])
    with closing(RedisStore(empty.url, CLUSTER, tmp_path / "other")) as store:
        assert store.values(1) == {"k": "new"}
        assert [used.usage.attempts for used in store.usage(UsageKind.USER, 0, None)] == [1]
        assert store.numbers(None) == [1], "what was tried before and not again is undone"


def test_what_comes_late_changes_nothing(empty: RedisServer, tmp_path: Path) -> None:
    with closing(RedisStore(empty.url, CLUSTER, tmp_path / "copy")) as store, empty.client() as client:
        store.load()
        store.commit(job(1))
        before = client.hgetall(scripts.FENCE), client.hgetall(f"{scripts.ROWS}jobs")
        ours = client.hget(scripts.FENCE, "holder")
        for words, answer in (
            (("1", "1", "0", ours), b"late"),
            (("0", "9", "0", ours), b"fenced"),
            (("1", "9", "0", "somebody else"), b"fenced"),
            (("1", "9", "2", ours), b"lost"),
            (("2", "9", "0", ours), b"lost"),
        ):
            assert (
                client.eval(scripts.COMMIT, 2, scripts.FENCE, f"{scripts.ROWS}jobs", *words, 2, 0, "x", "y") == answer
            )
        assert (client.hgetall(scripts.FENCE), client.hgetall(f"{scripts.ROWS}jobs")) == before
        client.flushall()
        with pytest.raises(StoreFailed, match="has lost what it had acknowledged"):
            store.commit(job(2))


def test_a_full_redis_is_waited_for(empty: RedisServer, tmp_path: Path) -> None:
    with closing(RedisStore(empty.url, CLUSTER, tmp_path / "copy")) as store, empty.client() as client:
        store.load()
        try:
            client.config_set("maxmemory", "1mb")
            with pytest.raises(StoreTroubled, match="is full"):
                store.commit(job(1))
            with closing(RedisStore(empty.url, CLUSTER, tmp_path / "other")) as other:
                assert other.load().epoch == 2, "a start needs no room"
        finally:
            client.config_set("maxmemory", "0")
        with pytest.raises(StoreFailed, match="another scheduler has taken over"):
            store.commit(job(1))


def test_a_redis_that_is_not_fit_is_refused(empty: RedisServer, tmp_path: Path) -> None:
    # S2.6
    with empty.client() as client:
        for name, wrong in (
            ("appendonly", "no"),
            ("appendfsync", "everysec"),
            ("no-appendfsync-on-rewrite", "yes"),
            ("maxmemory-policy", "allkeys-lru"),
        ):
            client.config_set(name, wrong)
            said = refused(tmp_path, empty.url, Unusable)
            assert (name in said, wrong in said, "--store-may-lose" in said) == (True, True, True)
            RedisStore(empty.url, CLUSTER, tmp_path / "copy", may_lose=True).close()
            client.config_set(name, SAFE[SAFE.index(f"--{name}") + 1])
        client.replicaof("127.0.0.1", "1")
        assert "it is a slave, not the primary" in refused(tmp_path, empty.url, Unusable)
        client.replicaof("NO", "ONE")
        for rules, missing in (("+@all -hset -hdel ~*", "hdel, hset"), ("+@all ~other", "hset"), ("+info ~*", "eval")):
            client.execute_command("ACL", "SETUSER", "ann", "reset", "on", ">secret", *rules.split())
            said = refused(tmp_path, f"unix://ann:secret@{empty.socket}", NotAuthenticated)
            assert missing in said
            assert "secret" not in said
        client.execute_command("ACL", "SETUSER", "ann", "reset", "on", ">secret", "+@all", "~{cluster}:*")
        with closing(RedisStore(f"unix://ann:secret@{empty.socket}", CLUSTER, tmp_path / "copy")) as store:
            store.load()
        said = refused(tmp_path, f"unix://ann:wrong@{empty.socket}", NotAuthenticated)
        assert "mend user and password" in said
    with pytest.raises(StoreFailed, match=f"is of cluster {CLUSTER}, not of {OTHER}"):
        RedisStore(empty.url, OTHER, tmp_path / "copy")
    with empty.client() as client:
        client.hset(scripts.FENCE, "schema", "1")
    assert "another version of cluster (schema 1," in refused(tmp_path, empty.url, StoreFailed)


def test_nobody_there_no_url_and_an_old_version_are_told_apart(tmp_path: Path) -> None:
    for url, words in (
        ("http://x", "a store of http"),
        ("redis://", "names no host"),
        ("redis://ann:secret/word@x:1/0", "the store's URL is none"),
        ("redis://x/one", "use a number"),
        ("redis://x?socket_timeout=never", "cannot be used"),
    ):
        said = refused(tmp_path, url, InvalidInput)
        assert words in said
        assert "secret" not in said
    assert "cannot be reached" in refused(tmp_path, f"unix://{tmp_path}/nobody", StoreTroubled)

    class Old(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            said = b"redis_version:6.2.14\r\n"
            for line in self.rfile:
                if line.upper().startswith(b"INFO"):
                    self.wfile.write(b"$%d\r\n%s\r\n" % (len(said), said))
                elif line.upper().startswith((b"CLIENT", b"HELLO")):
                    self.wfile.write(b"-ERR unknown command\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Old) as old:
        old.daemon_threads = True
        threading.Thread(target=old.serve_forever, args=(0.01,), daemon=True).start()
        said = refused(tmp_path, f"redis://127.0.0.1:{old.server_address[1]}", Unusable)
        old.shutdown()
    assert "is Redis 6.2.14: use 7.0 or newer" in said


def test_nobody_starts_empty_where_jobs_were(empty: RedisServer, tmp_path: Path) -> None:
    # S2.6
    assert cluster_in(tmp_path, empty.url, may_lose=False) is None, "a new one"
    with closing(open_store(tmp_path, empty.url, CLUSTER, may_lose=False, turn_over=False)) as store:
        store.load()
    assert cluster_in(tmp_path, empty.url, may_lose=False) == CLUSTER
    with empty.client() as client:
        client.flushall()
    with pytest.raises(StoreFailed, match="is empty, and the jobs of this scheduler were in unix://"):
        cluster_in(tmp_path, empty.url, may_lose=False)


def kill_again_and_again(tmp_path: Path, times: int) -> None:
    """Commits without end while Redis is killed, one scheduler after another."""
    with tempfile.TemporaryDirectory(prefix="redis-") as directory, redis_server(Path(directory)) as server:
        acknowledged = 0
        with closing(RedisStore(server.url, CLUSTER, tmp_path / "copy")) as store:
            store.load()
            for _ in range(times):
                killer = threading.Timer(0.03, server.kill)
                killer.start()
                with suppress(StoreTroubled):
                    while True:
                        store.commit([*job(acknowledged + 1), USED])
                        acknowledged += 1
                killer.join()
                server.start()
                store.commit([*job(acknowledged + 1), USED])
                acknowledged += 1
        with closing(RedisStore(server.url, CLUSTER, tmp_path / "other")) as store:
            assert store.numbers(None) == list(range(acknowledged, 0, -1))
            assert [used.usage.attempts for used in store.usage(UsageKind.USER, 0, None)] == [acknowledged]


def test_what_was_acknowledged_survives_that_redis_is_killed(tmp_path: Path) -> None:
    # S2.6
    kill_again_and_again(tmp_path, 3)


@pytest.mark.extra_redis
def test_what_was_acknowledged_survives_that_redis_is_killed_fifty_times(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 50)


def test_a_database_goes_to_redis_and_back_with_all_its_rows(empty: RedisServer, tmp_path: Path) -> None:
    # S2.6
    path, back = tmp_path / "cluster.db", tmp_path / "back.db"
    with closing(SqliteStore(path, CLUSTER)) as store:
        store.load()
        store.commit([*job(1), *job(2), JobValue(2, "k", "ü"), USED])
    counts = moving.to_redis(path, empty.url, CLUSTER, may_lose=False)
    assert counts["jobs"] == 2
    assert moving.to_redis(path, empty.url, CLUSTER, may_lose=False) == counts, "one that broke off is done again"
    with closing(RedisStore(empty.url, CLUSTER, tmp_path / "copy")) as old:
        assert old.load().epoch == 2
        old.commit(job(3))
        with pytest.raises(Conflict, match="has a scheduler's data"):
            moving.to_redis(path, empty.url, CLUSTER, may_lose=False)
        assert moving.to_sqlite(empty.url, back, CLUSTER)["jobs"] == 3
        with pytest.raises(StoreFailed, match="taken over"):
            old.commit(job(4))
    with closing(SqliteStore(back, CLUSTER)) as store:
        assert store.load().epoch == 4
        assert (store.numbers(None), store.values(2)) == ([3, 2, 1], {"k": "ü"})
    with empty.client() as client:
        client.flushall()
    with pytest.raises(StoreFailed, match="is empty"):
        moving.to_sqlite(empty.url, tmp_path / "none.db", CLUSTER)
    assert not (tmp_path / "none.db").exists()
