"""The launcher's side of its slots: make them, hand them attempts, take back what they have not begun, hear from them.

What a slot has in hand is known exactly: it is what was handed to it, less what it has told the end of, less what can
still be read from its queue, of which we keep the receiving end as well. With the queue empty and nothing handed out
meanwhile, all that is below the slot is of that one attempt, so what is sent there can reach no other.
"""

import errno
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.allocation import GPU_VARIABLE
from cluster.domain.launcher.slots import user_of
from cluster.domain.launcher.template import Template
from cluster.launcher import cgroup, slot_process, slot_protocol, tree
from cluster.launcher.begun_file import BegunFile
from cluster.launcher.leashes import Leashes
from cluster.launcher.log import log
from cluster.launcher.spawn import NO_MORE_PROCESSES
from cluster.launcher.wire import encode_template

_READ = 1 << 16  # bytes: what a pipe holds


@dataclass(slots=True)
class _Slot:
    process: tree.ProcessStat
    ours: socket.socket
    theirs: socket.socket  # the receiving end
    told: bool = False  # anything at all
    template: Template | None = None
    gpus: tuple[str, ...] = ()  # with which the template was sent
    template_id: int = 0
    token_key: bytes = b""  # of the template
    handed: deque[tuple[int, str]] = field(default_factory=deque)  # number and key, in order; the first is in hand


class SlotProcesses:
    """All slots of this launcher that have a process. `results`: a descriptor, readable when they tell something."""

    def __init__(
        self,
        identity: str,
        jobs_files: int,
        leashes: Leashes,
        begun: BegunFile,
        group: cgroup.Group,
        on_leash: Callable[[float | None], None],
    ) -> None:
        """`on_leash` is told of each leash that has come into the table, before anything runs on it."""
        self._identity, self._jobs_files = identity, jobs_files
        self._leashes, self._begun, self._group = leashes, begun, group
        self._on_leash = on_leash
        self._slots: dict[int, _Slot] = {}
        self._numbers: dict[int, int] = {}  # pid: slot
        self._ending: set[int] = set()  # pids of those that were let go
        self._count = 0  # of what was ever handed out
        self._tail = b""  # of the pipe: a message of which a part is still to come
        self.results, self._writer = os.pipe()
        os.set_blocking(self.results, False)

    def next_number(self) -> int:
        """The number of the next attempt that is handed out."""
        self._count += 1
        return self._count

    def hand(self, spawn: ev.Spawn, number: int) -> bool:
        """Queue the attempt for its slot, which is made if need be. False when its queue is full. Raises OSError when
        no slot can be made, or nothing be queued."""
        template, gpus = spawn.template, spawn.gpus
        slot = self._slots.get(spawn.slot) or self._make(spawn.slot, template)
        if not slot.handed:
            self._leashes.set_leash(spawn.slot, template.leash)
            self._on_leash(template.leash)
        try:
            if slot.template is not template or slot.gpus != gpus:
                slot_protocol.send(slot.ours, ("template", slot.template_id + 1, _fields(template, gpus)))
                slot.template, slot.gpus, slot.template_id = template, gpus, slot.template_id + 1
                slot.token_key = bytes.fromhex(template.token_key)
            attempt = tuple(slot_protocol.handed_attempt(spawn.item, slot.token_key))
            slot_protocol.send(slot.ours, ("start", number, slot.template_id, attempt, spawn.by))
        except BlockingIOError:
            return False
        slot.handed.append((number, spawn.item.key))
        return True

    def read(self) -> list[ev.Event]:
        """What the slots tell, as events."""
        data = self._tail
        while True:
            try:
                chunk = os.read(self.results, _READ)
            except BlockingIOError:
                break
            data += chunk
            if len(chunk) < _READ:
                break
        messages, self._tail = slot_protocol.split(data)
        events = (self._event(*message) for message in messages)
        return [event for event in events if event is not None]

    def _event(self, word: str, slot_number: int, number: int, *rest: Any) -> ev.Event | None:
        slot = self._slots.get(slot_number)
        if slot is None or not slot.handed or slot.handed[0][0] != number:
            return None  # of a slot that was lost, and is another process now
        key, slot.told = slot.handed[0][1], True
        if word == "started":
            return ev.ProcessStarted(key, *rest)
        slot.handed.popleft()
        if not slot.handed:
            self._leashes.set_leash(slot_number, None)
        if word == "unbegun":
            return ev.SlotReturned(slot_number, [key])
        if word == "failed":
            return ev.StartFailed(key, *rest)
        wall_us, code, signal_name, took_us, cpu_us, peak_kib, out, err, cut, closed, *more = rest
        if closed:
            self._let_go(slot_number)
        sizes = (out, err)
        how = (code, signal_name, took_us, cpu_us, peak_kib, sizes)
        return ev.ProcessEnded(key, *how, cut, closed, wall_us, *more)

    def recall(self, slot_number: int) -> list[str]:
        """Empty the slot's queue; answers what it has not begun, and will not."""
        slot = self._slots.get(slot_number)
        if slot is None:
            return []
        unbegun = set()
        with suppress(BlockingIOError):
            while (message := slot_protocol.receive(slot.theirs, socket.MSG_DONTWAIT)) is not None:
                if message[0] == "template":
                    slot.template = None  # it has not read that: it is sent again
                else:
                    unbegun.add(message[1])
        keys = [key for number, key in slot.handed if number in unbegun]
        slot.handed = deque(each for each in slot.handed if each[0] not in unbegun)
        if not slot.handed:
            self._leashes.set_leash(slot_number, None)
        return keys

    def signal(self, slot_number: int, key: str, number: int, leader: int) -> bool:
        """To all of that attempt, unless it has ended. The slot's queue must be empty. False when the leader (a pid)
        had ended before."""
        slot = self._running(slot_number, key)
        return slot is not None and tree.signal_below(slot.process.pid, number, leader)

    def kill(self, slot_number: int, key: str) -> None:
        """SIGKILL all of that attempt, unless it has ended. The slot's queue must be empty."""
        if (slot := self._running(slot_number, key)) is not None:
            tree.kill_all(lambda: tree.below(slot.process.pid))

    def freeze(self, slot_number: int, key: str, thaw: bool) -> None:
        """Stop all of that attempt where it is, unless it has ended; or let it go on. The slot's queue must be empty.
        Signals do that, as the slot shares its cgroup with what it runs, and must not stand still."""
        if (slot := self._running(slot_number, key)) is None:
            return
        if thaw:
            tree.thaw_below(slot.process.pid)
        elif refused := tree.freeze_below(slot.process.pid):
            log(f"{key} is frozen but for {len(refused)} processes: of another user, we may not stop them")

    def kill_slot(self, slot_number: int, key: str) -> None:
        """SIGKILL the slot that has this attempt in hand, and all of that: it hangs."""
        if (slot := self._running(slot_number, key)) is not None:
            tree.kill_slot(slot.process)

    def _running(self, slot_number: int, key: str) -> _Slot | None:
        slot = self._slots.get(slot_number)
        return slot if slot is not None and [each for _, each in slot.handed] == [key] else None

    def retire(self, slot_number: int) -> None:
        """It is idle: let it end."""
        if slot_number in self._slots:
            self._let_go(slot_number)

    def lost(self, pid: int) -> ev.SlotLost | None:
        """A child of ours was reaped. None when it was no slot, or one that was let go. What was below it is dead then:
        it has become ours, and we kill it."""
        self._ending.discard(pid)
        slot_number = self._numbers.get(pid)
        if slot_number is None:
            return None
        self._group.kill_slot(slot_number)
        unbegun = self.recall(slot_number)
        slot = self._let_go(slot_number)
        self._ending.discard(pid)
        unread = {key for number, key in slot.handed if not self._begun.has_begun(slot_number, number)}
        return ev.SlotLost(slot_number, [*sorted(unread), *unbegun], stillborn=not slot.told)

    def go_on(self, pid: int) -> None:
        """A child of ours was stopped. If it is a slot, by its own job, of the same user: nobody else would let it go
        on, and it could tell no end."""
        if pid in self._numbers:
            os.kill(pid, signal.SIGCONT)

    def kill_orphans(self, known: Iterable[int]) -> None:
        """What a slot that was killed left has become our child: kill it. `known`: children that are no orphans."""
        tree.kill_children(tree.read_own(), {*self._numbers, *self._ending, *known})

    def close(self) -> None:
        """The launcher ends, and nothing runs: wait for the slots to end, but not for ever."""
        ending = [self._let_go(slot_number).process for slot_number in list(self._slots)]
        tree.wait_until_gone(ending)
        for process in ending:
            with suppress(ChildProcessError):  # reaped already
                os.waitpid(process.pid, os.WNOHANG)

    def _let_go(self, slot_number: int) -> _Slot:
        """It ends when it has nothing below it any more."""
        slot = self._slots.pop(slot_number)
        del self._numbers[slot.process.pid]
        self._ending.add(slot.process.pid)
        self._leashes.set_process(slot_number, 0, 0)
        slot.ours.close()
        slot.theirs.close()
        return slot

    def _make(self, slot_number: int, template: Template) -> _Slot:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        launcher = os.getpid()
        self._group.make_slot(slot_number)
        # Blocked over the fork, so that no handler of ours runs in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                setup = slot_process.Setup(
                    slot_number,
                    user_of(template),
                    self._identity,
                    self._jobs_files,
                    launcher,
                    theirs,
                    self._writer,
                    self._leashes,
                    self._begun,
                    self._group,
                )
                slot_process.run(setup)
        except OSError as e:
            ours.close()
            theirs.close()
            raise OSError(e.errno, NO_MORE_PROCESSES if e.errno == errno.EAGAIN else e.strerror) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
        process = tree.read_process(pid)
        assert process is not None, "it is our child and not reaped"
        self._leashes.set_process(slot_number, pid, process.start)
        self._begun.set_process(slot_number, pid, process.start)
        self._numbers[pid] = slot_number
        slot = self._slots[slot_number] = _Slot(process, ours, theirs)
        return slot


def _fields(template: Template, gpus: tuple[str, ...]) -> dict[str, Any]:
    """As a slot gets it: with the units that its attempts have to themselves, in the variable that says so."""
    fields = encode_template(template)
    env = dict(template.env)
    if gpus:
        env[GPU_VARIABLE] = ",".join(gpus)
    return {**fields, "argv": tuple(template.argv), "env": tuple(env.items())}
