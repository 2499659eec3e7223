"""Where cgroups of version 2 limit memory: with files that do as the kernel would, since few machines have it so."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.launcher import memory_groups
from cluster.launcher.memory_groups import V2, MemoryGroups

FILES = {
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.events": "low 0\noom 0\noom_kill 0\n",
    "memory.peak": "0\n",
}

Machine = Callable[[str, str], Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes one whose agent is in that group, and which has delegated another one to it; returns where groups are."""
    mount, mkdir, rmdir = tmp_path / "cgroup", os.mkdir, os.rmdir

    def made(path: str) -> None:
        mkdir(path)
        (Path(path) / "cgroup.procs").touch()
        (Path(path) / "cgroup.subtree_control").touch()
        if "memory" in (Path(path).parent / "cgroup.subtree_control").read_text():
            for name, text in FILES.items():
                (Path(path) / name).write_text(text)

    def removed(path: str) -> None:
        for file in Path(path).iterdir():
            file.unlink()
        rmdir(path)

    def make(group: str, delegated: str) -> Path:
        mkdir(mount)
        for name in ("cgroup.controllers", "cgroup.procs", "cgroup.subtree_control"):
            (mount / name).touch()
        place = mount
        for part in Path(group).parts[1:]:
            place /= part
            made(str(place))
        monkeypatch.setattr(memory_groups, "MOUNT_V2", (str(mount),))
        monkeypatch.setattr(memory_groups, "_own_groups", lambda: iter([("", group)]))
        monkeypatch.setattr(memory_groups, "_is_delegated", lambda path: path == f"{mount}{delegated}")
        monkeypatch.setattr("os.mkdir", made)
        monkeypatch.setattr("os.rmdir", removed)
        return mount

    return make


def test_a_service_with_a_group_of_its_own_limits_beside_its_agent(machine: Machine) -> None:
    mount = machine("/system.slice/w.service/agent", "/system.slice/w.service")
    groups = MemoryGroups("cluster-x-")
    assert groups.place == f"{mount}/system.slice/w.service"
    limited = groups.enter(7, 3)
    limited.limit(64 << 20)
    group = Path(groups.path_of(7, 3))
    assert {name: (group / name).read_text() for name in (V2.limit, V2.swap, "cgroup.procs")} == {
        V2.limit: str(64 << 20),
        V2.swap: "0",
        "cgroup.procs": "0",
    }
    limited.leave()
    assert (mount / "system.slice/w.service/agent/cgroup.procs").read_text() == "0"
    (group / V2.events).write_text("low 0\noom 2\noom_kill 2\n")
    (group / V2.peak).write_text(f"{64 << 20}\n")
    assert limited.end() == (True, 64 << 10)
    assert not group.exists()


def test_what_is_not_delegated_is_left_alone(machine: Machine) -> None:
    mount = machine("/system.slice/w.service", "")
    assert not MemoryGroups("cluster-x-").can_limit
    assert (mount / "system.slice/cgroup.subtree_control").read_text() == ""


def test_where_the_kernel_counts_no_memory_nothing_is_left(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = machine("/w.service/agent", "/w.service")
    write = memory_groups._write

    def refusing(group: str, file: str, text: str) -> None:
        if file == "cgroup.subtree_control":
            raise OSError(16, "Device or resource busy")
        if not os.path.exists(f"{group}/{file}"):
            raise FileNotFoundError(2, "No such file or directory")
        write(group, file, text)

    monkeypatch.setattr(memory_groups, "_write", refusing)
    assert not MemoryGroups("cluster-x-").can_limit
    assert [path.name for path in (mount / "w.service").iterdir() if path.is_dir()] == ["agent"]
