"""What is forked from a process that uses gRPC, and is about to become another program, has one thread: its own.

By default gRPC starts its threads again in each such child. That closes all descriptors, and then they abort it: of
children that did nothing more nine in ten were dead a second later.
"""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import cluster, asyncio, ctypes, grpc, os

async def threads():
    server = grpc.aio.server()
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    if (child := ctypes.CDLL(None).fork()) == 0:  # as subprocess forks where it changes the user
        os._exit(len(os.listdir("/proc/self/task")))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    await server.stop(None)

asyncio.run(threads())
"""


@pytest.mark.slow
def test_a_child_of_a_process_that_uses_grpc_has_no_thread_of_its() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
