"""Which ends are tried again, how often, and after which pause."""

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.retry_kinds import PAUSES
from cluster.domain.job.retry_policy import JITTER, Verdict, judge, luck_of, pause_after
from cluster.domain.job.spec import JobSpec, validate

AGAIN, OVER, EXHAUSTED = Verdict.AGAIN, Verdict.OVER, Verdict.EXHAUSTED


@pytest.mark.parametrize(
    ("causes", "reason", "verdict"),
    [
        ((), "exit:1", AGAIN),
        ((), "lost", AGAIN),
        ((), "of a later version", AGAIN),
        (("exit:75",), "exit:75", AGAIN),
        (("exit:75",), "exit:7", OVER),
        (("exit:7",), "exit:75", OVER),
        (("exit",), "exit:3", AGAIN),
        (("signal",), "signal:SIGSEGV", AGAIN),
        (("signal:KILL",), "signal:SIGKILL", AGAIN),
        (("signal:SIGKILL",), "signal:SIGKILL", AGAIN),
        (("signal:KILL",), "signal:SIGSEGV", OVER),
        (("signal:9",), "signal:SIGKILL", AGAIN),
        (("signal:9",), "signal:SIGSEGV", OVER),
        (("signal:FOO",), "signal:SIGSEGV", OVER),  # of a job that was taken before such words were refused
        (("signal:RTMIN+3",), "signal:SIGRTMIN+3", AGAIN),
        (("timeout",), "timeout:run", AGAIN),
        (("timeout:run",), "timeout:run", AGAIN),
        (("oom", "lost"), "lost", AGAIN),
        (("oom", "lost"), "stopped", OVER),
        (("exit:75", "oom"), "exit:1", OVER),
    ],
)
def test_what_is_tried_again(causes: tuple[str, ...], reason: str, verdict: Verdict) -> None:
    assert judge(reason, 1, causes, 1, 1) is verdict
    assert judge(reason, 0, causes, 1, 1) is OVER


def test_failures_and_losses_count_apart() -> None:
    assert [judge("exit:1", 2, (), failures, 99) for failures in (1, 2, 3)] == [AGAIN, AGAIN, EXHAUSTED]
    for reason in ("lost", "stopped"):
        assert [judge(reason, 2, (), 99, losses) for losses in (1, 2, 3)] == [AGAIN, AGAIN, EXHAUSTED]


def test_the_pause_doubles_up_to_the_longest_after_any_number_of_attempts() -> None:
    assert [pause_after(n, (1.0, 60.0), 0.0) for n in (1, 2, 6, 7)] == [1.0, 2.0, 32.0, 60.0]
    assert pause_after(2**32 - 1, (0.001, 1e9), 0.0) == 1e9  # 2**1024 is no float
    assert pause_after(5, (0.0, 0.0), 0.5) == 0.0


def test_tasks_that_fail_together_do_not_come_back_together() -> None:
    pauses = {pause_after(1, (2.0, 300.0), luck_of("uuid", index, 1)) for index in range(1000)}
    assert len(pauses) == 1000
    assert 2.0 * (1 - JITTER) <= min(pauses) < 1.52 < 1.98 < max(pauses) <= 2.0
    assert luck_of("uuid", 1, 1) == luck_of("uuid", 1, 1) != luck_of("uuid", 1, 2)


WRONG = {
    "--retry-on 'lost,eof': 'eof' is no cause: use some of exit, signal,": JobSpec(("a",), retry_on=("lost", "eof")),
    "'exit:0' is no exit code that a failure has: use exit:1": JobSpec(("a",), retry_on=("exit:0",)),
    "'exit:x' is no exit code": JobSpec(("a",), retry_on=("exit:x",)),
    "'exit:256' is no exit code": JobSpec(("a",), retry_on=("exit:256",)),
    "'lost:w1' says more than there is: use lost": JobSpec(("a",), retry_on=("lost:w1",)),
    "'signal:SIGFOO' names no signal: use its name or number": JobSpec(("a",), retry_on=("oom", "signal:SIGFOO")),
    "'signal:0' names no signal": JobSpec(("a",), retry_on=("signal:0",)),
    "'signal:99' names no signal": JobSpec(("a",), retry_on=("signal:99",)),
    "'timeout:foo' names no time limit: use timeout, or one of": JobSpec(("a",), retry_on=("timeout:foo",)),
    "'signal:' ends too soon": JobSpec(("a",), retry_on=("signal:",)),
    "--backoff 300..2: it goes backwards, from 5m00s to 2.0s": JobSpec(("a",), backoff=(300.0, 2.0)),
    "--backoff 0..5: a pause of 0 never grows": JobSpec(("a",), backoff=(0.0, 5.0)),
    "--backoff 1..2000000000: use two durations from 0 to 1000000000": JobSpec(("a",), backoff=(1.0, 2e9)),
    "--backoff nan..1: use two durations": JobSpec(("a",), backoff=(float("nan"), 1.0)),
    "--backoff 1: use two durations": JobSpec(("a",), backoff=(1.0,)),
    "--backoff -1..1: use two durations": JobSpec(("a",), backoff=(-1.0, 1.0)),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_cause_and_no_pause_is_refused(message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate(WRONG[message])


def test_pauses_as_they_are_typed() -> None:
    assert [PAUSES.parse(text) for text in ("2s..5m", "10", "0")] == [(2.0, 300.0), (10.0, 10.0), (0.0, 0.0)]
    for text in ("..", "2s...5m", "soon..5m", "2s..-1"):
        with pytest.raises(InvalidInput, match="is no duration"):
            PAUSES.parse(text)
