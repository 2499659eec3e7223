"""Flags, then variables, then the file, then defaults; and what is wrong in a file is said with file and key."""

from pathlib import Path
from typing import Any

import pytest

from cluster.client import AsyncClient
from cluster.client.config import config_path, state_root
from cluster.client.discovery import choose
from tests.acceptance.command import Command, someones_credentials


def shown(command: Command, *arguments: str, env: dict[str, str] | None = None) -> dict[str, tuple[Any, str]]:
    rows = command.ok(*arguments, "config", "show", "--json", env=env).json
    return {row["key"]: (row["value"], row["source"]) for row in rows}


def test_each_layer_covers_the_next(command: Command) -> None:  # S2.13
    assert shown(command)["scheduler.listen"] == ("0.0.0.0:50000", "default")
    file = command.home / "config.toml"
    file.write_text(
        '[scheduler]\nlisten = "10.0.0.1:1"\n[worker]\ncpus = 0.5\nfor = "4h"\n[client]\nscheduler = "head:1"\n'
    )
    rows = shown(command)
    assert rows["scheduler.listen"] == ("10.0.0.1:1", str(file))
    assert (rows["worker.cpus"], rows["worker.for"]) == ((0.5, str(file)), (14400.0, str(file)))
    assert rows["client.scheduler"] == ("head:1", str(file))
    variables = {"CLUSTER_SCHEDULER_LISTEN": "10.0.0.2:2", "CLUSTER_WORKER_CPUS": "3", "CLUSTER_SCHEDULER": "head:2"}
    rows = shown(command, env=variables)
    assert rows["scheduler.listen"] == ("10.0.0.2:2", "CLUSTER_SCHEDULER_LISTEN")
    assert rows["worker.cpus"] == (3.0, "CLUSTER_WORKER_CPUS")
    assert rows["client.scheduler"] == ("head:2", "CLUSTER_SCHEDULER")


def test_the_files_place_comes_from_a_flag_a_variable_or_the_home(command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[client]\nscheduler = "other:1"\n')
    assert shown(command)["config"] == (str(command.home / "config.toml"), "default (no such file)")
    assert shown(command, env={"CLUSTER_CONFIG": str(other)})["config"] == (str(other), "CLUSTER_CONFIG")
    rows = shown(command, "--config", str(other))
    assert rows["config"] == (str(other), "--config")
    assert rows["client.scheduler"] == ("other:1", str(other))
    missing = command("--config", "/no/such.toml", "job")
    assert missing.code == 2
    assert "/no/such.toml does not exist" in missing.err


def test_the_credentials_in_force_are_shown(command: Command, tmp_path: Path) -> None:
    assert shown(command)["client.credentials"] == (None, "default")
    for place in ("scheduler/admin.pem", "user/credentials.pem"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).touch()
    found = "found below the home"
    assert shown(command)["client.credentials"] == (str(tmp_path / "scheduler" / "admin.pem"), found)
    rows = shown(command, env={"CLUSTER_SCHEDULER": "head:1"})
    assert rows["client.credentials"] == (str(tmp_path / "user" / "credentials.pem"), found)
    rows = shown(command, env={"CLUSTER_CREDENTIALS": "/mine.pem"})
    assert rows["client.credentials"] == ("/mine.pem", "CLUSTER_CREDENTIALS")


def test_the_password_of_a_store_is_not_shown(command: Command) -> None:
    for url, seen in (
        ("redis://ann:secret@head:1/0", "redis://***@head:1/0"),
        ("rediss://head/0?password=secret&ssl_ca_certs=/ca", "rediss://head/0?password=***&ssl_ca_certs=/ca"),
    ):
        rows = shown(command, env={"CLUSTER_SCHEDULER_STORE": url})
        assert rows["scheduler.store"] == (seen, "CLUSTER_SCHEDULER_STORE")


def test_a_variable_that_its_role_would_refuse_is_not_shown_as_in_force(command: Command) -> None:
    done = command("config", "show", env={"CLUSTER_WORKER_CPUS": "many"})
    assert (done.code, done.out) == (2, b"")
    assert "CLUSTER_WORKER_CPUS: 'many' is no number of cpus" in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[client\n", ["is not TOML"]),
        ("[pool]\nx = 1\n", ["'pool'", "[client], [scheduler], [worker], [gateway], [pools]"]),
        ("listen = 1\n", ["'listen'", "[client], [scheduler], [worker]"]),
        ('[client]\nshceduler = "x:1"\n', ["'shceduler'", "[client]", "the nearest is 'scheduler'"]),
        ('[client]\nhost = "x:1"\n', ["'host'", "it may have: credentials, direct, scheduler"]),
        ("[client]\nscheduler = 5\n", ["scheduler", "[client]", "5", "text"]),
    ],
)
def test_what_is_wrong_for_everybody_is_said_by_any_command(command: Command, text: str, words: list[str]) -> None:
    file = command.home / "config.toml"
    file.write_text(text)
    done = command("job")
    assert (done.code, done.out) == (2, b"")
    assert done.err.count("\n") == 1
    assert str(file) in done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("daemon", "text", "words"),
    [
        ("worker", "[worker]\ncpu = 4\n", ["'cpu'", "[worker]", "cpus"]),
        ("worker", '[worker]\ncpus = "many"\n', ["cpus", "[worker]", "'many'"]),
        ("worker", "[worker]\ncpus = true\n", ["cpus", "True"]),
        ("worker", '[worker]\nstandalone = "yes"\n', ["standalone", "true or false"]),
        ("worker", "[worker]\nname = 5\n", ["name", "5", "text"]),
        ("scheduler", "[scheduler]\nlease = [1]\n", ["lease", "[1]"]),
        ("scheduler", '[scheduler]\nlog_format = "xml"\n', ["log_format", "'xml'", "json"]),
    ],
)
def test_what_is_wrong_for_a_daemon_is_said_by_the_daemon(
    command: Command, daemon: str, text: str, words: list[str]
) -> None:
    (command.home / "config.toml").write_text(text)
    for arguments in ([daemon], ["config", "show"]):
        done = command(*arguments)
        assert (done.code, done.out) == (2, b""), done
        assert done.err.count("\n") == 1
        for word in words:
            assert word in done.err


def test_places_follow_the_xdg_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLUSTER_HOME", "CLUSTER_CONFIG", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    assert (str(state_root()), str(config_path())) == (
        "/home/ann/.local/state/cluster",
        "/home/ann/.config/cluster/config.toml",
    )
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    monkeypatch.setenv("XDG_CONFIG_HOME", "not/absolute")  # to be ignored, says the specification
    assert (str(state_root()), str(config_path())) == ("/state/cluster", "/home/ann/.config/cluster/config.toml")


def test_a_flag_for_a_worker_covers_a_variable_for_a_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path))
    monkeypatch.setenv("CLUSTER_SCHEDULER", "head:1")
    chosen = choose(direct="worker:2")
    assert (chosen["direct"].value, chosen["scheduler"].value) == ("worker:2", "")
    assert choose()["scheduler"].value == "head:1"


def test_the_python_client_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path))
    for name in ("CLUSTER_SCHEDULER", "CLUSTER_DIRECT", "CLUSTER_CREDENTIALS", "CLUSTER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.toml").write_text(
        f'[client]\ndirect = "host:3"\ncredentials = "{someones_credentials(tmp_path)}"\n'
    )
    place = AsyncClient.connect().endpoint
    assert (place.address, place.is_worker, place.certificate.identity.name) == ("host:3", True, "ann")
