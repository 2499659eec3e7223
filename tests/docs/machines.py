"""Machines for the examples of a page: each with a host name, addresses, processes and files of its own.

Their files are this machine's under a layer that takes all that they write (overlayfs on a tmpfs), so they may use any
path, and nothing of it is left afterwards. They share a network that nobody else is on; its name server does not
answer, so they know each other from /etc/hosts alone. Whoever makes them is alone in namespaces of its own (`ALONE`);
with it all of their processes end.
"""

import os
import select
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from tools.environments import BUILD, REPOSITORY

ALONE = ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
ITS_OWN = ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
TOOLS = ("unshare", "ip", "mount", "chroot")
SILENCE = 60.0  # seconds after which nothing more is expected from what goes on in a terminal
EMPTY = {"tmp": "1777", "var/tmp": "1777", "srv": "755"}  # directories in which a new machine has nothing: modes
NETWORK, GATEWAY, NOBODY = "10.7.0", 254, 253

# All that making one needs of the kernel. A container's root may often do none of it.
TRY = """
set -e
ip link add switch type bridge; ip link add one type veth peer two
mount -t tmpfs try /mnt; mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
"""

# Runs in the machine's namespaces. The first line from outside says that its end of the cable is plugged in.
START = """
set -e
mount -t proc proc "$ROOT/proc"; mount -t sysfs sysfs "$ROOT/sys"; mount --rbind /dev "$ROOT/dev"
hostname "$NAME"
echo ready; read -r plugged
ip link set lo up; ip addr add "$ADDRESS/24" dev eth0; ip link set eth0 up; ip route add default via "$GATEWAY"
exec chroot "$ROOT" bash --norc
"""


@cache
def missing() -> str | None:
    """What this machine lacks for them, and how to get it."""
    if os.geteuid() != 0:
        return "making machines for the examples needs root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"making machines for the examples needs {', '.join(lacking)} (apt-get install util-linux iproute2)"
    tried = subprocess.run([*ALONE, "sh", "-c", TRY], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no machines for the examples can be made here: {tried.stderr.strip()}"


class Machines:
    """All that a page names. Each is made when it is first asked for; all of them know each other's names."""

    def __init__(
        self, names: list[str], place: Path, files: Mapping[str, Path], environ: Mapping[str, str], seen: Sequence[Path]
    ) -> None:
        """`place`: an empty directory. `files`: files and directories that each machine has at the beginning, by their
        paths below its home, which is the working directory. `environ`: what is set there.
        `seen`: directories that it has from here, as they are."""
        subprocess.run(["mount", "-t", "tmpfs", "machines", place], check=True)
        _ip("link", "add", "switch", "type", "bridge")
        _ip("addr", "add", f"{NETWORK}.{GATEWAY}/24", "dev", "switch")
        _ip("link", "set", "switch", "up")
        self._names, self._place, self._files, self._environ = names, place, files, environ
        self._seen = seen
        self._running: dict[str, Machine] = {}

    def __getitem__(self, name: str) -> "Machine":
        if name not in self._running:
            number = self._names.index(name) + 1
            self._running[name] = Machine(name, number, self._root(name), self._environ)
        return self._running[name]

    def _root(self, name: str) -> Path:
        """Where its files lie, seen from here."""
        place = self._place / name
        upper, work, root = (place / part for part in ("upper", "work", "root"))
        for path in (upper, work, root):
            path.mkdir(parents=True)
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
        for directory, mode in EMPTY.items():
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode={mode}", "empty", root / directory], check=True)
        for path in (REPOSITORY, BUILD.resolve(), Path(sys.base_prefix), *self._seen):
            within = root / path.relative_to("/")  # hidden, where it is mounted or lies in one of those
            within.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", path, within], check=True)
        home = root / "home" / "you"
        home.mkdir(parents=True)
        for target, source in self._files.items():
            (home / target).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, home / target)
        hosts = [f"{NETWORK}.{number} {each}.example {each}\n" for number, each in enumerate(self._names, 1)]
        resolver = f"nameserver {NETWORK}.{NOBODY}\n"
        machine_id = f"{self._names.index(name) + 1:032x}\n"
        texts = {"hosts": "".join(["127.0.0.1 localhost\n", *hosts]), "resolv.conf": resolver, "machine-id": machine_id}
        for file, text in texts.items():
            path = root / "etc" / file
            path.unlink(missing_ok=True)  # it may be a link, which from here would lead out of the machine
            path.write_text(text)
        return root


class Machine:
    """One of them, and a shell on it."""

    def __init__(self, name: str, number: int, root: Path, environ: Mapping[str, str]) -> None:
        self.root, self.home = root, root / "home" / "you"
        started = {"NAME": name, "ROOT": str(root), "ADDRESS": f"{NETWORK}.{number}", "GATEWAY": f"{NETWORK}.{GATEWAY}"}
        self._shell = subprocess.Popen(
            [*ITS_OWN, "bash", "--norc", "-c", START],
            env={**environ, **started, "HOME": "/home/you"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._terminals = 0
        self._answer("ready")
        _ip("link", "add", name, "master", "switch", "type", "veth", "peer", "eth0", "netns", str(self._shell.pid))
        _ip("link", "set", name, "up")
        self._tell("plugged in")
        self._tell("cd; unset NAME ROOT ADDRESS GATEWAY OLDPWD")

    def write(self, file: str, text: str) -> None:
        """A file, as a command there would write it."""
        (self.root / "tmp" / ".file").write_text(text)
        code, answer = self.run(
            f"mkdir -p {shlex.quote(os.path.dirname(file) or '.')} && cp /tmp/.file {shlex.quote(file)}"
        )
        assert code == 0, answer

    def run(self, command: str) -> tuple[int, str]:
        """Its exit code and what it has written to both streams."""
        (self.root / "tmp" / ".command").write_text(command + "\n")
        self._tell(". /tmp/.command < /dev/null; printf '\\n\\4 %s\\n' $?")
        said = self._answer("\4")
        return int(said.pop().split()[1]), "".join(said).removesuffix("\n")

    def start(self, command: str, said: Callable[[str], bool]) -> str:
        """Starts it in a terminal of its own; returns what it has written once that is enough, or when it has ended."""
        self._terminals += 1
        terminal = f"/tmp/.terminal{self._terminals}"
        (self.root / f"{terminal[1:]}.command").write_text(command + "\n")
        fifo = self.root / terminal[1:]
        os.mkfifo(fifo)
        # As a job of the shell, so that Ctrl-C reaches it.
        self.run(f"set -m; (. {terminal}.command) < /dev/null > {terminal} 2>&1 & set +m")
        output, written = fifo.open("rb", buffering=0), b""
        while not said(written.decode(errors="replace")) and select.select([output], [], [], SILENCE)[0]:
            if not (piece := output.read(65536)):
                break
            written += piece
        threading.Thread(target=output.readall, daemon=True).start()
        return written.decode(errors="replace")

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C in the terminal that was opened last, and the end of what went on there."""
        return self.run("kill -INT -- -$!; wait $!")

    def _tell(self, line: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(line + "\n")
        self._shell.stdin.flush()

    def _answer(self, word: str) -> list[str]:
        """The lines up to one that begins with the word."""
        assert self._shell.stdout is not None
        lines: list[str] = []
        for line in self._shell.stdout:
            lines.append(line)
            if line.split(" ")[0].strip() == word:
                return lines
        raise RuntimeError("the machine has ended: " + "".join(lines))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
