"""Loaded before every test module: `cluster` must be imported before gRPC is, and linters sort it behind."""

import signal

import pytest
from hypothesis import HealthCheck, settings

import cluster  # noqa: F401

# The same examples everywhere, as the simulation has the same seeds; and no machine is too slow for them: by itself
# hypothesis fails an example that took more than 200 ms.
settings.register_profile("ours", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


@pytest.fixture(scope="session", autouse=True)
def signals_reach_what_tests_start() -> None:
    """Who runs the tests may ignore some (nohup, `&` in a script), and all that is started here would inherit that. A
    handler that does nothing ignores them just as well, but ends with exec."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
