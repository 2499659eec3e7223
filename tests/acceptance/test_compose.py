"""`compose up` as the founding document says it: a door for production on port 5000, one for debugging on 5001."""

import json

import pytest

from tests.acceptance.composed import Composed
from tests.acceptance.containers import missing

pytestmark = [pytest.mark.slow, pytest.mark.extra_compose, pytest.mark.skipif(bool(missing()), reason=missing())]


def test_two_doors_run_code_on_two_workers(composed: Composed) -> None:  # S4.8
    assert composed.execute("print(1+1, '%41')") == "2 %41\n"
    told = json.loads(composed.execute("print(1)", 5001))
    assert (told["stdout"], told["worker"]["name"] in ("worker1", "worker2")) == ("1\n", True)
    workers = json.loads(composed.inside("worker", "list", "--json"))
    assert {(each["name"], each["state"]) for each in workers} == {("worker1", "online"), ("worker2", "online")}
    failed = json.loads(composed.execute("def f(): raise KeyError('x')\nf()"))
    assert (failed["status"], failed["exception"]["type"], failed["exception"]["line"]) == (422, "KeyError", 1)
    assert "<textarea" in composed.curl("http://localhost:5000/")


def test_nobody_runs_anything_without_a_token_nor_reads_the_workers_keys(composed: Composed) -> None:
    for port in (5000, 5001):
        assert json.loads(composed.curl(f"http://localhost:{port}/execute?code=print(1)"))["status"] == 401
    key = "/var/lib/cluster/worker/worker.pem"
    read = json.loads(composed.execute(f"print(open({key!r}).read())"))
    assert read["exception"]["type"] == "PermissionError"
    assert composed.execute("import os; print(os.getuid())") == "65534\n"
