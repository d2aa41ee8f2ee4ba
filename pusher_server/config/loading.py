"""Reads the settings tree from its sources: built-in defaults, the file, the environment, the command line.

Later sources win, setting by setting. The only I/O is reading the file.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from pusher_server.app import App
from pusher_server.config import apps as app_tables
from pusher_server.config import environment
from pusher_server.config.problems import (
    check_names,
    settings_in,
    to_struct,
    unknown,
)
from pusher_server.config.settings import SECTIONS, AppsFrom, Config
from pusher_server.errors import ConfigError

Tree = dict[str, object]


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Config:
    """Read the configuration.

    `path`: the file, None for the embedded defaults with their one app. `overrides`: the settings
    of the command line, as dotted path -> value; None where it does not set one.
    Raises ConfigError; PublishedCredentials when our published app would be reachable from outside.
    """
    environment.check_utf8(environ)
    tree = _parse(example_text(), "config.example.toml") if path is None else _read(path)
    given = {setting: value for setting, value in overrides.items() if value is not None}
    has_apps = path is not None and bool(tree.get("apps"))
    origins = _apply_environment(tree, environ) | _apply_overrides(tree, given)
    try:
        config = _checked(tree, path, environ, given, origins)
    except ConfigError as error:
        raise type(error)(error.setting, _with_origin(error, origins)) from None
    config = structs.replace(config, notices=(*config.notices, *environment.near_misses(environ)))
    if config.apps_from == "variable" and has_apps:
        notice = f"the apps of {path} are ignored: the apps come from {environment.APPS}"
        config = structs.replace(config, notices=(*config.notices, notice))
    return config


def _checked(
    tree: Tree,
    path: Path | None,
    environ: Mapping[str, str],
    given: Mapping[str, object],
    origins: Mapping[str, str],
) -> Config:
    """Check the merged tree and convert it. `origins` has the source of what is not from the file."""
    _check_names(tree)
    settings = to_struct(
        {name: _table(tree, name) for name in SECTIONS}, Config, "", origins=origins
    )
    in_variable = "apps" in origins
    if settings.database.url:
        source, tables, notices = _leave_apps_to_database(tree, path, environ, in_variable)
    else:
        source, tables, notices = _choose_apps(tree, path, environ, in_variable)
    apps = app_tables.read_apps(
        tables, _table(tree, "defaults"), elsewhere=_every_setting(), origins=origins
    )
    if not apps and source == "variable":
        raise ConfigError("apps", 'no app; write at least one, as {"id", "key", "secret"}')
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
    _refuse_one_address(config)
    if not config.server.is_local:
        app_tables.refuse_published(apps, published_secrets(), where=config.server.host)
    return config


def _refuse_one_address(config: Config) -> None:
    """Raise ConfigError when clients and operations are to listen at the same address."""
    server, operations = config.server, config.operations
    if not operations.enabled or server.unix_socket or not server.port == operations.port != 0:
        return
    hosts = {
        "127.0.0.1" if host == "localhost" else host for host in (server.host, operations.host)
    }
    if len(hosts) == 1 or hosts & {"0.0.0.0", "::"}:
        raise ConfigError(
            "operations.port",
            f"{operations.port} is server.port, too: choose another one, or switch operations.enabled off",
        )


def _with_origin(error: ConfigError, origins: Mapping[str, str]) -> str:
    """The problem with the source of the setting, or of the list or table that has it."""
    for setting, origin in origins.items():
        inside = error.setting.removeprefix(setting)
        if inside != error.setting and inside[:1] in ("", ".", "[") and origin not in error.problem:
            return f"{error.problem} ({origin})"
    return error.problem


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


def _apply_environment(tree: Tree, environ: Mapping[str, str]) -> dict[str, str]:
    """Write `PUSHER_SERVER__...` variables into the tree; returns setting -> where it came from."""
    origins: dict[str, str] = {}
    for name, steps, value in environment.variables(environ, _every_setting()):
        _put(tree, steps, value)
        origins[".".join(steps)] = f"from the variable {name}"
    return origins


def _choose_apps(
    tree: Tree, path: Path | None, environ: Mapping[str, str], in_variable: bool
) -> tuple[AppsFrom, object, list[str]]:
    """Return where the apps come from (see `Config.apps_from`), their tables, and notices.

    `in_variable`: the tree's apps are those of `PUSHER_SERVER__APPS`, whatever the file has. The app of
    `PUSHER_APP_*` stands in for our published one and for none at all, never for the operator's.
    """
    from_file: object = tree.get("apps", [])
    from_environment, notices = app_tables.app_from_environment(environ)
    if in_variable:
        if from_environment is not None:
            notices = [
                f"{app_tables.CREDENTIAL_NAMES} ignored: the apps come from {environment.APPS}"
            ]
        return "variable", from_file, notices
    if path is not None and from_file:
        if from_environment is not None:
            notices = [f"{app_tables.CREDENTIAL_NAMES} ignored: the apps come from {path}"]
        return "file", from_file, notices
    if from_environment is not None:
        app_tables.check_environment(from_environment)
        return "environment", [from_environment], notices
    return ("embedded" if path is None else "file"), from_file, notices


def _leave_apps_to_database(
    tree: Tree, path: Path | None, environ: Mapping[str, str], in_variable: bool
) -> tuple[AppsFrom, object, list[str]]:
    """As `_choose_apps`, with `database.url` set. Raises ConfigError when file or variable has apps, too."""
    if in_variable:
        raise ConfigError(
            environment.APPS,
            "the apps come from the database (database.url); remove this variable, and move the apps with"
            " `pusher-server apps add`",
        )
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
