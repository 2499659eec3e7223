"""Jobs that are shut in: which workers get them, what goes with them, and how a worker makes the commands."""

from dataclasses import replace

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.request import request_of
from cluster.domain.job.sandbox import BUBBLEWRAP, UNCONFINED
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.launcher.template import Template
from cluster.domain.scheduler.evaluator import can_ever_run
from cluster.domain.scheduler.worker_record import Worker, WorkerRecord
from cluster.domain.session.offer import NOTHING, Offer, check_offer
from cluster.worker.sandbox import Sandbox, shut_in

SPEC = JobSpec(("python3", "-I"), sandbox=True, memory=4 << 20, timeout=3.0, max_output=1 << 16)
TEMPLATE = Template(("python3", "-I", "", "x"), (), "/out", script="pass", script_at=2)
BWRAP = Sandbox("/usr/bin/prlimit", "/usr/bin/bwrap", "/venv/bin/python", ("/venv",), (("/bin", "usr/bin"),))


def worker(offer: Offer) -> Worker:
    return Worker(WorkerRecord("w1", "w1", 1000, "", "", 0.0, offer=offer), 0.0)


def test_only_workers_that_shut_jobs_in_get_them() -> None:
    asked, others = request_of(SPEC), request_of(replace(SPEC, sandbox=False, memory=0))
    memory = (("mem", 1 << 30),)
    for kind, able in (("", False), (BUBBLEWRAP, True), (UNCONFINED, True)):
        assert can_ever_run(asked, worker(Offer(memory, sandbox=kind))) is able
        assert can_ever_run(others, worker(Offer(memory, sandbox=kind)))


def test_what_the_job_needs_itself_counts_too() -> None:
    asked = request_of(replace(SPEC, memory=0, need='sandbox == "bubblewrap" or zone == "a"'))
    assert can_ever_run(asked, worker(Offer(sandbox=BUBBLEWRAP)))
    assert not can_ever_run(asked, worker(Offer(sandbox=UNCONFINED)))
    assert can_ever_run(asked, worker(Offer(sandbox=UNCONFINED, labels=(("zone", "a"),))))
    assert not can_ever_run(asked, worker(Offer(labels=(("zone", "a"),))))


def test_a_job_without_that_asks_for_nothing_beside_cpus() -> None:
    assert request_of(JobSpec(("true",))).beside is None


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (replace(SPEC, cwd="/srv"), "--sandbox and --cwd exclude each other"),
        (replace(SPEC, script="x.sh", argv=()), "--sandbox and --script exclude each other"),
        (replace(SPEC, check_with="grep x"), "--sandbox and --check-with exclude each other"),
        (replace(SPEC, need=f'name == "{"x" * 985}"'), "--need with --sandbox: .* the most are 1000"),
        *(
            (replace(SPEC, env=(("A", "1"), (name, "./x.so"))), f"--sandbox and the variable {name} exclude each other")
            for name in ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH")
        ),
    ],
)
def test_what_is_outside_of_it_is_refused(spec: JobSpec, words: str) -> None:
    validate(replace(spec, sandbox=False))
    with pytest.raises(InvalidInput, match=words):
        validate(spec)


def test_a_worker_offers_no_other_sandbox_than_there_are() -> None:
    check_offer(Offer(sandbox=BUBBLEWRAP))
    with pytest.raises(InvalidInput, match="'chroot'"):
        check_offer(replace(NOTHING, sandbox="chroot"))


def test_each_command_is_shut_in_with_its_own_limits() -> None:
    made = shut_in(replace(TEMPLATE, then=(("python3", "-V"), ("ls",))), SPEC, BWRAP)
    at = made.argv.index("/venv/bin/python")
    before, program = made.argv[:at], made.argv[at:]
    assert program == ("/venv/bin/python", "-I", "", "x")
    assert made.argv[made.script_at] == ""
    assert made.then == ((*before, "/venv/bin/python", "-V"), (*before, "ls"))
    assert made.seen_as == "/job"
    told_at = before[before.index("--json-status-fd") + 1]
    assert (made.status_fd, told_at) == (3, "3")
    assert {"--unshare-all", "--disable-userns", "--die-with-parent", "--nproc=100:100"} <= set(before)
    assert {"--cpu=4:4", "--fsize=65536:65536", "--as=8388608:8388608", "--core=0:0"} <= set(before)
    assert "--share-net" not in before
    assert "/etc/resolv.conf" not in before
    assert {"--share-net", "/etc/resolv.conf"} <= set(replace(BWRAP, network=True).words(SPEC))


def test_what_is_not_shut_in_has_limits_all_the_same() -> None:
    made = shut_in(TEMPLATE, SPEC, Sandbox("/usr/bin/prlimit", python="/usr/bin/python3"))
    assert made.argv[0] == "/usr/bin/prlimit"
    assert made.argv[made.script_at - 2 :] == ("/usr/bin/python3", "-I", "", "x")
    assert (made.seen_as, made.status_fd) == ("", 0)
    assert not any(word.startswith("--nproc") for word in made.argv), "those of others would count"


def test_a_worker_that_shuts_nothing_in_starts_none_of_them() -> None:
    assert "its log says what is missing" in shut_in(TEMPLATE, SPEC, None).refusal
    assert shut_in(replace(TEMPLATE, refusal="no script"), SPEC, None).refusal == "no script"
