"""Logging: one handler on standard error, for people (console) or machines (JSON).

A log line is an event name plus fields, given as `extra={...}`. uvicorn's loggers go the same way.
Not here: metrics, and the rules on which events deserve a line (docs/decisions.md#log-lines).
"""

import json
import logging
import re
import sys
import time
from typing import TextIO
from urllib.parse import unquote

import msgspec

from pusher_server import standard_streams
from pusher_server.config import LogSettings

#: Attributes that every record has; all others came in through `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}

#: An access line shows the query, where a signature stands that is good for ten minutes. The bound keeps a
#: path of nothing but such words from costing more than its length.
_SECRET = re.compile(
    r"((?:signature|secret|password|token)[\w\[\]-]{0,40}|(?<![a-z0-9])auth(?:\[\w{0,9}\]|\])?)(=)[^&;\s\"'<>]+",
    re.IGNORECASE,
)
#: An HMAC-SHA256, wherever it stands.
_DIGEST = re.compile(r"[0-9a-f]{64,}", re.IGNORECASE)
#: Characters that end a URL in a line.
_BETWEEN = re.compile(r"([\s\"'<>]+)")
#: Escapes of escapes are undone so often.
_NESTED_ESCAPES = 5
#: So much of a word is searched; a stranger's URL may be as long as a head. The end of a longer word is left
#: out, because half a signature could stand there. In escapes of escapes one is up to 704 characters long.
_LONGEST_WORD = 4_096
_LEFT_OUT = 1_024

#: Clients choose channel names and the like; a line break in one must not look like a line of ours.
# Lone surrogates, which they can send too, are no UTF-8: the stream would refuse the whole line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send everything through one handler to `stream`, by default standard error.

    The level is ours; libraries speak from WARNING up unless it is debug. uvicorn's access lines
    follow `settings.access` alone. Calling it again replaces the handler.
    """
    handler = _StreamHandler(stream or sys.stderr)
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


class _StreamHandler(logging.StreamHandler[TextIO]):
    """Counts lines that cannot be written, on a full disk or into a closed pipe, and logs their number."""

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + self.terminator
        except Exception:  # a mistake of the caller; logging shows which
            self.handleError(record)
            return
        if standard_streams.write(line, self.stream) is not None:
            self._lost += 1
        elif self._lost:
            lost, self._lost = self._lost, 0
            text = "%d lines of the log could not be written before this one"
            self.emit(logging.makeLogRecord({
                "name": "pusher_server.logs", "msg": text, "args": (lost,),
                "levelno": logging.WARNING, "levelname": "WARNING",
            }))  # fmt: skip


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The fields that the caller gave as `extra`, in their order."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class ConsoleFormatter(logging.Formatter):
    """`12:00:00.123 INFO    websocket: connection closed  app=1 code=4201`, local time."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        where = record.name.removeprefix("pusher_server.")
        fields = "".join(f" {name}={_readable(value)}" for name, value in fields_of(record).items())
        event = _one_line(without_secrets(record.getMessage()))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname:<7} {where}: {event}"
        if fields:
            line += f" {fields}"
        if record.exc_info:
            trace = without_secrets(self.formatException(record.exc_info))
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
            "event": without_secrets(record.getMessage()),
        }
        for name, value in fields_of(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        # str() is the last resort for any field; ASCII escapes keep lone surrogates writable.
        fields = msgspec.to_builtins(line, enc_hook=str, str_keys=True)
        return json.dumps(_masked_field(fields), ensure_ascii=True)


def without_secrets(text: str) -> str:
    """The text with `***` for the values of `auth_signature` and the like, however they are spelled.

    A URL whose escapes hide such a name or value is shown without its escapes.
    """
    if "=" not in text and "%" not in text and len(text) < 64:
        return text
    return "".join(map(_masked, _BETWEEN.split(text)))


def _masked(word: str) -> str:
    if len(word) > _LONGEST_WORD:
        return f"{_masked(word[:_LONGEST_WORD])[:-_LEFT_OUT]}..."
    masked = plain = _mask(word)
    for _ in range(_NESTED_ESCAPES):
        if "%" not in plain or (unescaped := unquote(plain)) == plain:
            break
        plain = unescaped
    shown = _mask(plain)
    return masked if shown == plain else shown


def _mask(word: str) -> str:
    return _DIGEST.sub("***", _SECRET.sub(r"\1\2***", word))


def _masked_field(value: object) -> object:
    """A field's value, masked where it is or holds text: a path may be a URL, a channel's name is none."""
    match value:
        case str():
            return without_secrets(value) if "/" in value or "=" in value else value
        case dict():
            return {name: _masked_field(item) for name, item in value.items()}
        case list():
            return [_masked_field(item) for item in value]
        case _:
            return value


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _readable(value: object) -> str:
    """A field's value on one line, in quotes when it would not read as one word."""
    text = str(_masked_field(str(value)))
    if text and not _CONTROL.search(text) and not re.search(r"[\s\"=]", text):
        return text
    return _one_line(json.dumps(text, ensure_ascii=False))
