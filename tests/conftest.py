"""Loaded before every test module: `cluster` must be imported before gRPC is, and linters sort it behind."""

import gc
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import none

import cluster  # noqa: F401
from cluster.cli.embedded import DEFAULT_JOIN_PORT, DEFAULT_PORT

# The same examples everywhere, as the simulation has the same seeds; and no machine is too slow for them: by itself
# hypothesis fails an example that took more than 200 ms.
settings.register_profile("ours", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


# Until all tests are found nothing is garbage, and to look for some takes a tenth of the time.
gc.disable()


@settings(max_examples=1)
@given(none())
def _try_hypothesis(nothing: None) -> None:
    """Makes what stays for as long as the process."""


def pytest_collection_finish() -> None:
    """The tests stay, too: whatever a test makes, nobody looks through the thousands of others for garbage."""
    _try_hypothesis()  # before: it asks who refers to its random numbers, and nothing tells of what is frozen
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests with a marker `extra_…` take minutes: they run only where `-m` names it. Those marked `long` come first."""
    asked: str = config.option.markexpr
    extras = {i for i in items if any(m.name.startswith("extra_") and m.name not in asked for m in i.iter_markers())}
    config.hook.pytest_deselected(items=list(extras))
    items[:] = [item for item in items if item not in extras]
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def usual_ports_are_taken() -> Iterator[None]:
    """By one of the processes that run the tests, so that no two clusters of theirs look at them at the same time."""
    with ExitStack() as stack:
        for port in (DEFAULT_PORT, DEFAULT_JOIN_PORT):
            with suppress(OSError):  # somebody has it anyway
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@pytest.fixture(autouse=True)
def one_directory_for_all_tests() -> Iterator[None]:
    """Some work in another one, as a slot does, and whatever is started here finds `cluster` in ours."""
    here = os.getcwd()
    yield
    os.chdir(here)


@pytest.fixture(scope="session", autouse=True)
def signals_reach_what_tests_start() -> None:
    """Who runs the tests may ignore some (nohup, `&` in a script), and all that is started here would inherit that. A
    handler that does nothing ignores them just as well, but ends with exec."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


CGROUPS = Path("/sys/fs/cgroup")
# Seconds. Whoever else runs these tests here, another process of this run among them, has made the younger ones.
LONGEST_TEST = 900.0
_OF_A_PROCESS = re.compile(r"cluster-[0-9a-f]+-[0-9a-f]+-(\d+)|cluster-ground-(\d+)-.*")  # a launcher, or tests


@pytest.fixture(scope="session", autouse=True)
def no_cgroups_are_left() -> Iterator[None]:
    """Launchers that are killed together with all that tidies up after them, and whose directories go with the test,
    leave groups that no successor will remove; and so do tests that are broken off. Removed are those that are old: a
    run that ended took away what a test of another run was about to look at."""
    yield
    for group in (*CGROUPS.glob("cluster-*"), *CGROUPS.glob("*/cluster-*")):
        owner = _OF_A_PROCESS.fullmatch(group.name)
        with suppress(FileNotFoundError):
            if time.time() - group.stat().st_mtime < LONGEST_TEST:
                continue
        if owner is not None and not Path("/proc", owner[1] or owner[2]).exists():
            for path, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):  # something lives there; or somebody else was quicker
                    os.rmdir(path)


@pytest.fixture(scope="session", autouse=True)
def events_of_closed_loops_are_no_news() -> None:
    """gRPC has one queue of events a process, and whichever loop runs sees to all of them. Of one that comes late, for
    the closed loop of an earlier test, asyncio logs an error: in the middle of another test, that may look for such."""
    logging.getLogger("asyncio").addFilter(
        lambda record: not ("PollerCompletionQueue" in record.msg and "Event loop is closed" in str(record.exc_info))
    )
