"""What goes over the wire comes back as it was: nothing that the domain knows may be lost or changed on the way."""

import asyncio
from dataclasses import replace

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.intervals import Range
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import OkEnds, SmallOutput, TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.session.home import Home
from cluster.domain.session.messages import (
    Assign,
    Attempts,
    Disown,
    Downward,
    Freeze,
    HeartbeatAnswered,
    Hello,
    Recall,
    Report,
    ReportAcknowledged,
    Stop,
    Welcome,
)
from cluster.rpc import convert, specs
from cluster.scheduler import spec_reading
from cluster.scheduler.spec_checks import check_spec
from cluster.v1 import job_pb2, scheduler_pb2

SPEC = JobSpec(
    argv=("bash", "-c", "echo ü"),
    name="nightly",
    script="count.sh",
    script_args=("10",),
    env=(("A", "1"), ("B", "")),
    cwd="/tmp",
    millicpus=500,
    array=(ArraySegment(1, 9, 2), ArraySegment(20, 20)),
    timeout=60.0,
    grace=0.0,
    worker="w1",
    lost_after=30.0,
    retries=2,
    merge_output=True,
    max_output=1 << 20,
)
WITH_LINES = JobSpec(argv=("xz", "{}"), lines=b"a\n\xff b\n")
# Bytes that are no UTF-8, as Python takes them from a command line.
WITH_BYTES = JobSpec(
    ("cat", "\udce9"), script="\udcff", script_args=("ü\udce9",), env=(("\udce8", "=\udce9"), ("B", "")), cwd="/\udce9"
)
SOME = Attempts(3, 2, (Range(0, 5), Range(9, 10)))


@pytest.mark.parametrize("spec", [SPEC, WITH_LINES, WITH_BYTES])
def test_spec_comes_back_as_it_was(spec: JobSpec) -> None:
    wire = specs.spec_to_proto(spec).SerializeToString()
    assert specs.spec_from_proto(job_pb2.JobSpec.FromString(wire)) == spec


def test_what_is_left_out_is_filled_in() -> None:
    spec = specs.spec_from_proto(job_pb2.JobSpec(argv=["true"], array=[job_pb2.ArraySegment(first=1, last=2)]))
    assert (spec.millicpus, spec.lost_after, spec.grace, spec.array[0].step) == (1000, 60.0, 10.0, 1)
    assert spec.max_output == 64 << 20


@pytest.mark.parametrize("spec", [SPEC, WITH_LINES, WITH_BYTES, JobSpec(("x" * spec_reading.LONGEST,))])
def test_a_spec_that_is_read_again_is_the_same_and_one_that_differs_is_not(spec: JobSpec) -> None:
    message, other = specs.spec_to_proto(spec), specs.spec_to_proto(replace(spec, name="other"))
    assert spec_reading.read_spec(message) == spec_reading.read_spec(message) == spec
    assert spec_reading.read_spec(other) == replace(spec, name="other")


def test_a_bad_spec_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput, match="--spread and --pack exclude each other"):
            asyncio.run(check_spec(JobSpec(("true",), spread=True, pack=True)))


def test_report_comes_back_as_it_was() -> None:
    end = TaskEnd(3, 7, 2, "signal:SIGKILL", 137, "SIGKILL", "why", "", 1.5, 2.5, 0.25, 1 << 40, 1 << 33)
    report = Report(
        sequence=1 << 40,
        started=(SOME,),
        ok=(OkEnds(3, 1, 0, 2, bytes(48)),),
        ended=(end,),
        returned=(SOME,),
        outputs=(SmallOutput(3, 1, 1, b"out\xff", b""),),
    )
    wire = convert.report_to_proto(report).SerializeToString()
    assert convert.report_from_proto(scheduler_pb2.Report.FromString(wire)) == report


def test_hello_comes_back_as_it_was() -> None:
    hello = Hello(
        "inc",
        2000,
        1 << 33,
        backlog=(SOME,),
        running=(SOME,),
        ended=(SOME,),
        frozen=(SOME,),
        home=Home("m", "b", "d"),
        uptime=7.5,
    )
    wire = convert.hello_to_proto(hello).SerializeToString()
    assert convert.hello_from_proto(scheduler_pb2.Hello.FromString(wire)) == hello


def test_one_response_carries_all_messages_of_a_turn() -> None:
    messages: list[Downward] = [
        Welcome(4, 15.0),
        ReportAcknowledged(9),
        Disown(SOME),
        Assign(SOME, JobSpec(argv=("true",)), 55.0, (b"one", b"two")),
        Assign(SOME, JobSpec(argv=("true",)), 55.0, (), "the id", "ada"),
        Assign(Attempts(4, 1, (Range(0, 1),)), None, 55.0),
        Stop(SOME, 0.0),
        Recall(SOME),
        Freeze(SOME),
        Freeze(SOME, thaw=True),
        Freeze(SOME),
        HeartbeatAnswered(8),
    ]
    wire = convert.response_to_proto(messages).SerializeToString()
    assert convert.messages_from_response(scheduler_pb2.SessionResponse.FromString(wire)) == messages


def test_an_acknowledgement_is_not_joined_with_an_assign_before_it() -> None:
    """What was assigned before a task's return was acknowledged is stale; what is assigned with it is not."""
    assign = Assign(SOME, None, 55.0)
    messages: list[Downward] = [ReportAcknowledged(8), assign, Stop(SOME, 0.0), ReportAcknowledged(9), assign]
    assert convert.joinable(messages) == 3
    assert convert.joinable(messages[3:]) == 2
    first = convert.messages_from_response(convert.response_to_proto(messages[:3]))
    second = convert.messages_from_response(convert.response_to_proto(messages[3:]))
    assert first + second == messages


def test_assigned_specs_leave_their_lines_behind() -> None:
    response = convert.response_to_proto([Assign(SOME, WITH_LINES, 55.0, (b"a",))])
    assert response.assign[0].spec.lines == b""
    assert list(response.assign[0].lines) == [b"a"]


def test_lists_have_of_a_script_its_beginning_and_no_environment() -> None:
    """A hundred jobs with scripts of a MiB made a list of a hundred MiB."""
    spec = JobSpec((), script_text=b"#!/bin/sh\n" + b"x" * 1000, env=(("A", "1"),))
    listed = specs.spec_to_proto(spec, with_env=False)
    assert (listed.script_text, len(listed.env)) == (b"#!/bin/sh\n" + b"x" * 54, 0)
    assert specs.spec_from_proto(specs.spec_to_proto(spec)) == spec
