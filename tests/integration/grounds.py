"""Launchers as root and as another user, where cgroups are of version 2, of version 1 or missing, and all that runs
below them counted by somebody whom it cannot escape: a cgroup of a hierarchy that launchers make no use of.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.launcher import tree
from cluster.launcher.client import default_command
from tests.integration.launchers import Agent, Lab

USERS = ("root", "nobody", "own")  # both root; the launcher root and its jobs nobody; both somebody else
CGROUPS = ("v2", "v1", "none")
UNIFIED = Path("/sys/fs/cgroup/unified")
FREEZER = Path("/sys/fs/cgroup/freezer")
OBSERVER = Path("/sys/fs/cgroup/systemd")
OWN_ID = 61234
NOBODY = 65534
PYTHON = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") or ""  # that every user may run
HIDE = {
    "v2": ":",
    "v1": f"umount -l {UNIFIED}",
    "none": "mount -t tmpfs none /sys/fs/cgroup",
}
OURS = ("cluster-slot", "cluster-watchdo")


def missing() -> str | None:
    """What this machine lacks for them, and how to get it."""
    if os.geteuid() != 0:
        return "needs root: it starts launchers as other users, and hides cgroups from them"
    for group, what in ((UNIFIED, "version 2"), (FREEZER, "version 1"), (OBSERVER, "version 1 (name=systemd)")):
        if not os.access(group / "cgroup.procs", os.W_OK):
            return f"needs cgroups of {what} in {group}: boot with systemd.unified_cgroup_hierarchy=0, or mount them"
    if not PYTHON:
        return "needs a Python that every user may run (apt-get install python3)"
    return None if shutil.which("unshare") else "needs unshare (apt-get install util-linux)"


def _readable(program: Path, place: Path) -> Path:
    """The launcher's program in a copy that every user may read: this checkout may lie where only its owner looks."""
    package = program.parents[1]
    for part in ("domain", "launcher"):
        shutil.copytree(package / part, place / package.name / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(package / "__init__.py", place / package.name)
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return place / program.relative_to(package.parent)


class Ground(Lab):
    """A launcher's directory and place, of one kind. Needs root. `close` removes all of it."""

    def __init__(self, user: str, cgroups: str) -> None:
        root = Path(tempfile.mkdtemp(prefix=f"cluster-ground-{os.getpid()}-"))
        super().__init__(root)
        self.user = user
        name = root.name
        self._observer, self.escapes = OBSERVER / name, [UNIFIED / f"{name}-x", FREEZER / f"{name}-x"]
        self._delegated = {"v2": [UNIFIED / name], "v1": [FREEZER / name], "none": []}[cgroups]
        for group in (self._observer, *self.escapes, *self._delegated):
            group.mkdir()
        owner = OWN_ID if user == "own" else 0
        Path(self.directory).mkdir(mode=0o700)
        (root / "work").mkdir()
        (root / "work").chmod(0o777)
        for path in (root, self.outputs, Path(self.directory), *self._delegated):
            os.chown(path, owner, owner)
            path.chmod(0o711 if path == root else path.stat().st_mode)
        for group in self._delegated:
            for file in group.iterdir():
                os.chown(file, owner, owner)
        shutil.copy(Path(__file__).with_name("tree_shapes.py"), root)
        enter = "".join(f"echo $$ > {group}/cgroup.procs; " for group in (self._observer, *self._delegated))
        self._become = ("setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups") if owner else ()
        script = f'{enter} {HIDE[cgroups]}; exec "$@"'
        self.command = ["unshare", "-m", "--propagation=private", "sh", "-ec", script, "sh", *self._become]
        *options, program = default_command()[1:]
        self.command += [PYTHON, *options, str(_readable(Path(program), root / "code"))]

    async def connect(self, millicpus: int = 1000, **more: Any) -> Agent:
        return await super().connect(millicpus, **{"command": self.command, **more})

    def fifo(self) -> Path:
        path = super().fifo()
        path.chmod(0o666)
        return path

    def template(self, *argv: str, **changes: Any) -> Any:
        who = {"uid": NOBODY, "gid": NOBODY} if self.user == "nobody" else {}
        return super().template(*argv, **{"cpus": 0, "cwd": str(self.root / "work"), **who, **changes})

    def shape(self, name: str, ready: Path, gate: Path, **changes: Any) -> Any:
        """A job of that shape (`tree_shapes`), whose environment says nothing of whose it is."""
        env = (f"PATH={os.environ['PATH']}", f"GROUPS_TO_ENTER={':'.join(map(str, self.escapes))}")
        script = (PYTHON, "-I", "-S", str(self.root / "tree_shapes.py"), name, str(ready), str(gate))
        return self.template("env", "-i", *env, *script, **changes)

    def limit_processes(self, pid: int, most: int) -> None:
        """Of the user of that process, as it is told when it forks. (Root may lack the right to say so.)"""
        subprocess.run([*self._become, "prlimit", f"--pid={pid}", f"--nproc={most}:10000"], check=True)

    def error(self, key: str) -> str:
        """What an attempt that has ended said on stderr."""
        path = self.outputs / f"{key.split('.')[1].replace('#', '.')}.err"
        return path.read_text() if path.exists() else "it said nothing"

    def survivors(self, *others: int) -> list[tree.ProcessStat]:
        """All that runs below the launcher, and is none of ours."""
        found = [*filter(None, map(tree.read_process, self._inside()))]
        return [p for p in found if p.pid not in others and _runs(p.pid) and _name(p.pid) not in OURS]

    async def outlived(self, until: float, *others: int) -> list[tree.ProcessStat]:
        """The survivors, once there are none or that time (monotonic clock) has come. No event tells of that."""
        while (left := self.survivors(*others)) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return left

    def describe(self, processes: list[tree.ProcessStat]) -> str:
        return ", ".join(f"{p.pid} {p.state} below {p.parent}: {_command(p.pid)}" for p in processes[:5])

    def _inside(self) -> Iterator[int]:
        for path, _, _ in os.walk(self._observer):
            yield from map(int, (Path(path) / "cgroup.procs").read_text().split())

    def close(self) -> None:
        """End what is left, and remove everything."""
        while any(map(_runs, inside := list(self._inside()))):
            for pid in inside:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for group in (self._observer, *self.escapes, *self._delegated):
            for path, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    os.rmdir(path)
        shutil.rmtree(self.root)


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _runs(pid: int) -> bool:
    """Whether any thread of it does: not what is dead and only waited for by nobody yet."""
    status = _status(pid)
    return bool(status) and (status["State"][0] not in "ZX" or int(status["Threads"]) > 1)


def _name(pid: int) -> str:
    return _status(pid).get("Name", "")


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return "gone"
