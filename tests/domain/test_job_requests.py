"""A request for one job, as JSON has it."""

from typing import Any

import pytest

from cluster.domain.job.given_files import packed
from cluster.domain.job.job_requests import is_request, refuse_files, request_of
from cluster.domain.job.job_tables import WrongTable

EXEC = [{"exec": ["curl", "https://www.example.com/"]}]


def test_commands_environment_and_id_become_a_spec() -> None:  # S3.3
    members = {"commands": [*EXEC, "echo two", ["true"]], "environment": {"A": "1"}, "request_id": "123456789"}
    assert is_request(members)
    spec, request_id, files = request_of(members, refuse_files)
    assert (spec.argv, spec.then) == (("curl", "https://www.example.com/"), (("echo", "two"), ("true",)))
    assert (spec.env, request_id, files) == ((("A", "1"),), "123456789", ())
    more = {"command": "true", "request_id": 5, "timeout": "1m", "name": "x", "files": [packed("a", b"1")]}
    spec, request_id, files = request_of(more, refuse_files)
    assert (spec.timeout, spec.name, request_id, files) == (60, "x", "5", (packed("a", b"1"),))
    assert not is_request({"jobs": {"a": {"command": "true"}}})


def test_a_default_counts_where_nothing_else_says_what_runs() -> None:
    default = {"command": ["true"]}
    assert request_of({"cpus": 2}, refuse_files, default).spec.argv == ("true",)
    assert request_of({"commands": EXEC}, refuse_files, default).spec.argv[0] == "curl"


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({}, ()),
        ({"commands": EXEC, "files": 5}, ("files",)),
        ({"commands": EXEC, "files": "abc"}, ("files",)),
        ({"commands": EXEC, "files": [5]}, ("files",)),
        ({"commands": EXEC, "request_id": True}, ("request_id",)),
        ({"commands": EXEC, "name": ["a"]}, ("name",)),
        ({"commands": EXEC, "environment": {}, "env": {}}, ("env",)),
        ({"commands": EXEC, "environment": 5}, ("environment",)),
        ({"commands": 5}, ("commands",)),
        ({"commands": [{"run": ["a"]}]}, ("commands", "0")),
        ({"commands": EXEC, "timeout": "soon"}, ("timeout",)),
        ({"commands": EXEC, "script-file": "/etc/passwd"}, ("script-file",)),
    ],
)
def test_what_is_wrong_is_told_with_its_member(members: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(WrongTable) as told:
        request_of(members, refuse_files)
    assert told.value.path == path
    assert "job :" not in str(told.value)
