"""Reads settings from variables: `PUSHER_SERVER__SERVER__PORT` is `server.port`. Pure.

A variable has two underscores wherever the path has a dot. Lists are written with commas. A list of tables is
JSON, and so is a table with free names.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple, get_origin

from pusher_server.app import App
from pusher_server.config import apps as app_tables
from pusher_server.config.json_text import parse_json
from pusher_server.config.problems import item_of, kind_at, subtable_of
from pusher_server.config.settings import SECTIONS
from pusher_server.errors import ConfigError

PREFIX = "PUSHER_SERVER__"
_PREFIX_WITH_ONE = PREFIX[:-1]
#: In the names of Kubernetes' variables (kubernetes.io, "Service", "Environment variables").
_OF_A_SERVICE = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d+_")
#: Has all apps, with their keys and webhooks.
APPS = f"{PREFIX}APPS"

#: Quotes that a shell would have removed, and `--env-file` of Docker does not.
_QUOTES = ("'", '"')


class Variable(NamedTuple):
    """A variable's name, the path of its setting, and its value."""

    name: str
    steps: list[str]
    value: object


def variables(environ: Mapping[str, str], every_setting: Collection[str]) -> Iterator[Variable]:
    """The settings that variables have, in the order of their names; `every_setting` is for suggestions.

    An empty `PUSHER_SERVER__APPS` is as good as none. Raises ConfigError, whose setting is the variable.
    """
    for name in sorted(environ):
        if not name.startswith(PREFIX) or (name == APPS and not environ[name].strip()):
            continue
        steps = name.removeprefix(PREFIX).lower().split("__")
        kind = _kind_of(steps)
        if kind is None or subtable_of(kind) is not None:
            raise ConfigError(name, _why_unknown(steps, every_setting))
        yield Variable(name, steps, _value(name, environ[name], kind))


def near_misses(environ: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable that lacks the second underscore, and so sets nothing.

    Kubernetes makes variables like PUSHER_SERVER_PORT for each Service: only our sections count, and no such.
    """
    for name in sorted(environ):
        rest = name.removeprefix(_PREFIX_WITH_ONE)
        if rest == name or rest.startswith("_"):
            continue
        if _OF_A_SERVICE.search(rest) or "://" in environ[name][:10]:
            continue
        section = rest.partition("_")[0].lower()
        if rest == "APPS" or (section in SECTIONS and len(rest) > len(section)):
            meant = f"{PREFIX}{rest}" if rest == "APPS" else f"{PREFIX}{section.upper()}__…"
            yield f"{name} sets nothing: write {meant}, with two underscores at each step"


def check_utf8(environ: Mapping[str, str]) -> None:
    """Refuse variables that are not UTF-8: Python keeps lone surrogates, which cannot be sent or stored."""
    for variable, value in environ.items():
        if variable.startswith((PREFIX, *app_tables.CREDENTIALS.values())):
            try:
                (variable + value).encode()
            except UnicodeEncodeError:
                raise ConfigError(
                    repr(variable)[1:-1], "not UTF-8 text; write it as UTF-8"
                ) from None


def _value(name: str, text: str, kind: object) -> object:
    if get_origin(kind) is dict:
        return _json(name, text or "{}", dict, "object")
    if get_origin(kind) is not tuple:
        return text
    if subtable_of(item_of(kind)) is not None:
        return _json(name, text or "[]", list, "list of objects")
    return [part.strip() for part in text.split(",") if part.strip()]


def _json(name: str, text: str, kind: type, words: str) -> object:
    """Parse JSON of the form that the setting has. Raises ConfigError without any of the text."""
    try:
        value = parse_json(text)
    except ValueError as error:
        hint = "; remove the quotes around it" if text.strip().startswith(_QUOTES) else ""
        raise ConfigError(name, f"the value {error}{hint}") from None
    if not isinstance(value, kind):
        hint = "; remove the quotes around it" if isinstance(value, str) else ""
        raise ConfigError(name, f"expected a JSON {words}{hint}")
    return value


def _kind_of(steps: list[str]) -> object | None:
    """The type of the setting that a variable names, None when it names none."""
    top, *below = steps
    if steps == ["apps"]:
        return tuple[App, ...]
    if top == "defaults":
        return kind_at(App, below) if below and below[0] not in app_tables.OWN_SETTINGS else None
    return kind_at(SECTIONS[top], below) if top in SECTIONS and below else None


def _why_unknown(steps: list[str], every_setting: Collection[str]) -> str:
    """The message about a variable that names no setting, in terms of variables."""
    if steps[0] == "apps":
        return f"sets nothing; write all apps as one JSON list into {APPS}"
    own_table = [setting for setting in every_setting if setting.startswith(f"{steps[0]}.")]
    near = get_close_matches(".".join(steps), own_table or every_setting, n=1)
    if not near:
        return "sets nothing that exists; `pusher-server default-config` shows all settings"
    variable = PREFIX + near[0].replace(".", "__").upper()
    return f"sets nothing that exists; did you mean {variable}?"
