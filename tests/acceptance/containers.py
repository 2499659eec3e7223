"""Containers of this machine's own: in a network that nobody else is on, with images that come from nowhere else."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.command import Done
from tests.patience import PATIENCE

# What podman runs containers with, and docker-compose's files; and what makes a network of their own.
TOOLS = {
    "podman": "podman",
    "podman-compose": "podman-compose",
    "runc": "runc",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "iptables": "iptables",
}
NETWORKS = {"/usr/lib/podman/netavark": "netavark", "/usr/lib/podman/aardvark-dns": "aardvark-dns"}

# Of this machine's programs those that an image needs in which the one file runs.
PROGRAMS = ("bash", "dash", "env", "true", "echo", "cat", "mv", "rm", "mkdir", "sleep", "test", "wc", "ls", "prlimit")
# What Python's packages ask for by name, beside what its own modules are linked with.
LIBRARIES = (
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libm.so.6",
    "libutil.so.1",
)
PLACES = ("etc", "tmp", "var/tmp", "var/lib", "proc", "sys", "dev", "root", "run", "usr/local/bin")
USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
PYTHON = "python3.11"

STORAGE = '[storage]\ndriver = "vfs"\ngraphroot = "{place}/graph"\nrunroot = "{place}/run"\n'
ENGINE = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{place}/tmp"
volume_path = "{place}/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{place}/networks"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
"""


def missing() -> str:
    """What this machine lacks for them, and how to get it; empty: nothing."""
    if os.geteuid() != 0:
        return "containers of a test's own need root"
    if not Path("/usr/bin", PYTHON).exists():
        return f"an image of this machine's own programs needs /usr/bin/{PYTHON}"
    packages = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    packages |= {package for path, package in NETWORKS.items() if not Path(path).exists()}
    return f"containers need {' and '.join(sorted(packages))} (apt-get install)" if packages else ""


class Containers:
    """Runs commands where the containers are."""

    def __init__(self, place: Path, around: list[str]) -> None:
        self._around = around
        place.joinpath("storage.conf").write_text(STORAGE.format(place=place))
        place.joinpath("containers.conf").write_text(ENGINE.format(place=place))
        files = {"CONTAINERS_STORAGE_CONF": "storage.conf", "CONTAINERS_CONF": "containers.conf"}
        self._env: Mapping[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CLUSTER_")},
            **{name: str(place / file) for name, file in files.items()},
            "BUILDAH_ISOLATION": "chroot",
        }

    def run(self, *line: str, cwd: Path | None = None) -> Done:
        """How it ends."""
        done = subprocess.run([*self._around, *line], cwd=cwd, env=self._env, capture_output=True, timeout=PATIENCE)
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def ok(self, *line: str, cwd: Path | None = None) -> str:
        """What it writes to stdout. It must succeed."""
        done = self.run(*line, cwd=cwd)
        assert done.code == 0, f"{' '.join(line)}\n{done.text}\n{done.err}"
        return done.text


@contextmanager
def containers(place: Path) -> Iterator[Containers]:
    """In network and mounts of their own, with all that they keep below `place`, which is removed."""
    alone = [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        "ip link set lo up; echo up; read end",
    ]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        keeper = subprocess.Popen(alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.enter_context(keeper)
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"up\n"
        yield Containers(place, ["nsenter", "--net", "--mount", "--target", str(keeper.pid)])


def make_base(directory: Path) -> None:
    """The root file system of an image in which the one file runs: Python, a shell, what they are linked with."""
    root = directory / "root"
    for place in (*PLACES, "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (root / place).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    modules = Path("/usr/lib", PYTHON)
    programs = [Path("/usr/bin", name) for name in (PYTHON, *PROGRAMS)]
    linked = subprocess.run(
        ["ldd", *programs, *modules.glob("lib-dynload/*.so")], capture_output=True, text=True, check=True
    ).stdout
    libraries = {Path(word) for word in linked.split() if word.startswith("/") and not word.endswith(":")}
    libraries |= {Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "", name) for name in LIBRARIES}
    for file in (*programs, *libraries):
        if file.exists():
            inside = file.relative_to("/usr" if file.is_relative_to("/usr") else "/")
            (root / "usr" / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, root / "usr" / inside)
    left_out = shutil.ignore_patterns("__pycache__", "test", "idlelib", "tkinter")
    shutil.copytree(modules, root / "usr/lib" / PYTHON, ignore=left_out, ignore_dangling_symlinks=True)
    (root / "usr/bin/python3").symlink_to(PYTHON)
    (root / "usr/bin/sh").symlink_to("dash")
    for place in ("tmp", "var/tmp"):
        (root / place).chmod(0o1777)
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (directory / "Containerfile").write_text("FROM scratch\nCOPY root /\n")
