"""What the daemons log: lines on stderr for people or, one JSON object each, for collectors."""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cluster.cli.json_text import json_text
from cluster.domain.base.printable import printable

F = TypeVar("F", bound=Callable[..., Any])

_JOB = re.compile(r"job (\d+)")  # how every message about a job names it


def log_options(command: F) -> F:
    """--log-format and --log-level."""
    formats, levels = click.Choice(["text", "json"]), click.Choice(["debug", "info", "warning", "error"])
    command = click.option("--log-level", type=levels, default="info", show_default=True, help="Log this and worse.")(
        command
    )
    return click.option("--log-format", type=formats, default="text", show_default=True, help="Of the log on stderr.")(
        command
    )


def start_logging(log_format: str, log_level: str) -> None:
    """From now on everything logged goes to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=log_level.upper(), handlers=[handler])


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z info scheduler.sessions: worker … is connected`."""

    def format(self, record: logging.LogRecord) -> str:
        where = record.name.removeprefix("cluster.")
        line = f"{_time(record)} {record.levelname.lower()} {where}: {printable(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object a line; `job` is there when the message is about one."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        if about := _JOB.search(message):
            fields["job"] = int(about[1])
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json_text(fields, seen=sys.stderr.isatty())


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"
