"""What pages say in tables and links, compared with what it is about."""

import math
import re
from pathlib import Path

import pytest

from cluster.domain.base.quantities import parse_duration
from cluster.domain.job import endings
from cluster.domain.job.rows import PREFIX
from cluster.domain.job.states import TaskState
from cluster.domain.job.task_variables import OWN_VARIABLES
from cluster.domain.scheduler.state import LEASE
from cluster.domain.session.leashes import lost_after_in_force, survived_absence
from cluster.domain.trust.identity import Role
from cluster.gateway import job_processor, results, uploads
from cluster.gateway.problems import KINDS
from cluster.gateway.routes import ROUTES, AnyRoute
from cluster.gateway.table import HANDLED
from cluster.rpc.roles import ROLES
from tools.environments import REPOSITORY

PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:tests|cluster|bench|tools|protos|certs|docs)/[\w./-]+)(?:::\w+)?`")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def rows(page: str) -> list[list[str]]:
    """The cells of all tables of a page in docs/, without their heads' marks of code."""
    lines = (REPOSITORY / "docs" / page).read_text().splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_who_may_do_what_is_what_the_code_lets_pass() -> None:
    people = (Role.ADMIN, Role.USER, Role.VIEWER, Role.WORKER, Role.ATTEMPT, Role.GATEWAY, Role.POOLS)
    said = {row[0]: row[1:] for row in rows("security.md") if "/" in row[0]}
    held = {
        method.rpartition(".")[2]: ["yes" if role in roles else "" for role in people]
        for method, roles in ROLES.items()
    }
    assert said == held


def test_the_calls_over_http_are_those_that_there_are() -> None:
    said = {row[0]: row[2] for row in rows("http.md") if "/v1/" in row[0]}
    there: list[AnyRoute] = [*ROUTES, *results.ROUTES, *uploads.ROUTES]
    assert said == {f"{route.verb} {route.path}": ", ".join(route.roles[::-1]) for route in there}


def test_the_calls_of_the_founding_documents_are_those_that_there_are() -> None:
    said = {row[0]: row[1:3] for row in rows("founding-apis.md") if row[0].startswith(("GET /", "POST /"))}
    plural = [route for route in (*HANDLED, *job_processor.ROUTES) if not re.search(r"/(job|node)(/|$)", route.path)]
    assert said == {
        f"{route.verb} {route.path}": [route.summary.rstrip("."), ", ".join(route.roles[::-1])] for route in plural
    }


def test_the_problems_of_http_are_those_that_there_are() -> None:
    said = {(row[0], row[1]) for row in rows("http.md") if row[0].isdigit()}
    assert said == {(str(kind.status), kind.name) for kind in KINDS}


def test_how_long_anybody_may_be_away_is_what_the_leashes_allow() -> None:
    said = [row for row in rows("reliability.md") if len(row) == 2 and row[1].endswith(" s")]
    assert len(said) > 2
    for lost_after, away in said:
        in_force = lost_after_in_force(parse_duration(lost_after.split()[0]), LEASE)
        assert math.floor(survived_absence(in_force, LEASE)) == int(away.split()[0]), lost_after


def test_how_a_task_can_end_is_what_there_is() -> None:
    reasons = {"ok", "exit:N", "signal:NAME", endings.CANCELLED, endings.STOPPED, endings.TIMEOUT}
    reasons |= {endings.QUEUE_TIMEOUT, endings.QUIET_TIMEOUT, endings.DEADLINE, endings.LAUNCH_FAILED}
    reasons |= {endings.LOST, endings.OOM, endings.DEPENDENCY, endings.MAX_FAILS, endings.CHILDREN}
    reasons.add(endings.exhausted("…"))
    reasons.add(endings.FORMAT_ERROR)
    said = {row[1]: row[0] for row in rows("jobs.md") if len(row) == 4 and row[0] in [s.word for s in TaskState]}
    assert said == {reason: endings.state_of(reason).word for reason in reasons}
    assert {endings.kind_of(reason) for reason in reasons} == set(endings.KINDS), "selectors know all kinds"


def test_the_variables_of_tasks_are_those_that_there_are() -> None:
    said = {name.strip(" `") for row in rows("jobs.md") for name in row[0].split(",") if "CLUSTER_" in name}
    assert said == OWN_VARIABLES | {f"{PREFIX}…"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in LINK.findall(text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in {_anchor(heading) for heading in HEADING.findall(target.read_text())}, link
    if page.stem in ("README", "jobs", "files", "operations", "grpc", "reliability", "security"):
        for path in PATH.findall(text):
            assert (REPOSITORY / path).exists(), path


def _anchor(heading: str) -> str:
    """As the usual hosts of such pages make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
