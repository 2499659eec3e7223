"""Jobs that call jobs on a real worker: real scheduler, real agent, real launcher, real processes, and the program that
they find on their PATH."""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from cluster.client.local import connect, said
from cluster.domain.trust.identity import Role
from cluster.rpc.bounds import MOST_OF_A_JOB
from cluster.rpc.frames import CALL, ERROR, HEAD, MESSAGE, TOKEN, frame
from cluster.v1 import job_pb2, jobs_pb2
from cluster.worker.inside.listener import MOST_OF_ONE, MOST_SILENT, JobsListener
from cluster.worker.inside.place import SOCKET, Inside
from tests.integration.workers import Site, at_site
from tools.environments import REPOSITORY

pytestmark = pytest.mark.slow

PROGRAM = [
    *(sys.executable, "-P", "-c"),
    f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from cluster.cli.entry import main; main()",
]


async def output_of(site: Site, script: str, **fields: Any) -> tuple[job_pb2.Job, list[str]]:
    """How a job of that shell script ended, and the lines that it has written, errors too."""
    job = await site.user.submit("sh", "-c", f"exec 2>&1; {script}", **fields)
    [ended] = await site.user.wait(str(job.number))
    return ended, (await site.user.text(str(job.number))).decode().splitlines()


def test_the_command_line_works_inside_a_job_without_home_and_configuration(tmp_path: Path) -> None:  # S3.13
    async def body(site: Site) -> None:
        await site.worker(program=PROGRAM).started()
        script = """
            unset HOME
            child=$(cluster job submit -q --name leaf -- sh -c 'echo from $CLUSTER_JOB; exit 3') || exit 9
            cluster job wait $child
            echo "wait: $?"
            cluster job logs $child
            cluster run -- echo hello
            cluster job list --quiet
            cluster job show $child | grep 'called by' | tr -s ' '
            cluster job why $child | grep because | tr -s ' '
            cluster job show $CLUSTER_JOB | grep '^has called' | tr -s ' '
            cluster job state set phase=two note='a b'
            cluster job state get $CLUSTER_JOB
            cluster job state get --json 1 note
            cluster job state get 1 nothing
            cluster job tree | cut -f 1,2
            cluster job cancel $CLUSTER_JOB
            echo "cancel: $?"
            cluster job show 99
            cluster status | sed -n '1,3s/ by its worker.*:/ by its worker:/; 1,3p'
            cluster status --json | tr -d '\n '
            echo
            cluster worker list
            echo "worker: $?"
            cluster user list
        """
        ended, lines = await output_of(site, script)
        assert ended.exit_code == 77, lines
        assert lines == [
            "job 2 failed (exit:3)",
            "wait: 3",
            "from 2",
            "hello",
            *("3", "2", "1"),
            "called by 1#1",
            "because it left with exit code 3",
            "has called 2, 3",
            *("note=a b", "phase=two", '"a b"'),
            "cluster: job 1 keeps no 'nothing': it has note, phase",
            *("JOB\tSTATE", "1\trunning", "├─ 2\tfailed (exit:3)", "└─ 3\tsucceeded"),
            "cluster: job 1 has not called job 1: a job may cancel only what it has called",
            "cancel: 77",
            "cluster: there is no job 99; `cluster job list` shows those there are",
            "cluster   the one that runs this job, by its worker: its scheduler answers",
            "you       attempt 1#1 of job 1, which is admin's",
            "jobs      1 running, 0 waiting, of those that come of the same first job, this one among them",
            '{"job":1,"attempt":"1#1","user":"admin","role":"job","called_by":[],"jobs_running":1,"jobs_waiting":0}',
            "cluster: job 1 may not use `cluster worker list`: only users may",
            "worker: 77",
            "cluster: a job may not use `cluster user`: only users may",
        ]

    at_site(tmp_path, body)


def test_the_python_client_finds_the_same_way_also_when_the_agent_was_started_anew(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker(program=PROGRAM).started()
        flag, script = tmp_path / "flag", tmp_path / "job.py"
        script.write_text(
            f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
            "from cluster.client import Client\n"
            "with Client.connect() as client:\n"
            "    print(client.submit(['true']).number, flush=True)\n"
            f"    open({str(flag)!r}).read()\n"
            "    job = client.submit(['sh', '-c', 'echo $CLUSTER_JOB_ID'])\n"
            "    assert client.wait(job.number)[0].exit_code == 0\n"
            "    assert b''.join(piece.data for piece in client.logs(job.number)).decode().strip() == job.id\n"
            "    print(job.number, [job.number for job in client.list()], flush=True)\n"
        )
        os.mkfifo(flag)
        job = await site.user.submit(sys.executable, str(script))
        async for piece in site.user.output(str(job.number), follow=True):
            if piece.data:
                break
        await worker.stop(9)
        letting_go = asyncio.to_thread(flag.write_text, "go on")  # while nobody is there
        await asyncio.gather(letting_go, worker.start())
        [ended] = await site.user.wait(str(job.number))
        text = (await site.user.text(str(job.number))).decode()
        assert (ended.exit_code, text) == (0, "2\n3 [3, 2, 1]\n")

    at_site(tmp_path, body)


def heard(path: str, *frames: bytes) -> tuple[bytes, str]:
    """What one connection is answered first: its kind and what is in it; nothing where it is closed instead."""
    with socket.socket(socket.AF_UNIX) as connection:
        connect(connection, path)
        try:
            connection.sendall(b"".join(frames))
            head = connection.recv(HEAD.size, socket.MSG_WAITALL)
            kind, length = HEAD.unpack(head) if head else (b"", 0)
            return kind, connection.recv(length, socket.MSG_WAITALL).decode(errors="replace") if length else ""
        except ConnectionError:
            return b"", ""


def test_no_crowd_that_says_nothing_drives_out_who_speaks_at_once(tmp_path: Path) -> None:
    async def body() -> None:
        inside = Inside(tmp_path, b"secret")
        listener = JobsListener(inside, (None, None), lambda key: True, str, AsyncMock())
        await listener.start()
        sockets = [socket.socket(socket.AF_UNIX) for _ in range(101)]  # as many as may wait to be taken in
        connect(sockets[0], str(tmp_path / SOCKET))
        sockets[0].sendall(frame(TOKEN, b"no token"))
        for each in sockets[1:]:
            each.setblocking(False)
            connect(each, str(tmp_path / SOCKET))
        answer = await asyncio.to_thread(sockets[0].recv, 1000)
        assert b"NotAuthenticated" in answer
        for each in sockets:
            each.close()
        await listener.stop()

    asyncio.run(body())


def test_a_hostile_job_is_told_in_one_line_and_harms_nobody(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        await site.cluster.people(ada=Role.USER)
        ada = site.cluster.user("ada")
        worker = await site.worker(program=PROGRAM).started()
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        show = f"echo $CLUSTER_SOCKET $CLUSTER_TOKEN; cat {fifo}"
        theirs = await ada.submit("sh", "-c", show)
        path, token = (await _first_words(site, theirs))[:2]

        list_jobs = said("List", jobs_pb2.ListRequest(), "")
        call, request = frame(CALL, b"/cluster.v1.Jobs/List"), frame(MESSAGE)

        def whose(text: str) -> bytes:
            return frame(TOKEN, text.encode())

        forged = token.replace("1.0.1.", "1.0.2.")
        answers: Sequence[tuple[bytes, str]] = [
            await asyncio.to_thread(heard, path, whose(forged), list_jobs),
            await asyncio.to_thread(heard, path, whose(""), list_jobs),
            await asyncio.to_thread(heard, path, whose("x" * 5000), list_jobs),
            await asyncio.to_thread(heard, path, list_jobs),
            await asyncio.to_thread(heard, path, whose(token), frame(CALL, b"x" * 5000), request),
            await asyncio.to_thread(heard, path, whose(token), call, HEAD.pack(MESSAGE, MOST_OF_A_JOB + 1)),
            await asyncio.to_thread(heard, path, whose(token), frame(CALL, b"/cluster.v1.Users/ListUsers"), request),
            await asyncio.to_thread(heard, path, b"GET / HTTP/1.1\r\n\r\n"),
        ]
        assert [kind for kind, _ in answers] == [ERROR] * len(answers)
        kinds = [text.partition("\0")[0] for _, text in answers]
        assert kinds == ["NotAuthenticated"] * 2 + ["InvalidInput"] * 4 + ["NotPermitted", "InvalidInput"]

        slow = [socket.socket(socket.AF_UNIX) for _ in range(2)]  # each holds half of what one attempt may
        for each in slow:
            connect(each, path)
            each.sendall(whose(token) + call + HEAD.pack(MESSAGE, MOST_OF_A_JOB))
        large, text = frame(MESSAGE, bytes(4096)), ""
        while not text.startswith("Exhausted"):  # until the worker has heard both
            _, text = await asyncio.to_thread(heard, path, whose(token), call, large)
        assert "bytes of requests under way, and each attempt may have 4194304" in text
        assert (await asyncio.to_thread(heard, path, whose(token), call, request))[0] == MESSAGE
        for each in slow:
            each.close()

        silent = [socket.socket(socket.AF_UNIX) for _ in range(MOST_SILENT + 100)]
        watching = [socket.socket(socket.AF_UNIX) for _ in range(MOST_OF_ONE)]
        wait = said("Wait", jobs_pb2.WaitRequest(selectors=[jobs_pb2.Selector(text="1")]), token)
        for each in silent:
            connect(each, path)
        assert (await asyncio.to_thread(heard, path, whose(token), call, request))[0] == MESSAGE
        for each in watching:
            connect(each, path)
            each.sendall(wait)
            await asyncio.to_thread(each.recv, 1)
        kind, text = await asyncio.to_thread(heard, path, whose(token), call, request)
        assert (kind, text) == (
            ERROR,
            f"Exhausted\0job 1 has {MOST_OF_ONE} calls under way, and each attempt may have {MOST_OF_ONE}: wait until "
            "one of them has ended",
        )
        other = await ada.submit("sh", "-c", "cluster job list -q")
        assert [job.exit_code for job in await ada.wait(str(other.number))] == [0]
        for each in (*watching, *silent):
            each.close()

        fifo.write_text("end")
        await ada.wait(str(theirs.number))
        kind, text = await asyncio.to_thread(heard, path, whose(token), list_jobs)
        assert (kind, text.partition("\0")[0]) == (ERROR, "NotPermitted")
        assert "has ended: it has no say" in text
        assert await worker.stop() == 0

    at_site(tmp_path, body)


async def _first_words(site: Site, job: job_pb2.Job) -> list[str]:
    """Of the first line that it writes."""
    text = b""
    async for piece in site.user.output(str(job.number), follow=True):
        text += piece.data
        if b"\n" in text:
            break
    return text.decode().split()
