"""What a runner with an engine remembers, in `engine.db`: attempts that it was given, and reports that nobody has
acknowledged. An agent that is started anew goes on from there.

SQLite, one transaction for what happens at once. Use it from one thread at a time.
"""

import json
import os
import sqlite3
import struct
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Item, Template

VERSION = 2
_LEASE = struct.Struct("d")
_SCHEMA = """
create table kept (incarnation text not null, seq integer not null) strict;
create table templates (id text primary key, body text not null) strict;
create table held (
  place integer primary key,
  key text not null unique,
  template text not null,
  number integer,
  line text,
  ordered integer not null default 0,
  reference text not null default '',
  node text not null default '',
  began integer not null default 0,
  ended integer not null default 0
) strict;
create table reports (seq integer primary key, kind text not null, body text not null) strict;
"""
_DOUBTED = "create table doubted (name text primary key, until real not null) strict"


class HeldContainer(NamedTuple):
    """One attempt that has not ended. `ordered`: the engine may have a container of it. `began`: µs since the Unix
    epoch, 0: that was not reported."""

    item: Item
    template: Template
    ordered: bool
    reference: str
    began: int


class EngineStore:
    """Raises sqlite3.Error, OSError."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(directory / "engine.db", isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode=persist")
        self._db.execute("pragma synchronous=full")
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version > VERSION:
            raise sqlite3.DatabaseError(f"it is of version {version}, this program knows {VERSION}: use a newer one")
        if version == 0:
            with self.at_once():
                for statement in (*_SCHEMA.split(";\n")[:-1], _DOUBTED):
                    self._db.execute(statement)
                self._db.execute("insert into kept values (?, 0)", (uuid.uuid4().hex,))
                self._db.execute(f"pragma user_version = {VERSION}")
        if version == 1:
            self._db.execute(_DOUBTED)
            self._db.execute(f"pragma user_version = {VERSION}")
        self.incarnation, self.seq = self._db.execute("select incarnation, seq from kept").fetchone()
        self._lease = os.open(directory / "lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """One transaction."""
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    # -- what was kept

    def held(self) -> list[HeldContainer]:
        """In the order in which they were given."""
        templates = {
            name: template_of(json.loads(body)) for name, body in self._db.execute("select id, body from templates")
        }
        rows = self._db.execute(
            "select key, number, line, template, ordered, reference, began from held where not ended order by place"
        )
        return [
            HeldContainer(Item(key, number, line), templates[template], bool(ordered), reference, began)
            for key, number, line, template, ordered, reference, began in rows
        ]

    def unacked(self) -> list[Started | Ended]:
        rows = self._db.execute("select kind, body from reports order by seq")
        return [(Ended if kind == "ended" else Started)(*json.loads(body)) for kind, body in rows]

    def doubted(self) -> list[tuple[str, float]]:
        """Names of orders that were given up without an answer, and until when they may come to the engine."""
        return [(name, until) for name, until in self._db.execute("select name, until from doubted")]

    # -- what happens

    def take(self, template: Template, items: Iterable[Item]) -> None:
        body = json.dumps(asdict(template))
        name = sha256(body.encode()).hexdigest()
        self._db.execute("insert or ignore into templates values (?, ?)", (name, body))
        # What was given back and comes again is held anew.
        self._db.executemany(
            "insert into held (key, template, number, line) values (?, ?, ?, ?) on conflict (key) do nothing",
            [(item.key, name, item.number, item.line) for item in items],
        )

    def ordered(self, keys: Sequence[str], ordered: bool = True) -> None:
        self._db.executemany("update held set ordered = ? where key = ?", [(ordered, key) for key in keys])

    def refer(self, key: str, reference: str, node: str) -> None:
        """How the engine calls the attempt's container, and which machine runs it."""
        self._db.execute("update held set reference = ?, node = ? where key = ?", (reference, node, key))

    def doubt(self, name: str, until: float) -> None:
        """`until`: Unix seconds; 0: that is settled."""
        self._db.execute("delete from doubted where name = ?", (name,))
        if until:
            self._db.execute("insert into doubted values (?, ?)", (name, until))

    def report(self, report: Started | Ended) -> None:
        kind = "ended" if isinstance(report, Ended) else "started"
        self._db.execute("insert or replace into reports values (?, ?, ?)", (report.seq, kind, json.dumps(report)))
        self._db.execute("update kept set seq = ?", (report.seq,))
        if isinstance(report, Started):
            self._db.execute("update held set began = ? where key = ?", (report.at, report.key))
        else:
            self._db.execute("update held set ended = ? where key = ?", (report.seq, report.key))

    def acked(self, seq: int) -> list[tuple[str, str]]:
        """Forgets reports up to this number. Answers the keys of what has ended by them, and its references, of what
        the engine has shown a container of."""
        gone = self._db.execute("select key, reference from held where ended and ended <= ?", (seq,)).fetchall()
        self._db.execute("delete from held where ended and ended <= ?", (seq,))
        self._db.execute("delete from reports where seq <= ?", (seq,))
        self._db.execute("delete from templates where id not in (select template from held)")
        return _seen(gone)

    def again(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        """These had ended by being given back, and nobody has acknowledged that: forgets it, for they come again.
        Answers as `acked` does: what the engine has of them is of no use."""
        gone: list[tuple[str, str]] = []
        for key in keys:
            self._db.execute(
                "delete from reports where seq in (select ended from held where key = ? and ended)", (key,)
            )
            gone += self._db.execute("select key, reference from held where key = ? and ended", (key,))
            self._db.execute("delete from held where key = ? and ended", (key,))
        return _seen(gone)

    # -- the lease

    def confirm(self, at: float) -> None:
        """On the boot clock. It need not survive a power cut: after that it is over in any case."""
        os.pwrite(self._lease, _LEASE.pack(at) + self._boot, 0)

    def confirmed_at(self) -> float:
        """0: never in this boot."""
        said = os.pread(self._lease, 256, 0)
        if said[_LEASE.size :] != self._boot:
            return 0.0
        at: float = _LEASE.unpack_from(said)[0]
        return min(at, time.clock_gettime(time.CLOCK_BOOTTIME))

    def close(self) -> None:
        self._db.close()
        os.close(self._lease)


def _seen(gone: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of which the engine has shown a container."""
    return [(key, reference) for key, reference in gone if reference]


def template_of(body: Mapping[str, Any]) -> Template:
    """The reverse of `asdict`, through JSON: lists are tuples there."""
    return Template(**{name: _frozen(value) for name, value in body.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
