"""Every signal has a name, and every name is 128 + N as an exit code."""

import signal

import pytest

from cluster.domain.base.signals import signal_name, signal_number
from cluster.domain.job.endings import exit_code

ALL = range(1, 65)


@pytest.mark.parametrize("number", ALL)
def test_a_name_is_that_signals_alone(number: int) -> None:
    assert signal_number(signal_name(number)) == number
    assert len({signal_name(other) for other in ALL}) == len(ALL)


def test_the_names_are_those_of_this_machine() -> None:
    for known in signal.Signals:
        assert signal_number(known.name) == known
    assert signal_name(signal.SIGRTMIN + 3) == "SIGRTMIN+3"
    assert signal_number("SIGRTMAX-1") == signal.SIGRTMAX - 1


@pytest.mark.parametrize("name", ["", "SIG", "SIG0", "SIG65", "TERM", "SIGRTMIN+99", "SIGNONE", "SIG-3"])
def test_what_is_no_signals_name(name: str) -> None:
    assert signal_number(name) == 0


@pytest.mark.parametrize("number", ALL)
def test_an_end_by_a_signal_is_128_more(number: int) -> None:
    """Also by the number alone, which launchers of the first version report of real-time signals."""
    for name in (signal_name(number), f"SIG{number}"):
        assert exit_code(f"signal:{name}", None, name) == 128 + number
