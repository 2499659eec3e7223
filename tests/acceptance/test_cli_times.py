"""Jobs and the clock, through the command line."""

from datetime import datetime, timedelta

import pytest

from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

pytestmark = pytest.mark.slow


def test_a_job_waits_for_its_time_and_says_so(cluster: Command) -> None:
    later = submit(cluster, "--name", "later", "--delay", "1h", "--array", "1-3", "--", "true")
    told = cluster.ok("job", "show", "--json", later).json
    assert (told["state"], told["delay"], told["at"]) == ("waiting", 3600.0, None)
    due = datetime.fromisoformat(told["waits_until"])
    assert due - datetime.fromisoformat(told["submitted_at"]) == timedelta(hours=1)
    (because,) = told["pending_because"]
    assert because.startswith("it starts no sooner than 20")
    assert because in cluster.ok("job", "why", later).text
    assert because in cluster.ok("job", "show", later).text
    assert because.rpartition(" ")[2] in cluster.ok("job", "list", later).text
    cluster.ok("job", "cancel", later)
    assert cluster("job", "wait", later).code == 143
    assert cluster.ok("job", "show", "--json", later).json["waits_until"] is None


def test_a_time_is_one_of_the_callers_zone(cluster: Command) -> None:
    zone = {"TZ": "IST-5:30"}
    number = cluster.ok("job", "submit", "-q", "--at", "2199-01-01T06:00", "--", "true", env=zone).text.strip()
    assert cluster.ok("job", "show", "--json", number).json["at"] == "2199-01-01T00:30:00Z"
    cluster.ok("job", "cancel", number)


def test_a_job_starts_at_its_time_and_after_what_it_waits_for(cluster: Command) -> None:
    first = submit(cluster, "--", "true")
    number = submit(cluster, "--delay", "1", "--after", first, "--", "true")
    assert cluster("job", "wait", number).code == 0
    told = cluster.ok("job", "show", "--json", number).json
    begun, submitted = (datetime.fromisoformat(told[name]) for name in ("started_at", "submitted_at"))
    assert begun - submitted >= timedelta(seconds=0.999)  # told in milliseconds


def test_a_deadline_stops_what_runs(cluster: Command) -> None:  # S3.12
    number = submit(cluster, "--deadline", "5s", "--", "sleep", "100")
    waited = cluster("job", "wait", number)
    assert (waited.code, waited.text) == (143, f"job {number} failed (timeout:deadline)\n")
    assert "its --deadline 5s came before it had ended, and it was stopped" in cluster.ok("job", "why", number).text


def test_a_deadline_ends_what_has_not_begun(cluster: Command) -> None:
    number = submit(cluster, "--deadline", "1s", "--worker", "nobody", "--array", "1-3", "--", "true")
    waited = cluster("job", "wait", f"{number}.2")
    assert (waited.code, waited.text) == (124, f"job {number}.2 failed (timeout:deadline)\n")
    tasks = cluster.ok("job", "show", "--json", number).json["task_details"]
    assert [(t["state"], t["reason"], t["exit_code"]) for t in tasks] == [("failed", "timeout:deadline", 124)] * 3
    assert "its --deadline 1s came before it had started" in cluster.ok("job", "why", f"{number}.2").text


def test_who_writes_nothing_for_too_long_is_stopped(cluster: Command) -> None:  # S3.12
    done = cluster("run", "--quiet-timeout", "4", "--", "sh", "-c", "echo once; sleep 100")
    assert (done.code, done.text) == (143, "once\n")
    number = cluster.ok("job", "list", "-q", "--limit", "1").text.strip()
    assert f"cluster: job {number} failed (timeout:quiet)\n" in done.err
    assert "it wrote nothing for --quiet-timeout 4.0s, and was stopped" in cluster.ok("job", "why", number).text


def test_a_schedule_says_when_it_runs_next_and_is_cancelled(cluster: Command) -> None:
    options = ("--every", "0 6 1 jan *", "--overlap", "allow", "--catch-up", "--name", "newyear")
    number = submit(cluster, *options, "--", "true")
    told = cluster.ok("job", "show", "--json", number).json
    assert (told["state"], told["every"], told["overlap"], told["catch_up"]) == (
        "waiting", "0 6 1 jan *", "allow", True,
    )  # fmt: skip
    assert told["waits_until"].endswith("-01-01T06:00:00.000Z")
    assert "it runs next at 2" in cluster.ok("job", "why", number).text
    assert "next at 2" in cluster.ok("job", "list", number).text
    refused = cluster("job", "set", number, "--every", "@hourly")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "--every of a job stays as it was handed in: cancel it" in refused.err
    once = cluster.ok("job", "rerun", "--once", "-q", number).text.strip()
    assert cluster.ok("job", "wait", once).text == f"job {once} succeeded\n"
    cluster.ok("job", "pause", number)
    assert "while it is paused, it does not run then" in cluster.ok("job", "why", number).text
    cluster.ok("job", "resume", number)
    waited = cluster("job", "wait", "all")
    assert waited.err == f"cluster: job {number} comes again (--every), and is not waited for\n"
    assert f"job {number} " not in waited.text
    assert cluster.ok("job", "wait", "newyear").err == waited.err, "a name may mean a schedule, with its runs"
    nothing = cluster("job", "logs", "newyear")
    assert (nothing.code, nothing.err.count("\n"), "has had no run yet" in nothing.err) == (1, 1, True)
    second = cluster.ok("job", "rerun", number)
    assert f"comes again (--every), beside job {number}; `cluster job cancel` ends either" in second.err
    cluster.ok("job", "cancel", str(int(once) + 1))
    cluster.ok("job", "cancel", number)
    assert cluster("job", "wait", number).code == 143
    assert "never ends: hand it in with `cluster job submit`" in cluster("run", "--every", "@daily", "--", "true").err


def test_what_is_no_time_or_past_is_refused(cluster: Command) -> None:
    wrong = {
        ("--at", "25:00"): "'25:00' is no time: use 2026",
        ("--at", "2020-01-01T00:00Z"): "--at 2020-01-01T00:00:00Z is past: it is 20",
        ("--deadline", "1h", "--delay", "2h"): "--deadline 1h ends the job at 20",
        ("--every", "0 25 * * *"): "hour '25' is none: use 0-23",
        ("--every", "0 6 * * *@Europe/Berlyn"): "no time zone 'Europe/Berlyn' is known on the scheduler's machine",
    }
    before = cluster.ok("job", "list", "--limit", "1", "-q").text
    for options, words in wrong.items():
        refused = cluster("job", "submit", *options, "--", "true")
        assert refused.code in (1, 2), refused
        assert words in refused.err
        assert refused.err.count("\n") == 1
    assert cluster.ok("job", "list", "--limit", "1", "-q").text == before
