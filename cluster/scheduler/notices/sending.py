"""One try to send a notice: an HTTP request, or a run of a command. SendingFailed says why it came to nothing."""

import asyncio
import hashlib
import hmac
import os
import signal
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit

TRY_TIME = 15.0  # seconds of one request, from looking the name up to the answer
COMMAND_TIME = 60.0  # seconds of a command
MAX_STATUS_LINE = 1024  # bytes


class SendingFailed(Exception):
    pass


def signature(secret: bytes, at: int, body: bytes) -> str:
    """What shows a receiver that the notice is from here and when it was sent (Unix seconds), so that an old one that
    somebody repeats is known as such."""
    mac = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


async def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """An answer of 2xx is success. Redirects are not followed: they would lead where nobody allowed."""
    try:
        async with asyncio.timeout(TRY_TIME):
            status = await _answer(url, body, headers)
    except TimeoutError:
        raise SendingFailed(f"no answer within {TRY_TIME:g} s") from None
    except (OSError, ValueError) as error:
        raise SendingFailed(str(error) or type(error).__name__) from None
    if not 200 <= status < 300:
        raise SendingFailed(f"it answered {status}")


async def _answer(url: str, body: bytes, headers: dict[str, str]) -> int:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    context = await asyncio.to_thread(_context) if secure else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context, limit=MAX_STATUS_LINE)
    try:
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        words = (await reader.readline()).split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
            raise SendingFailed("it does not speak HTTP")
        return int(words[1])
    finally:
        writer.transport.abort()


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


async def run_command(argv: Sequence[str], body: bytes) -> None:
    """The notice is its standard input; a code of 0 is success. What it leaves in its process group is killed, before
    the command itself is reaped: until then no other process can have that number."""
    process = _started(argv, body)
    try:
        async with asyncio.timeout(COMMAND_TIME):
            await _end_of(process.pid)
    except TimeoutError:
        raise SendingFailed(f"it had not ended after {COMMAND_TIME:g} s") from None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await _end_of(process.pid)
        process.wait()
    if process.returncode:
        raise SendingFailed(f"it ended with {process.returncode}")


def _started(argv: Sequence[str], body: bytes) -> subprocess.Popen[bytes]:
    """The command, which no watcher of asyncio's reaps."""
    notice = os.memfd_create("cluster-notice")
    try:
        os.pwrite(notice, body, 0)
        null = subprocess.DEVNULL
        return subprocess.Popen(argv, stdin=notice, stdout=null, stderr=null, start_new_session=True)
    except (OSError, subprocess.SubprocessError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SendingFailed(f"{argv[0]} cannot be run: {why}") from None
    finally:
        os.close(notice)


async def _end_of(child: int) -> None:
    """Returns when that child has ended. It is not reaped yet."""
    try:
        fd = os.pidfd_open(child)
    except (AttributeError, OSError):  # before Linux 5.3 there is no pidfd
        await asyncio.to_thread(os.waitid, os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
