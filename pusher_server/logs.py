"""Logging: one handler on standard error, for people (console) or machines (JSON).

A log line is an event name plus fields, given as `extra={...}`. uvicorn's loggers go the same way.
Not here: metrics, and what is worth a line (DESIGN §9).
"""

import json
import logging
import re
import sys
import time
from typing import TextIO

import msgspec

from pusher_server.config import LogSettings

#: What every record has; whatever else it carries came in through `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}

#: An access line shows the query, where a signature stands that is good for ten minutes.
_SIGNATURE = re.compile(r"(auth_signature=)[0-9A-Za-z%]+")

#: Clients choose channel names and the like; a line break in one must not look like a line of ours.
# Lone surrogates, which they can send too, are no UTF-8: the stream would refuse the whole line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send everything through one handler to `stream`, by default standard error.

    The level is ours; libraries speak from WARNING up unless it is debug. uvicorn's access lines
    follow `settings.access` alone. Calling it again replaces the handler.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else ConsoleFormatter())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    libraries = level if level == logging.DEBUG else max(level, logging.WARNING)
    root = logging.getLogger()
    for old in [*root.handlers]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(libraries)
    logging.getLogger("pusher_server").setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    # At DEBUG it writes whole messages, signatures included.
    logging.getLogger("websockets").setLevel(max(level, logging.INFO))
    # The URLs and headers of webhooks, which these two write at INFO and DEBUG, may hold credentials.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").setLevel(
        logging.INFO if settings.access else logging.CRITICAL + 1
    )


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What the caller gave as `extra`, in its order."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class ConsoleFormatter(logging.Formatter):
    """`12:00:00.123 INFO    websocket: connection closed  app=1 code=4201`, local time."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        where = record.name.removeprefix("pusher_server.")
        fields = "".join(f" {name}={_readable(value)}" for name, value in fields_of(record).items())
        event = _one_line(_without_signature(record.getMessage()))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {where}: {event}"
        if fields:
            line += f" {fields}"
        if record.exc_info:
            trace = _without_signature(self.formatException(record.exc_info))
            line += "\n" + trace.encode("utf-8", "backslashreplace").decode()
        return line


class JsonFormatter(logging.Formatter):
    """One object per line: `time` (UTC), `level`, `logger`, `event`, fields, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _without_signature(record.getMessage()),
        }
        for name, value in fields_of(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = _without_signature(self.formatException(record.exc_info))
        # str() is the last resort for any field; ASCII escapes keep lone surrogates writable.
        return json.dumps(msgspec.to_builtins(line, enc_hook=str, str_keys=True), ensure_ascii=True)


def _without_signature(text: str) -> str:
    return _SIGNATURE.sub(r"\1***", text)


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _readable(value: object) -> str:
    """A field's value on one line, in quotes when it would not read as one word."""
    text = str(value)
    if text and not _CONTROL.search(text) and not re.search(r"[\s\"=]", text):
        return text
    return _one_line(json.dumps(text, ensure_ascii=False))
