"""The `[[apps]]` tables as values: defaults merged, doubles and published secrets refused.

An app is merged in this order: built-in defaults, Pusher's limits and settings if it is strict, `[defaults]`,
its own table.
"""

from collections.abc import Collection, Iterable, Mapping

from pusher_server.app import STRICT_LIMITS, STRICT_SETTINGS, App, Webhook, stray_character
from pusher_server.config.problems import Table, check_names, to_struct
from pusher_server.errors import ConfigError

#: Settings that `[defaults]` cannot have, because each app has its own.
OWN_SETTINGS = ("id", "keys", "name")

#: Settings of an app with one key, instead of `keys`.
SINGLE_KEY = ("key", "secret")

#: Environment variables that carry one app's credentials, as Laravel's `.env` names them.
CREDENTIALS = {"id": "PUSHER_APP_ID", "key": "PUSHER_APP_KEY", "secret": "PUSHER_APP_SECRET"}
CREDENTIAL_NAMES = "PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET"


class PublishedCredentials(ConfigError):
    """The example's credentials, which everybody can read, would be reachable from outside."""


def read_apps(
    tables: object, defaults: Table, *, elsewhere: Collection[str], origins: Mapping[str, str]
) -> tuple[App, ...]:
    """Every app of the configuration. `defaults` is the `[defaults]` table, checked here too.

    Raises ConfigError, whose setting is `apps[i]...` with i counted from 0 as in the file.
    """
    _check_defaults(defaults, elsewhere, origins)
    if not isinstance(tables, list):
        raise ConfigError("apps", "expected a list of tables; write [[apps]] above each app")
    apps = [
        read_app(table, f"apps[{index}]", defaults, elsewhere) for index, table in enumerate(tables)
    ]
    _refuse_doubles(apps)
    return tuple(apps)


def app_from_environment(environ: Mapping[str, str]) -> tuple[Table | None, list[str]]:
    """The app that `PUSHER_APP_ID`, `_KEY` and `_SECRET` describe together, and notices."""
    given = {field: environ[name] for field, name in CREDENTIALS.items() if environ.get(name)}
    if len(given) == len(CREDENTIALS):
        return given, []
    if not given:
        return None, []
    present = " and ".join(CREDENTIALS[field] for field in given)
    missing = " and ".join(name for field, name in CREDENTIALS.items() if field not in given)
    return None, [f"{present} ignored: the app from the environment also needs {missing}"]


def check_environment(app: Table) -> None:
    """Raise ConfigError, which names the variable, when quotes or blanks came along with a value.

    `app` is that of `app_from_environment`. Docker's --env-file, for one, keeps quotes as part of a value.
    """
    for field, name in CREDENTIALS.items():
        problem = stray_character(str(app[field]))
        if problem:
            raise ConfigError(name, problem)


def refuse_published(apps: Iterable[App], published: Iterable[str], *, where: str) -> None:
    """Raise PublishedCredentials when an app could be used by anybody who has read our example.

    `published` are the example's secrets, `where` is the host to listen on. The secret counts,
    not the file: a copied example is as open as the embedded one.
    """
    known = set(published)
    for index, app in enumerate(apps):
        if any(pair.secret in known for pair in app.keys):
            raise PublishedCredentials(
                f"apps[{index}].secret",
                f"app {app.id!r} has the published example credentials, which work on loopback"
                f" only, but server.host is {where}; give it a secret of its own (in a config file"
                f" or with {CREDENTIAL_NAMES}), or listen on 127.0.0.1",
            )


def _check_defaults(
    defaults: Table, elsewhere: Collection[str], origins: Mapping[str, str]
) -> None:
    """Check names and values of `[defaults]` by themselves, before apps inherit them."""
    check_names(defaults, App, "defaults", elsewhere=elsewhere)
    for name in OWN_SETTINGS:
        if name in defaults:
            raise ConfigError(f"defaults.{name}", "every app has its own; write it into [[apps]]")
    probe = {**defaults, "id": "defaults", "keys": [{"key": "k", "secret": "s"}]}
    to_struct(probe, App, "defaults", origins=origins)


def read_app(table: object, path: str, defaults: Table, elsewhere: Collection[str] = ()) -> App:
    """One app's settings, as in an `[[apps]]` table, over the defaults.

    Raises ConfigError, whose setting begins with `path`.
    """
    check_names(table, App, path, elsewhere=elsewhere, extra=SINGLE_KEY)
    assert isinstance(table, Mapping)  # or check_names had raised
    merged = {**defaults, **table, "keys": _keys(table, path)}
    for name in SINGLE_KEY:
        merged.pop(name, None)
    if "id" not in merged:
        raise ConfigError(f"{path}.id", "missing; every app needs one, in quotes")
    limits = {**_limits(defaults), **_limits(table)}
    try:
        app = to_struct({**merged, "limits": limits}, App, path, origins={})
    except ConfigError as error:
        if "keys" in table:
            raise
        # The operator wrote `key` and `secret`, and knows no list of keys.
        setting = error.setting.replace(f"{path}.keys[0]", path, 1)
        raise ConfigError(setting, error.problem) from None
    if not app.strict:
        return app
    strict = {**STRICT_SETTINGS, **merged, "limits": {**STRICT_LIMITS, **limits}}
    return to_struct(strict, App, path, origins={})


def check_webhook(table: Table, path: str) -> None:
    """Raise ConfigError, whose setting begins with `path`, unless this is one `[[apps.webhooks]]` table."""
    check_names(table, Webhook, path, elsewhere=())
    to_struct(table, Webhook, path, origins={})


def _limits(table: Table) -> Table:
    """A table's `limits`; `check_names` has checked that they are a table."""
    limits = table.get("limits", {})
    return limits if isinstance(limits, Mapping) else {}


def _keys(table: Table, path: str) -> object:
    """The list of key pairs, from either way to write it."""
    single = [name for name in SINGLE_KEY if name in table]
    if "keys" in table:
        if single:
            raise ConfigError(f"{path}.{single[0]}", "write either `key` and `secret`, or `keys`")
        return table["keys"]
    for name in SINGLE_KEY:
        if name not in table:
            raise ConfigError(f"{path}.{name}", "missing; every app needs a `key` and a `secret`")
    return [{name: table[name] for name in SINGLE_KEY}]


def _refuse_doubles(apps: Iterable[App]) -> None:
    """Raise ConfigError when two apps share an id or a key: requests could belong to both."""
    ids: dict[str, str] = {}
    keys: dict[str, str] = {}
    for index, app in enumerate(apps):
        path = f"apps[{index}]"
        if app.id in ids:
            raise ConfigError(
                f"{path}.id", f"{app.id!r} is already the id of {ids[app.id]}; choose another"
            )
        ids[app.id] = path
        for pair in app.keys:
            if pair.key in keys:
                raise ConfigError(
                    f"{path}.key",
                    f"{pair.key!r} is already a key of {keys[pair.key]}; choose another",
                )
            keys[pair.key] = path
