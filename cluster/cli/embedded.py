"""The embedded cluster: a scheduler and a worker of this machine in the background, on loopback only.

embedded.json names the two processes. Every start and stop holds a lock, so that ten first `cluster run` at once start
one cluster.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.cli import processes
from cluster.cli.processes import DidNotStart, Process
from cluster.client.discovery import ADMIN_FILE, local_scheduler
from cluster.client.paths import EMBEDDED_FILE
from cluster.domain.base.errors import ClusterError, Conflict, NoAccess, NotFound, unusable
from cluster.domain.base.quantities import format_cpus
from cluster.domain.trust.tokens import split_address
from cluster.pki.files import load_credentials, the_only_one, write_private
from cluster.pki.spare_files import remove_but_keep_room, write_anyhow

LOOPBACK = "127.0.0.1"
CA_FILE = "ca.pem"  # of the scheduler's directory, from its first start on
DEFAULT_PORT, DEFAULT_JOIN_PORT = 50000, 50001
STOP_PATIENCE = 60.0  # seconds: a worker first gives its jobs their grace

DAEMONS = ("scheduler", "worker")


def is_running(root: Path) -> bool:
    """Whether both processes are alive."""
    return all(_alive(root).values())


def up(root: Path, millicpus: int | None = None, http: Sequence[str] = ()) -> list[str]:
    """Starts whichever of the two does not run. Returns lines for people that say what it did; none when both ran.
    `http`: the scheduler's options about HTTP.

    ClusterError with the reason when one does not start: a daemon that somebody started by hand may use the directory.
    """
    _own_directory(root)
    with _locked(root):
        running = _alive(root)
        if running["worker"] is not None and millicpus is not None:
            _check_cpus(_recorded(root).get("millicpus"), millicpus)
        if running["scheduler"] is not None and http:
            _check_http(_recorded(root).get("http", []), http)
        if all(running.values()):
            return []
        _check_worker(root)
        fresh = running["scheduler"] is None
        try:
            if running["scheduler"] is None:
                _claim(root)
                _forget_killed(root / "scheduler")
                _start_scheduler(root, running, http)
                _save(root, running, http=http)
            if running["worker"] is None:
                _start(root, running, "worker", _worker_arguments(millicpus))
                _save(root, running, millicpus)
            address = (local_scheduler(root) or {}).get("address", "")
        except BaseException:  # also a bug of ours, or Ctrl-C: no scheduler may stay that nobody was told of
            if fresh:
                _stop_all(running)
            raise
    what = "a cluster" if fresh else "the worker of the cluster"
    return [f"started {what} on this machine ({address}); `cluster down` stops it"]


def down(root: Path) -> list[str]:
    """Stops worker, launcher and scheduler, in this order. Returns lines that say so; none when nothing ran."""
    if not root.exists():
        return []
    _own_directory(root)  # embedded.json names processes to end: nobody else may write it
    with _locked(root):
        running = _alive(root)
        said = []
        for daemon in reversed(DAEMONS):  # the worker first: it still has ends to report
            process = running[daemon]
            if process is None:
                continue
            if not processes.stop(process, STOP_PATIENCE):
                raise ClusterError(f"the {daemon} (process {process.pid}) did not stop within {STOP_PATIENCE:g} s")
            said.append(f"stopped the {daemon}{' and its jobs' if daemon == 'worker' else ''}")
        return said


def _stop_all(running: dict[str, Process | None]) -> None:
    for daemon in reversed(DAEMONS):  # the worker first: it still has ends to report
        if process := running[daemon]:
            processes.stop(process, STOP_PATIENCE)


def _own_directory(root: Path) -> None:
    """Makes the directory, or checks that nobody else can write there. Directories with keys in it are private
    themselves."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.stat()
    except OSError as error:
        raise unusable(f"the directory {root} cannot be used", error) from None
    if status.st_uid != os.geteuid():
        raise NoAccess(
            f"{root} belongs to user {status.st_uid}, not to us (user {os.geteuid()}): choose another with --home"
        )
    if status.st_mode & 0o022:
        raise ClusterError(f"{root} can be changed by others: chmod go-w it, or choose another with --home")


def _claim(root: Path) -> None:
    """Marks the directory as that of an embedded cluster. NotOurs where somebody made a cluster there with `cluster
    scheduler`: while that is stopped for a moment, we would start it elsewhere and run its jobs as this user."""
    mark = root / EMBEDDED_FILE
    if mark.exists():
        return
    if (root / "scheduler" / CA_FILE).exists():
        raise NotOurs(
            f"the cluster in {root / 'scheduler'} is not one that `cluster up` made: its scheduler is started with "
            "`cluster scheduler`; or choose another place with --home"
        )
    write_private(mark, b"{}")


def _forget_killed(directory: Path) -> None:
    """Removes the scheduler.json that a killed scheduler left. While it names another process than embedded.json, the
    next scheduler would pass for one started by hand, whose jobs do not run in the caller's directory."""
    status = directory / "scheduler.json"
    if status.exists():
        # Conflict: that scheduler lives.
        with suppress(ClusterError), the_only_one("scheduler", directory / "scheduler.lock"):
            remove_but_keep_room(status)


def _check_worker(root: Path) -> None:
    """NotOurs where the worker of this directory belongs to another cluster: it would work there, and not for us."""
    directory = root / "worker"
    if (directory / ADMIN_FILE).exists():
        raise NotOurs(
            f"the worker in {directory} stands alone (`cluster worker --standalone`): while it runs, `cluster run` and "
            "`cluster job` go to it; a cluster beside it needs a place of its own, with --home DIR (CLUSTER_HOME)"
        )
    theirs = _cluster_of(directory / "worker.pem")
    if theirs and theirs != _cluster_of(root / "scheduler" / ADMIN_FILE):
        raise NotOurs(
            f"the worker in {directory} belongs to another cluster ({theirs}): use that one with --scheduler or "
            "`cluster login`; or keep a cluster of your own elsewhere with --home DIR (CLUSTER_HOME)"
        )


def _cluster_of(credentials: Path) -> str:
    """The id of the cluster that the credentials are of; empty where there is no such file."""
    try:
        return load_credentials(credentials).identity.cluster_id
    except NotFound:
        return ""


class NotOurs(ClusterError):
    """There is a cluster here, and it is not ours to start."""

    exit_code = 75  # EX_TEMPFAIL, as for a cluster that cannot be reached


def _start_scheduler(root: Path, running: dict[str, Process | None], http: Sequence[str]) -> None:
    """Starts it on the port that it had before, so that clients find it again; else on the usual one; else on any."""
    before = _recorded(root).get("address")
    usual = [split_address(before)[1]] if before else []
    port = next((port for port in [*usual, DEFAULT_PORT] if _is_free(port)), 0)
    join_port = DEFAULT_JOIN_PORT if _is_free(DEFAULT_JOIN_PORT) else 0
    try:
        _start(root, running, "scheduler", [*_listening(port, join_port), *http])
    except ClusterError:
        if (not port or _is_free(port)) and (not join_port or _is_free(join_port)):
            raise
        # Somebody took one of the ports after we looked. The other is kept: followers of a job look for us there.
        _start(root, running, "scheduler", [*_listening(port if _is_free(port) else 0, 0), *http])


def _listening(port: int, join_port: int) -> list[str]:
    return ["--listen", f"{LOOPBACK}:{port}", "--join-listen", f"{LOOPBACK}:{join_port}"]


def _start(root: Path, running: dict[str, Process | None], daemon: str, arguments: list[str]) -> None:
    """Starts one daemon. embedded.json names it from its first moment, so that `down` finds it even if we are killed
    before it is ready."""
    # The directory is given, because variables and the configuration file may name that of another daemon.
    options = ["--directory", str(root / daemon)]
    log = root / f"{daemon}.log"
    try:
        running[daemon] = processes.start(
            [daemon, *options, *arguments], root, log, lambda process: _save(root, {**running, daemon: process})
        )
    except DidNotStart as error:
        failure = ClusterError(f"the {daemon} did not start: {error}")
        failure.exit_code = error.code or failure.exit_code
        raise failure from None
    _save(root, running)


def _worker_arguments(millicpus: int | None) -> list[str]:
    """Jobs run as the user who starts the cluster, also as root: on one's own machine people expect that."""
    options = ["--listen", f"{LOOPBACK}:30000", "--or-next-port"]
    arguments = ["--stop-jobs", *options, "--run-as", str(os.geteuid())]
    return arguments if millicpus is None else [*arguments, "--cpus", format_cpus(millicpus)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _alive(root: Path) -> dict[str, Process | None]:
    """The processes that embedded.json names, where they still run."""
    said = _recorded(root)
    named = {daemon: Process(**said[daemon]) for daemon in DAEMONS if said.get(daemon)}
    return {
        daemon: named[daemon] if daemon in named and processes.is_alive(named[daemon]) else None for daemon in DAEMONS
    }


def _recorded(root: Path) -> dict[str, Any]:
    """The content of embedded.json; empty where it is missing or cannot be read as what it should be."""
    try:
        said = json.loads((root / EMBEDDED_FILE).read_bytes())
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError):
        return {}


def _save(
    root: Path, running: dict[str, Process | None], millicpus: int | None = None, http: Sequence[str] | None = None
) -> None:
    """Writes embedded.json. `millicpus`: how much the worker was told to offer; None: it was told nothing. `http`: the
    scheduler's options about HTTP; None: as they were."""
    content: dict[str, Any] = {daemon: asdict(process) for daemon, process in running.items() if process}
    content["address"] = (local_scheduler(root) or _recorded(root)).get("address")
    content["millicpus"] = millicpus
    content["http"] = _recorded(root).get("http", []) if http is None else list(http)
    write_anyhow(root / EMBEDDED_FILE, json.dumps(content).encode())


def _check_cpus(offered: int | None, wanted: int) -> None:
    """Conflict where the worker that runs offers another number of cpus: only its next start can change that."""
    if offered != wanted:
        has = "all cpus" if offered is None else f"{format_cpus(offered)} cpus"
        raise Conflict(
            f"the cluster on this machine runs already, with {has}: for {format_cpus(wanted)} `cluster down` must stop "
            "it first, with its jobs"
        )


def _check_http(present: Sequence[str], wanted: Sequence[str]) -> None:
    """Conflict where the scheduler that runs does so otherwise: only its next start can change that."""
    if list(present) != list(wanted):
        has = " ".join(present) or "no --http"
        raise Conflict(
            f"the cluster on this machine runs already, with {has}: for {' '.join(wanted)} `cluster down` must stop it "
            "first, with its jobs"
        )


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Holds the lock for one start or stop. Others wait for it: a start takes about a second."""
    descriptor = os.open(root / "embedded.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
