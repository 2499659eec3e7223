"""A browser without a window, driven by the DevTools protocol over two pipes."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import pytest

PROGRAM = shutil.which("chromium") or ""
needs_browser = pytest.mark.skipif(not PROGRAM, reason="the page needs a browser (apt-get install chromium)")
# It runs as root in a test's machine, and has no cluster's authority: that is tested by other means.
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--remote-debugging-pipe")


class Page:
    """One page. What the browser complained about on it is in `complaints`."""

    def __init__(self, reader: BinaryIO, writer: int) -> None:
        self._file = reader
        self._writer = writer
        self._number = 0
        self._session = ""
        self.complaints: list[Any] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self._ask(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Returns once it is loaded."""
        self._ask("Page.navigate", url=url)
        while self._hear().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """What the expression comes to; a promise once it is kept."""
        answer = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while (heard := self._hear()).get("id") != self._number:
            pass
        assert "error" not in heard, heard
        return heard["result"]

    def _hear(self) -> Any:
        text = bytearray()
        while (byte := self._file.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        heard = json.loads(text)
        if heard.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.complaints.append(heard["params"])
        return heard


# The browser reads from descriptor 3 and writes to 4.
_START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)


@contextmanager
def browser() -> Iterator[Page]:
    """A browser of its own, which knows nothing and keeps nothing."""
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        for_it, ours = os.pipe()
        from_it, its = os.pipe()
        assert min(for_it, its) > 4
        line = [sys.executable, "-c", _START, str(for_it), str(its), PROGRAM, *OPTIONS, f"--user-data-dir={place}"]
        process = subprocess.Popen(line, stderr=subprocess.DEVNULL, pass_fds=(for_it, its))
        stack.callback(process.wait)
        stack.callback(process.kill)
        os.close(for_it)
        os.close(its)
        stack.callback(os.close, ours)
        yield Page(stack.enter_context(os.fdopen(from_it, "rb")), ours)
