"""Where the packed file unpacks itself, and on what it refuses to start. What happens there: acceptance tests."""

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tools.boot import cache, contents
from tools.environments import REPOSITORY


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_CACHE", "/chosen")
    assert cache.location() == "/chosen"


@pytest.mark.parametrize(
    ("xdg", "expected"),
    [("/caches", "/caches/cluster"), ("", "/home/me/.cache/cluster"), ("relative", "/home/me/.cache/cluster")],
)
def test_else_among_the_users_caches(xdg: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUSTER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.location() == expected


def test_without_a_home_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLUSTER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "no/absolute/path")
    with pytest.raises(cache.Unusable, match="set CLUSTER_CACHE"):
        cache.location()


def test_a_python_it_was_not_made_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MADE_FOR", "CPython 3.99")
    with pytest.raises(cache.Unusable, match=r"this file is for CPython 3\.99"):
        cache.tree()


def test_a_c_library_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLUSTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "SUFFIXES", (EXTENSION_SUFFIXES[0],))
    monkeypatch.setattr(contents, "GLIBC", (99, 0))
    with pytest.raises(cache.Unusable, match="this machine has glibc"):
        cache.tree()
    assert not (tmp_path / "cache").exists()


def test_a_platform_that_no_file_can_be_made_for_is_named() -> None:
    build = [sys.executable, "build.py", "--platform", "win_amd64"]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "'win_amd64'" in done.stderr
