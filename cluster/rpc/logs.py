"""Log lines on stderr, as text for people or JSON for machines. The same for every role.

Messages say the consequence of what happened; one about a job names it first, as in "job 5: …".
"""

import json
import logging
import re
import sys
import time

FORMATS = ("text", "json")

_JOB = re.compile(r"job (\d+)\b")


class _Text(logging.Formatter):
    """2026-01-31T12:00:00.000Z WARNING cluster.scheduler.role: message"""

    converter = time.gmtime  # type: ignore[assignment]  # the stub knows one of its two forms
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


class _Json(_Text):
    """One object a line. `job` is the number of the job that the message is about."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        fields: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        if match := _JOB.match(message):
            fields["job"] = int(match[1])
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def set_up(log_format: str = "text", level: str = "info") -> None:
    """Sends every logger's lines to stderr, once for the process. `log_format` is one of FORMATS."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
