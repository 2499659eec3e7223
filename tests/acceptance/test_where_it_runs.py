"""Odd places to start from: the one file under cron, in a container, for a user without a name, in another locale,
below a limit. It works there, or says in one line what is missing."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.domain.base.signals import signal_name
from tests.acceptance.command import Command
from tests.acceptance.interpreters import interpreters
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

BUSY, UNUSABLE = 75, 78
# A user without an entry in the system's list. Each process of the tests has its own: limits count a user's processes.
NAMELESS = 45678 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
LATIN_1 = "en_US.ISO-8859-1"
Done = subprocess.CompletedProcess[bytes]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user, or mount")


@dataclass
class Packed(Command):
    """The one file, with nothing in its environment but its cache, its home and what is given."""

    file: Path = Path()
    cache: Path = Path()
    user: int | None = None
    python: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    def line(self, *arguments: str) -> list[str]:
        return [*([self.python] if self.python else []), str(self.file), *arguments]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        ours = {"CLUSTER_HOME": str(self.home / "home"), "CLUSTER_CACHE": str(self.cache)}
        return {name: value for name, value in {**ours, **self.variables, **variables}.items() if value}

    def raw(self, *arguments: str | bytes, before: tuple[str, ...] = (), **variables: str) -> Done:
        """Runs it to its end, where arguments may be bytes. `before`: a command that starts it."""
        line = [*before, *self.line(), *arguments]
        env = self.environment(variables)
        return subprocess.run(
            line,
            env=env,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="cluster-places-") as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture(scope="session")
def file(cluster_file: Path) -> Iterator[Path]:
    """The file in a directory that every user may enter. Whoever starts it unpacks it once, into a cache beside it."""
    with tempfile.TemporaryDirectory(prefix="cluster-places-") as path:
        os.chmod(path, 0o755)
        (Path(path) / "nameless").mkdir()
        if os.geteuid() == 0:
            os.chown(Path(path) / "nameless", NAMELESS, NAMELESS)
        yield Path(shutil.copy(cluster_file, path))


@pytest.fixture
def packed(file: Path, place: Path) -> Iterator[Packed]:
    """The file, for root or whoever runs the tests; its cluster is stopped afterwards."""
    packed = Packed(place, file, file.parent / "cache")
    yield packed
    packed.raw("down", "--yes")


@pytest.fixture
def nameless(file: Path, place: Path) -> Iterator[Packed]:
    """The file, for a user without a name."""
    everybodys = [python for python in interpreters(11, 14) if python.startswith("/usr/")]
    if not everybodys:
        pytest.skip("needs a Python 3.11 or later below /usr, which other users may run")
    packed = Packed(place, file, file.parent / "nameless" / "cache", NAMELESS, everybodys[0])
    os.chown(place, NAMELESS, NAMELESS)
    yield packed
    packed.raw("down", "--yes")


def assert_one_line(done: Done, code: int, *words: str) -> None:
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (code, b""), done
    assert said.startswith("cluster: "), done
    assert said.count("\n") == 1, done
    assert all(word in said for word in words), done


def test_with_no_environment_at_all_as_cron_or_a_web_server_starts_it(packed: Packed) -> None:
    """Without PATH Python does not know where itself is, and started an empty name: `Permission denied`."""
    done = packed.raw("run", "--", "sh", "-c", "echo $HOME; echo $USER; id -un; command -v sh")
    assert done.returncode == 0, done
    home, user, me, shell = done.stdout.decode().splitlines()
    assert (home, user) == (os.path.expanduser(f"~{me}"), me)  # from the system's list: most programs need them
    assert shell.endswith("/sh")


@as_root
def test_a_user_without_a_name(nameless: Packed) -> None:
    """Containers run as any number; `up` asked for its name and died of that."""
    done = nameless.raw("run", "--", "id", "-u")
    assert (done.returncode, done.stdout) == (0, b"%d\n" % NAMELESS), done
    made = nameless.raw("token", "create", "--role", "user", "--user", "ada", "--quiet")
    assert made.returncode == 0, made
    token = made.stdout.decode().strip()
    done = nameless.raw("login", token, CLUSTER_HOME=str(nameless.home / "another"))
    assert done.stdout.startswith(b"you are ada "), done


@as_root
def test_a_user_without_a_name_and_a_home_is_told_what_to_set(nameless: Packed) -> None:
    assert_one_line(nameless.raw("job", CLUSTER_HOME=""), 2, "HOME is not set", str(NAMELESS), "CLUSTER_HOME")
    assert_one_line(nameless.raw("job", CLUSTER_CACHE=""), UNUSABLE, "home", "CLUSTER_CACHE")
    done = nameless.raw("job", CLUSTER_HOME="", HOME=str(nameless.home))
    assert_one_line(done, BUSY, "no cluster is configured")


@as_root
def test_a_cache_that_nothing_can_be_run_from(packed: Packed) -> None:
    """Libraries cannot be loaded from there: it was `internal error: ImportError`."""
    cache = packed.home / "cache"
    cache.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,mode=700", "tmpfs", str(cache)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        for elsewhere in (str(cache), str(cache / "deeper")):
            done = packed.raw("--version", CLUSTER_CACHE=elsewhere)
            assert_one_line(done, UNUSABLE, str(cache), "noexec", "CLUSTER_CACHE")
    finally:
        subprocess.run(["umount", str(cache)], check=True)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "2</dev/null", "0<&- 2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams(packed: Packed, closed: str) -> None:
    """The next file got the number of the one that was closed, and the job's output went there, or the job was
    cancelled."""
    packed.raw("up")
    kept = packed.home / "kept"
    job = f"echo out; echo err >&2; echo all > {kept}; exit 5"
    shell = ("sh", "-c", f'exec "$@" {closed}', "sh")
    done = packed.raw("run", "--", "sh", "-c", job, before=shell)
    out, err = b"" if "1>" in closed else b"out\n", b"" if "2" in closed else b"err\n"
    assert (done.returncode, done.stdout, done.stderr) == (5, out, err)
    assert kept.read_text() == "all\n"
    assert b"\tfailed\texit:5\t" in packed.raw("job", "list").stdout
    assert packed.raw("job", "logs", "last").stdout == b"out\n"


@pytest.fixture(scope="session")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that make Latin-1 the encoding."""
    place = tmp_path_factory.mktemp("locales")
    make = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(place / LATIN_1)]
    if shutil.which("localedef") is None or subprocess.run(make, capture_output=True).returncode:
        pytest.skip("needs localedef and the sources of locales (Debian: apt-get install locales)")
    return {"LOCPATH": str(place), "LC_ALL": LATIN_1}


C_LOCALE = {"LC_ALL": "C"}


@pytest.mark.parametrize(
    ("worker", "submitter"), [("latin_1", "latin_1"), ("latin_1", "c"), ("c", "latin_1"), ("c", "none")]
)
def test_what_a_job_is_given_has_the_same_bytes_in_every_locale(
    packed: Packed, latin_1: dict[str, str], worker: str, submitter: str
) -> None:
    locales = {"latin_1": latin_1, "c": C_LOCALE, "none": {}}
    packed.variables = locales[worker]
    assert packed.raw("up").returncode == 0
    packed.variables = locales[submitter]
    directory = os.fsencode(packed.home) + b"/d\xe9"
    os.mkdir(directory)
    script = b'printf "%s\\n" "$@" "$V" "$PWD"'
    done = packed.raw(
        "run", "--env", b"V=\xe9", "--cwd", directory, "--", "sh", "-c", script, "sh", b"\xe9", b"\xc3\xa9", "plain"
    )
    assert done.stdout.split(b"\n") == [b"\xe9", b"\xc3\xa9", b"plain", b"\xe9", directory, b""], done
    assert packed.raw("job", "show", "last").returncode == 0


def test_a_command_that_is_no_utf_8_and_does_not_exist_is_named(packed: Packed) -> None:
    done = packed.raw("run", "--", b"/no/\xe9")
    assert done.returncode == 127, done
    assert rb"cannot start '/no/\udce9': no such file" in done.stderr


def limited(limit: str, number: int) -> tuple[str, ...]:
    return ("prlimit", f"--{limit}={number}:{number}")


@as_root
@pytest.mark.parametrize("most", [1, 20])
def test_too_few_processes_are_allowed(nameless: Packed, most: int) -> None:
    """gRPC crashed, or hung for eleven minutes and minded no signal. Root is subject to no such limit."""
    assert nameless.raw("up").returncode == 0
    done = nameless.raw("worker", "list", before=limited("nproc", most))
    assert_one_line(done, BUSY, f"ulimit -u is {most}")


@as_root
@pytest.mark.parametrize("most", [10])
def test_too_few_processes_for_a_cluster_of_ones_own(nameless: Packed, most: int) -> None:
    """As many as the first of the two, or neither, can have."""
    done = nameless.raw("run", "--", "true", before=limited("nproc", most))
    assert_one_line(done, BUSY, "did not start", f"ulimit -u is {most}")
    assert b"no cluster" in nameless.raw("down").stdout


@pytest.mark.parametrize("most", [8, 30])
def test_too_few_files_may_be_open(packed: Packed, most: int) -> None:
    assert packed.raw("up").returncode == 0
    assert_one_line(packed.raw("worker", "list", before=limited("nofile", most)), BUSY, f"ulimit -n is {most}")


@pytest.mark.parametrize("kib", [60_000, 300_000, 700_000])
def test_too_little_memory_is_allowed(packed: Packed, kib: int) -> None:
    assert packed.raw("up").returncode == 0
    done = packed.raw("worker", "list", before=limited("as", kib << 10))
    assert_one_line(done, BUSY, f"ulimit -v is {kib}")


def test_a_signal_that_ends_a_job_is_128_more(packed: Packed) -> None:
    """Real-time ones were 128 alone."""
    for number in (15, 34, 37, 64):
        kill = f"import os; os.kill(os.getpid(), {number})"
        done = packed.raw("run", "--", sys.executable, "-c", kill)
        assert done.returncode == 128 + number, done
        assert f"signal:{signal_name(number)}".encode() in packed.raw("job", "show", "last").stdout
