"""The one file: runs under every Python found here, alone, for anyone; is reproducible; trusts only its own cache."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cluster import __version__
from tests.acceptance.interpreters import interpreters
from tools.environments import BUILD, REPOSITORY

pytestmark = pytest.mark.slow

MOST_BYTES = 32_000_000
UNUSABLE = 78
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")

# Everything heavy that the program loads at some time, and one use of each that needs its extension module.
USE_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
import grpc.aio, grpc_health.v1.health, rich.progress, rich.table, click
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.internal import api_implementation
assert api_implementation.Type() == "upb"
key = ec.generate_private_key(ec.SECP256R1())
assert all(module.__file__.startswith(sys.argv[1]) for module in (grpc, rich, click))
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def unpacked(cluster_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the file in it, to copy: to unpack it takes longer."""
    cache = tmp_path_factory.mktemp("unpacked") / "cache"
    assert start(cluster_file, cache).returncode == 0
    return cache


def start(file: Path, cache: Path, *arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "CLUSTER_CACHE": str(cache)}
    command = [python, file, *(arguments or ["--version"])]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line on stderr that names what is wrong, and the exit code for it."""
    assert done.returncode == UNUSABLE, done
    assert done.stdout == ""
    assert done.stderr.startswith("cluster: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("python", interpreters(11, 14))
def test_it_runs_under_every_python_found_here(python: str, cluster_file: Path, cache: Path) -> None:
    first, second = (start(cluster_file, cache, python=python) for _ in range(2))
    assert __version__ in first.stdout, first.stderr
    assert second.stdout == first.stdout
    (tree,) = cache.glob("*/site-packages")
    subprocess.run([python, "-c", USE_ALL, tree], check=True)


@pytest.mark.parametrize("python", interpreters(11, 14))
def test_a_job_runs_on_a_cluster_of_it_under_every_python_found_here(
    python: str, cluster_file: Path, cache: Path, tmp_path: Path
) -> None:
    environ = {"PATH": os.environ["PATH"], "CLUSTER_CACHE": str(cache), "CLUSTER_HOME": str(tmp_path / "home")}
    program = [python, str(cluster_file)]
    try:
        job = [*program, "run", "--", "sh", "-c", "echo here; exit 3"]
        done = subprocess.run(job, env=environ, capture_output=True, text=True, check=False)
    finally:
        subprocess.run([*program, "down", "--yes"], env=environ, capture_output=True, check=True)
    assert (done.stdout, done.returncode) == ("here\n", 3), done.stderr


@pytest.mark.parametrize("python", interpreters(6, 10))
def test_a_python_that_is_too_old_is_told_so(python: str, cluster_file: Path, cache: Path) -> None:
    assert_refused(start(cluster_file, cache, python=python), "3.11 or newer", python)


def test_only_what_fits_this_python_is_unpacked(cluster_file: Path, cache: Path) -> None:
    start(cluster_file, cache)
    modules = [path.name for path in cache.rglob("*.so*")]
    assert len(modules) == 6, modules
    version = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"
    assert all(".abi3." in name or version in name for name in modules), modules


def test_it_is_small_enough(cluster_file: Path) -> None:
    assert cluster_file.stat().st_size <= MOST_BYTES


def test_the_same_sources_give_the_same_bytes_wherever_they_lie(cluster_file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(
        REPOSITORY,
        elsewhere,
        ignore=shutil.ignore_patterns(".*", "dist", "__pycache__"),
        copy_function=shutil.copyfile,  # other times and modes
    )
    (elsewhere / ".build").symlink_to(BUILD)  # so that nothing is fetched and compressed twice
    subprocess.run([sys.executable, "build.py"], cwd=elsewhere, check=True, stdout=subprocess.DEVNULL, umask=0o077)
    assert _sha256(elsewhere / "dist" / "cluster") == _sha256(cluster_file)


@pytest.mark.long
def test_it_can_be_made_for_the_other_machine(tmp_path: Path) -> None:
    """Compressed fast, as to do it well takes a minute of the processor. So this one is not the smaller one."""
    other = "x86_64" if os.uname().machine == "aarch64" else "aarch64"
    output = tmp_path / "other"
    build = [sys.executable, "build.py", "--platform", f"manylinux_2_28_{other}", f"--output={output}", "--fast"]
    subprocess.run(build, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    assert output.stat().st_size <= MOST_BYTES
    with zipfile.ZipFile(output) as archive, archive.open("tree.zip") as tree, zipfile.ZipFile(tree) as inner:
        modules = [name for name in inner.namelist() if "/cygrpc." in name]
        assert len(archive.namelist()) < 20, "Python reads the list of entries at each start"
    assert len(modules) == 4
    assert all(other in name for name in modules)
    assert_refused(start(output, tmp_path / "cache"), other)


def test_first_starts_at_the_same_time_all_work(cluster_file: Path, cache: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "CLUSTER_CACHE": str(cache)}
    command = [sys.executable, str(cluster_file), "--version"]
    running = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [process.communicate()[0] for process in running]
    assert all(__version__ in output for output in outputs), outputs
    assert len(list(cache.glob("*/site-packages"))) == 1


def test_a_first_start_that_was_killed_is_made_good_by_the_next(cluster_file: Path, cache: Path) -> None:
    start(cluster_file, cache)
    (tree,) = cache.glob("*/site-packages")
    (tree / "click" / "core.py").write_text("half of the fi")
    tree.parent.rename(tree.parent.with_name(f"{tree.parent.name}.tmp"))  # as it lies while being unpacked
    assert start(cluster_file, cache).returncode == 0


def test_the_surroundings_have_no_say_in_what_runs(cluster_file: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('not ours')")
    surroundings = {
        "CLUSTER_CACHE": str(cache),
        "PYTHONPATH": str(tmp_path),
        "SHIV_ROOT": str(tmp_path / "shiv"),
        "SHIV_ENTRY_POINT": "os:getcwd",
        "SHIV_INTERPRETER": "1",
    }
    command = [sys.executable, str(cluster_file), "--version"]
    done = subprocess.run(command, env=surroundings, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert __version__ in done.stdout, done.stderr
    assert not (tmp_path / "shiv").exists()


class TestOtherUsers:
    """What lies in the cache is run, so nobody else may be able to have put it there."""

    def test_unpacked_by_anyone_it_belongs_to_nobody_else(self, cluster_file: Path, cache: Path) -> None:
        umask = os.umask(0)
        try:
            start(cluster_file, cache)
        finally:
            os.umask(umask)
        (tree,) = cache.glob("*/site-packages")
        assert [path.stat().st_mode & 0o777 for path in (cache, tree.parent)] == [0o700, 0o700]

    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
    def test_a_cache_that_others_may_write_is_refused(
        self, mode: int, cluster_file: Path, unpacked: Path, cache: Path
    ) -> None:
        poisoned = self.poison(unpacked, cache)
        cache.chmod(mode)
        assert_refused(start(cluster_file, cache), str(cache), f"{mode:o}")
        assert not poisoned.exists()

    def test_a_new_cache_that_others_may_write_is_refused_too(self, cluster_file: Path, cache: Path) -> None:
        cache.mkdir()
        cache.chmod(0o777)
        assert_refused(start(cluster_file, cache), str(cache))
        assert list(cache.iterdir()) == []

    @pytest.mark.parametrize("mode", [0o755, 0o722])
    def test_a_tree_that_others_may_enter_is_refused(
        self, mode: int, cluster_file: Path, unpacked: Path, cache: Path
    ) -> None:
        poisoned = self.poison(unpacked, cache)
        (tree,) = cache.glob("*/site-packages")
        tree.parent.chmod(mode)
        assert_refused(start(cluster_file, cache), str(tree.parent))
        assert not poisoned.exists()

    def test_a_cache_below_a_directory_that_others_may_change_is_refused(
        self, cluster_file: Path, unpacked: Path, tmp_path: Path
    ) -> None:
        open_to_all = tmp_path / "open"
        poisoned = self.poison(unpacked, open_to_all / "cache")
        open_to_all.chmod(0o777)
        assert_refused(start(cluster_file, open_to_all / "cache"), str(open_to_all), "chmod go-w")
        assert not poisoned.exists()

    def test_a_link_to_such_a_cache_is_refused(
        self, cluster_file: Path, unpacked: Path, cache: Path, tmp_path: Path
    ) -> None:
        poisoned = self.poison(unpacked, cache)
        cache.chmod(0o777)
        link = tmp_path / "link"
        link.symlink_to(cache)
        assert_refused(start(cluster_file, link), str(cache))
        assert not poisoned.exists()

    @as_root
    def test_a_cache_of_another_user_is_refused(self, cluster_file: Path, unpacked: Path, cache: Path) -> None:
        poisoned = self.poison(unpacked, cache)
        os.chown(cache, NOBODY, NOBODY)
        assert_refused(start(cluster_file, cache), str(cache), str(NOBODY))
        assert not poisoned.exists()

    @as_root
    def test_a_tree_of_another_user_is_refused(self, cluster_file: Path, unpacked: Path, cache: Path) -> None:
        poisoned = self.poison(unpacked, cache)
        (tree,) = cache.glob("*/site-packages")
        os.chown(tree.parent, NOBODY, NOBODY)
        assert_refused(start(cluster_file, cache), str(tree.parent))
        assert not poisoned.exists()

    def test_a_cache_that_cannot_be_made_is_named(self, cluster_file: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert_refused(start(cluster_file, tmp_path / "file" / "cache"), "file/cache", "CLUSTER_CACHE")
        assert_refused(start(cluster_file, tmp_path / "file"), "file", "CLUSTER_CACHE")

    @as_root
    def test_copied_alone_it_works_for_a_user_with_an_empty_home(self, cluster_file: Path, home: Path) -> None:
        copy = home / "bin" / "cluster"
        copy.parent.mkdir()
        shutil.copy(cluster_file, copy)
        os.chown(copy.parent, NOBODY, NOBODY)
        environ = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        too_old = "import sys; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run(["python3", "-c", too_old], env=environ, check=False).returncode:
            pytest.skip("the python3 that all users have is too old")
        as_nobody = partial(
            subprocess.run,
            cwd=copy.parent,
            env=environ,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            done = as_nobody(["./cluster", "run", "--", "id", "-u"])
        finally:
            as_nobody(["./cluster", "down", "--yes"])
        assert done.stdout == f"{NOBODY}\n", done.stderr
        (tree,) = (home / ".cache" / "cluster").glob("*/site-packages")
        assert tree.stat().st_uid == NOBODY

    @pytest.fixture
    def home(self) -> Iterator[Path]:
        """An empty home of user nobody, in a place that nobody can reach (pytest's own is closed to others)."""
        with tempfile.TemporaryDirectory(prefix="cluster-test-") as home:
            os.chown(home, NOBODY, NOBODY)
            yield Path(home)

    def poison(self, unpacked: Path, cache: Path) -> Path:
        """Fills the cache, changes what lies there, and returns the path of what the change would leave behind."""
        shutil.copytree(unpacked, cache)
        (tree,) = cache.glob("*/site-packages")
        mark = cache.parent / "poisoned"
        (tree / "cluster" / "__init__.py").write_text(f"open({str(mark)!r}, 'w')\n")
        return mark


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
