"""The session keyring of jobs. Real processes, which ask the kernel by themselves."""

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.grounds import PYTHON
from tests.integration.launchers import Lab, one, run

KEYCTL, ADD_KEY = {"x86_64": (250, 248), "aarch64": (219, 217)}.get(platform.machine(), (0, 0))
SESSION = ctypes.c_long(-3)
LIBC = ctypes.CDLL(None)
# Says how many bytes of keys are in its session keyring (4 for each); then leaves one, or revokes it.
JOB = f"""
import ctypes, sys
libc, long = ctypes.CDLL(None), ctypes.c_long
print(libc.syscall(long({KEYCTL}), long(11), long(-3), None, long(0)), flush=True)
if sys.argv[1] == "leave":
    assert libc.syscall(long({ADD_KEY}), b"user", b"of an attempt", b"secret", long(6), long(-3)) > 0
elif sys.argv[1] == "revoke":
    assert libc.syscall(long({KEYCTL}), long(3), long(-3)) == 0
"""


def _read() -> int:
    size: int = LIBC.syscall(ctypes.c_long(KEYCTL), ctypes.c_long(11), SESSION, None, ctypes.c_long(0))
    return size


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not KEYCTL or _read() < 0, reason="needs a kernel with keyrings")]


@pytest.fixture
def secret() -> Iterator[None]:
    """In the session keyring of the test, which the launcher inherits."""
    key = LIBC.syscall(ctypes.c_long(ADD_KEY), b"user", b"of the agent", b"secret", ctypes.c_long(6), SESSION)
    assert key > 0
    yield
    assert LIBC.syscall(ctypes.c_long(KEYCTL), ctypes.c_long(9), ctypes.c_long(key), SESSION) == 0  # unlink


@pytest.mark.parametrize("uid", [None, 65534])
def test_a_job_finds_no_key_of_the_agents_and_none_of_an_earlier_attempt(
    tmp_path: Path, secret: None, uid: int | None
) -> None:
    if uid is not None and os.geteuid() != 0:
        pytest.skip("only root can run a command as somebody else")
    lab = Lab(tmp_path)

    async def main() -> None:
        async with lab.agent(millicpus=1000) as agent:
            for index, then in enumerate(("leave", "leave", "revoke", "leave", "nothing")):
                job = lab.template(PYTHON, "-I", "-S", "-c", JOB, then, cwd="/", uid=uid, gid=uid)
                end = await agent.end_of(one(agent, job, f"1.{index}#1"))
                assert (end.reason, lab.output(f"{index}.1")) == ("ok", "0\n")

    run(main())
