"""Errors over HTTP say what their caller can do there, where the command line would be told to type something."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.gateway import job_processor
from cluster.gateway.http_words import HttpWords
from cluster.gateway.problems import INVALID, Problem
from cluster.gateway.table import TABLE
from tools.environments import REPOSITORY

# What only an operator does, on a machine of the cluster; or a job, inside of it.
NO_ROUTE = {
    "cluster up",
    "cluster worker",
    "cluster scheduler migrate",
    "cluster scheduler migrate --to URL",
    "cluster scheduler --notify-url URL",
    "cluster scheduler --notify-command NAME=COMMAND",
    "cluster job state set",
    "cluster {takes}",
}
# Whose texts reach callers of HTTP.
PLACES = ("cluster/domain/job", "cluster/domain/scheduler", "cluster/domain/trust", "cluster/scheduler")


def commands(place: Path) -> Iterator[str]:
    """All that texts of the program tell people to type; what is filled in is 5."""
    for file in place.rglob("*.py"):
        tree = ast.parse(file.read_text())
        documented = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "5" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in documented:
                text = node.value
            else:
                continue
            yield from re.findall(r"`((?:cluster|job|worker|queue|user|token) [^`]+)`", text)


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def test_each_command_that_an_error_names_is_a_route_there_or_somebody_elses_business() -> None:
    words = HttpWords(TABLE)
    found = {command for place in PLACES for command in commands(REPOSITORY / place)}
    assert len(found) > 10
    left = {command for command in found if words.of(f"`{command}`") == f"`{command}`"}
    assert left <= {command.replace("{takes}", "5") for command in NO_ROUTE}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("there is no job 7; `cluster job list` shows those", "there is no job 7; `GET /v1/jobs` shows those"),
        ("`cluster job list --state STATE`", "`GET /v1/jobs?states=STATE`"),
        ("`cluster job rerun 5` runs it again", "`POST /v1/jobs/5/rerun` runs it again"),
        ("end it by `cluster job cancel`", "end it by `POST /v1/jobs/{job}/cancel`"),
        ("may not use `cluster user list`", "may not use `GET /v1/users`"),
        ("`cluster token create --for http` prints one", None),
        ("`cluster job pause --stop-running 5`", None),
        ('`cluster worker` starts one; say "`" or `x`', None),
    ],
)
def test_a_command_becomes_its_route_with_all_that_it_says(said: str, told: str | None) -> None:
    assert HttpWords(TABLE).of(said) == (told or said)


TIMEOUT = "--timeout -1: use 0 to 1000000000 s"


@pytest.mark.parametrize(
    ("path", "said", "told", "pointer"),
    [
        ("/v1/jobs", TIMEOUT, "timeout -1: use 0 to 1000000000 s", "/timeout"),
        ("/v1/jobs", "--mem 1: use more", "memory 1: use more", "/memory"),
        ("/v1/jobs", "--sandbox and --cwd exclude each other", "sandbox and cwd exclude each other", "/sandbox"),
        ("/v1/jobs", "see `cluster gateway --host NAME`, not --host", None, None),
        ("/v1/workflows", TIMEOUT, "timeout -1: use 0 to 1000000000 s", None),
        ("/scheduler/jobs/new", "--key 'x' is that of job 1", "request_id 'x' is that of job 1", "/request_id"),
        ("/processor/job/new", "--mem 1: use more", "mem 1: use more", "/mem"),
        ("/start", "--script '../x': it leaves", "path '../x': it leaves", "/path"),
        ("/metrics", TIMEOUT, None, None),
        (
            "/v1/jobs",
            "the command is empty: give one after --, as in: cluster run -- echo hello",
            'the command is empty: give one, as in {"argv": ["echo", "hello"]}',
            None,
        ),
    ],
)
def test_an_option_becomes_the_member_that_it_is(path: str, said: str, told: str | None, pointer: str | None) -> None:
    problem = Problem(INVALID, said)
    HttpWords(TABLE).told(problem, path)
    assert problem.detail == (told or said)
    assert [place.pointer for place in problem.errors] == ([pointer] if pointer else [])


@pytest.mark.parametrize(
    ("verb", "path", "command"),
    [
        ("POST", "/start", "job submit"),
        ("POST", "/stop", "job cancel"),
        ("GET", "/execute", "job submit"),
        ("POST", "/v1/trees", "job submit"),
        ("POST", "/v1/retry-jobs", "job retry"),
        ("POST", "/scheduler/job/{job}/kill", "job cancel"),
    ],
)
def test_who_may_not_call_a_route_is_told_of_that_very_one(verb: str, path: str, command: str) -> None:
    problem = Problem(INVALID, f"eve has the role viewer, which may not use `cluster {command}`")
    HttpWords(TABLE).told(problem, path, verb)
    assert problem.detail == f"eve has the role viewer, which may not use `{verb} {path}`"


def test_a_gateway_names_no_route_that_it_does_not_have() -> None:
    said = "there is no job 7; `cluster job list` shows those"
    assert HttpWords(job_processor.ROUTES).of(said) == said
