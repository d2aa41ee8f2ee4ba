"""Reads the settings tree from its sources: built-in defaults, the file, the environment, the command line.

Later sources win, setting by setting. The only I/O is reading the file.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import get_origin

from msgspec import structs

from pusher_server.app import App
from pusher_server.config import apps as app_tables
from pusher_server.config.problems import (
    check_names,
    item_of,
    kind_at,
    settings_in,
    subtable_of,
    to_struct,
    unknown,
)
from pusher_server.config.settings import SECTIONS, AppsFrom, Config
from pusher_server.errors import ConfigError

#: `PUSHER_SERVER__SERVER__PORT` is `server.port`: two underscores wherever the path has a dot.
ENVIRONMENT_PREFIX = "PUSHER_SERVER__"

Tree = dict[str, object]


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Config:
    """Read the configuration.

    `path`: the file, None for the embedded defaults with their one app. `overrides`: the settings
    of the command line, as dotted path -> value; None where it does not set one.
    Raises ConfigError; PublishedCredentials when our published app would be reachable from outside.
    """
    _check_utf8(environ)
    tree = _parse(example_text(), "config.example.toml") if path is None else _read(path)
    given = {setting: value for setting, value in overrides.items() if value is not None}
    origins = _apply_environment(tree, environ) | _apply_overrides(tree, given)
    _check_names(tree)
    settings = to_struct(
        {name: _table(tree, name) for name in SECTIONS}, Config, "", origins=origins
    )
    if settings.database.url:
        source, tables, notices = _leave_apps_to_database(tree, path, environ)
    else:
        source, tables, notices = _choose_apps(tree, path, environ)
    apps = app_tables.read_apps(
        tables, _table(tree, "defaults"), elsewhere=_every_setting(), origins=origins
    )
    if not apps and source != "database":
        raise ConfigError(
            "apps", f"{path} has no app; add an [[apps]] table with id, key and secret"
        )
    config = structs.replace(
        settings,
        apps=apps,
        apps_from=source,
        defaults=_table(tree, "defaults"),
        overrides=given,
        notices=tuple(notices),
    )
    if not config.server.is_local:
        app_tables.refuse_published(apps, published_secrets(), where=config.server.host)
    return config


def example_text() -> str:
    """`config.example.toml`: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "config.example.toml"
    return (packaged if packaged.exists() else package.parent / packaged.name).read_text("utf-8")


def _read(path: Path) -> Tree:
    try:
        # Notepad writes a byte order mark, which TOML does not allow.
        return _parse(path.read_text("utf-8-sig"), str(path))
    except FileNotFoundError:
        raise ConfigError(
            str(path), "no such file; `pusher-server default-config` prints one to start from"
        ) from None
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            str(path), f"not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None


def _parse(text: str, name: str) -> Tree:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(name, f"not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(name, "not valid TOML: brackets are nested too deeply") from None


def _check_utf8(environ: Mapping[str, str]) -> None:
    """Refuse variables that are not UTF-8: Python keeps lone surrogates, which cannot be sent or stored."""
    for variable, value in environ.items():
        if variable.startswith((ENVIRONMENT_PREFIX, *app_tables.CREDENTIALS.values())):
            try:
                (variable + value).encode()
            except UnicodeEncodeError:
                raise ConfigError(
                    repr(variable)[1:-1], "not UTF-8 text; write it as UTF-8"
                ) from None


def _every_setting() -> list[str]:
    """Dotted paths of all settings, for suggestions."""
    own = [setting for name, struct in SECTIONS.items() for setting in settings_in(struct, name)]
    return own + [
        setting
        for setting in settings_in(App, "defaults")
        if setting.split(".")[1] not in app_tables.OWN_SETTINGS
    ]


def _check_names(tree: Tree) -> None:
    """Refuse tables and names that do not exist."""
    known = [*SECTIONS, "defaults", "apps"]
    for name in tree:
        if name not in known:
            raise ConfigError(name, unknown(name, "", known, _every_setting()))
    for name, struct in SECTIONS.items():
        check_names(_table(tree, name), struct, name, elsewhere=_every_setting())


def _table(tree: Tree, name: str) -> Tree:
    """A table of the file, empty when left out."""
    table = tree.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(name, f"expected a table; write [{name}] above its settings")
    return table


def _choose_apps(
    tree: Tree, path: Path | None, environ: Mapping[str, str]
) -> tuple[AppsFrom, object, list[str]]:
    """Return where the apps come from (see `Config.apps_from`), their tables, and notices.

    The environment's app stands in for our published one and for none at all, never for the
    operator's.
    """
    from_file: object = tree.get("apps", [])
    from_environment, notices = app_tables.app_from_environment(environ)
    if path is not None and from_file:
        if from_environment is not None:
            notices = [f"{app_tables.CREDENTIAL_NAMES} ignored: the apps come from {path}"]
        return "file", from_file, notices
    if from_environment is not None:
        app_tables.check_environment(from_environment)
        return "environment", [from_environment], notices
    return ("embedded" if path is None else "file"), from_file, notices


def _leave_apps_to_database(
    tree: Tree, path: Path | None, environ: Mapping[str, str]
) -> tuple[AppsFrom, object, list[str]]:
    """As `_choose_apps`, with `database.url` set. Raises ConfigError when the file has apps, too."""
    if path is not None and tree.get("apps"):
        raise ConfigError(
            "apps",
            "the apps come from the database (database.url), so the file can have none; move them with"
            " `pusher-server apps add` and remove the [[apps]] tables",
        )
    from_environment, notices = app_tables.app_from_environment(environ)
    if from_environment is not None:
        notices = [f"{app_tables.CREDENTIAL_NAMES} ignored: the apps come from the database"]
    return "database", [], notices


def published_secrets() -> list[str]:
    """The secrets in the example, which everybody can read."""
    tables = tomllib.loads(example_text())["apps"]
    return [table["secret"] for table in tables]


def _apply_environment(tree: Tree, environ: Mapping[str, str]) -> dict[str, str]:
    """Write `PUSHER_SERVER__...` variables into the tree; returns setting -> where it came from."""
    origins: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        steps = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        setting = ".".join(steps)
        kind = _kind_of(steps)
        if kind is None or subtable_of(kind) is not None:
            raise ConfigError(variable, _why_unknown(steps))
        if subtable_of(item_of(kind)) is not None:
            raise ConfigError(
                variable, "a list of tables has no room in a variable; use a config file"
            )
        value = environ[variable]
        _put(tree, steps, _split(value) if get_origin(kind) is tuple else value)
        origins[setting] = f"from the variable {variable}"
    return origins


def _split(value: str) -> list[str]:
    """A list as a variable writes it: separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()]


def _apply_overrides(tree: Tree, overrides: Mapping[str, object]) -> dict[str, str]:
    """Write the settings of the command line into the tree; returns setting -> where it came from."""
    for setting, value in overrides.items():
        _put(tree, setting.split("."), value)
    return dict.fromkeys(overrides, "from the command line")


def _put(tree: Tree, steps: list[str], value: object) -> None:
    table = tree
    for step in steps[:-1]:
        below = table.setdefault(step, {})
        if not isinstance(below, dict):
            return  # the file has no table there: `_check_names` refuses it
        table = below
    table[steps[-1]] = value


def _kind_of(steps: list[str]) -> object | None:
    """The type of the setting that a variable names, None when it names none."""
    top, *below = steps
    if top == "defaults":
        return kind_at(App, below) if below and below[0] not in app_tables.OWN_SETTINGS else None
    return kind_at(SECTIONS[top], below) if top in SECTIONS and below else None


def _why_unknown(steps: list[str]) -> str:
    """The message about a variable that names no setting, in terms of variables."""
    if steps[0] == "apps":
        return f"apps cannot be set this way; use {app_tables.CREDENTIAL_NAMES}, or a config file"
    own_table = [setting for setting in _every_setting() if setting.startswith(f"{steps[0]}.")]
    near = get_close_matches(".".join(steps), own_table or _every_setting(), n=1)
    if not near:
        return "sets nothing that exists; `pusher-server default-config` shows all settings"
    variable = ENVIRONMENT_PREFIX + near[0].replace(".", "__").upper()
    return f"sets nothing that exists; did you mean {variable}?"
