"""What agent and launcher say to each other: one JSON array a line, in both directions, over a Unix socket.

A line is `[word, argument…]`. Either side may put any number of lines into one write; each does one write a
turn. The socket lies in the launcher's own directory (0700) and its peer must have the same user id. The
newest `hello` wins: the connection of an earlier one is closed. Text that is not UTF-8 travels as lone
surrogates (`os.fsdecode`), escaped by JSON.

Agent to launcher; the first line of a connection must be `hello`:

    ["hello", millicpus]              use so many millicpus from now on. (Not which reports are safe: what a full disk
                                      has kept out of the journal, a launcher that died may have told under numbers that
                                      its successor uses again)
    ["offer", [[name, amount], …], [gpu, …]]
                                      and so much beside these: of what is shared by amount, and gpus by their ids
    ["define", id, template]          how to start attempts (fields of `Template`); known until we disconnect;
                                      an id that is used again means the new one from then on
    ["start", id, [item, …], confirmed_at]
                                      start these, in this order, as there is room. an item is the bare key, or
                                      [key, number, line]: line may be null. confirmed_at: when the last confirmed
                                      lease was asked for, as the agent knew it then; may be left out
    ["recall", [key, …]]              return what has not started
    ["stop", [key, …], reason, grace, signal]
                                      grace in seconds, null: the template's own
    ["freeze", [key, …], thaw]        let these stand still where they are; with thaw = true, let them go on
    ["ack", acked]                    reports up to this sequence number are safe
    ["quit", kill]                    exit when idle; with kill = true end everything first

Launcher to agent; `hello` comes first, then every report that was not acknowledged, then reports as they
happen:

    ["hello", {version, incarnation, boot, pid, leashes, limits_memory, seq, unacked, running, backlog, quiet,
               frozen}]
                                      leashes: the launcher's descriptor of the memory into which the agent writes when
                                      the lease was confirmed (`leashes.Leashes`). unacked: how many reports follow.
                                      running, backlog, frozen: lists of keys. limits_memory: whether an attempt that
                                      takes more memory than it asks for is ended
    ["started", seq, key, pid, at]    see `Started`
    ["ended", seq, key, reason, code, signal, started_at, duration, cpu, peak, out, err, text]
                                      see `Ended`
    ["refused", text]                 the agent broke these rules; the connection is closed

Reports have rising sequence numbers and are repeated on every new connection until acknowledged. A start that
names a key the launcher holds, or whose end was not acknowledged, is ignored: so a start may be repeated too.
Only what was returned is started again by it, acknowledged or not, and its return is told no more: so none
may be repeated behind a return, unless the scheduler has assigned it anew. The incarnation changes whenever
outcomes may have been forgotten (no journal, a reboot): with the same incarnation an attempt that is neither
reported nor held never started.

Keys are those of `cluster.domain.base.ids.AttemptKey`. The launcher sets for the command: CLUSTER_TASK (the
number), CLUSTER_ATTEMPT (the attempt as people write it, with the number: `5.17#2`, or `5#2` when the job
is no array), CLUSTER_LINE (the line, if there is one), CLUSTER_TOKEN (if its template has a key for that), and
CLUSTER_LAUNCHER, by which a later launcher finds what is left of this one's processes.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.amounts import Amounts
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.offer import Offer

T = TypeVar("T")

VERSION = 4
SOCKET_NAME = "launcher.sock"
LONGEST_LINE = 64 * 1024 * 1024  # bytes; a batch of 100,000 items with long lines fits, a runaway peer does not

BATCH_BYTES = 1024 * 1024  # of keys and lines in one message; what is escaped takes six for each character


class WireError(ValueError):
    """The peer sent something that the wire does not know. The text says what."""


def encode(message: Iterable[Any]) -> bytes:
    """One message as a line."""
    return _dumps(message).encode() + b"\n"


_dumps = json.JSONEncoder(separators=(",", ":")).encode
decode = json.loads


def decode_lines(data: bytes) -> list[Any]:
    """Whole lines, all at once: that takes half the time. (JSON escapes line ends within texts.)"""
    messages: list[Any] = decode(b"[%b]" % data.rstrip(b"\n").replace(b"\n", b","))
    return messages


def encode_report(report: Started | Ended) -> bytes:
    """A report as a line, for the wire and for the journal alike."""
    return encode(("started" if isinstance(report, Started) else "ended", *report))


def decode_report(message: list[Any]) -> Started | Ended:
    """The inverse, of a decoded line. Raises WireError when it is no report."""
    try:
        if message[0] == "ended":
            return Ended(*message[1:])
        if message[0] == "started":
            return Started(*message[1:])
    except TypeError as e:
        raise WireError(f"a report with the wrong fields: {e}") from None
    raise WireError(f"{message[0]!r} is not a report")


def encode_template(template: Template) -> dict[str, Any]:
    """A template as a JSON object; fields that have their default are left out."""
    values = {name: getattr(template, name) for name in Template.__slots__}
    return {k: v for k, v in values.items() if k in ("argv", "env", "outputs") or v != _DEFAULTS[k]}


def decode_template(fields: dict[str, Any]) -> Template:
    """The inverse. Raises WireError."""
    try:
        argv = tuple(map(str, fields.pop("argv")))
        env = tuple((str(k), str(v)) for k, v in fields.pop("env"))
        if not argv:
            raise WireError("a template needs a command")
        if "then" in fields:
            fields["then"] = tuple(tuple(map(str, words)) for words in fields["then"])
        if "files" in fields:
            fields["files"] = tuple(map(str, fields["files"]))
        fields["amounts"] = _amounts(fields.get("amounts", ()))
        for name in ("timeout", "grace", "leash"):
            if fields.get(name) is not None:
                fields[name] = float(fields[name])
        return Template(argv=argv, env=env, **fields)
    except (TypeError, KeyError, ValueError, AttributeError) as e:
        raise WireError(f"a bad template: {e}") from None


def _amounts(pairs: Iterable[Any]) -> Amounts:
    return tuple((str(name), int(amount)) for name, amount in pairs)


def decode_offer(sums: Iterable[Any], gpus: Iterable[Any]) -> Offer:
    """What the agent grants beside cpus. Raises TypeError, ValueError."""
    return Offer(_amounts(sums), tuple(map(str, gpus)))


def encode_item(item: Item) -> str | Item:
    """An item as JSON: the bare key when there is nothing else."""
    return item.key if item.number is None and item.line is None else item


def batches_of(several: Iterable[T]) -> Iterator[list[T]]:
    """Items, or keys, in lists that make messages of bounded size."""
    batch: list[T] = []
    size = 0
    for one in several:
        line = one.line if isinstance(one, Item) else None
        size += 64 + 6 * len(line or "")
        if batch and size > BATCH_BYTES:
            yield batch
            batch, size = [], 64 + 6 * len(line or "")
        batch.append(one)
    if batch:
        yield batch


def decode_item(value: Any) -> Item:
    """The inverse. Raises WireError."""
    try:
        item = Item(value) if isinstance(value, str) else Item(*value)
        if AttemptKey.parse(item.key).index and item.number is None:
            raise ValueError(f"{item.key} is of an array and needs its number")
    except (TypeError, ValueError) as e:
        raise WireError(f"a bad item: {e}") from None
    return item


_DEFAULTS = {name: getattr(Template(("",), (), ""), name) for name in Template.__slots__}
