"""Another server's variables as ours: what `serve --env-style` reads, and the notice without it."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Final

from pusher_server.errors import ConfigError
from pusher_server.migration import reverb, soketi
from pusher_server.migration.draft import Draft

#: The servers whose variables are understood.
STYLES: Final = (soketi.NAME, reverb.NAME)
_OURS = ("PUSHER_SERVER__", "PUSHER_APP_")
#: The image sets it, whatever the operator does (Containerfile).
_OF_THE_IMAGE = "PUSHER_SERVER__SERVER__HOST"
_APPS = "PUSHER_SERVER__APPS"
_OUR_APP = ("PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_APP_SECRET")
_DATABASE = "PUSHER_SERVER__DATABASE__URL"
#: Beginning -> server.
_FOREIGN = {
    "SOKETI_": soketi.NAME,
    "REVERB_": reverb.NAME,
    "SOCKUDO_": "sockudo",
    "LARAVEL_WEBSOCKETS_": "laravel-websockets",
}


def translate(style: str, environ: Mapping[str, str]) -> tuple[dict[str, str], Draft]:
    """The variables of ours that say the same, but for those that are set already; and the findings.

    Raises ConfigError for a value that cannot be used, and for credentials that are missing or published.
    """
    name = f"--env-style {style}"
    ours_have_apps = bool(environ.get(_APPS)) or all(environ.get(one) for one in _OUR_APP)
    is_elsewhere = ours_have_apps or bool(environ.get(_DATABASE))
    if style == reverb.NAME:
        for variable in reverb.CREDENTIALS:
            if not environ.get(variable) and not is_elsewhere:
                raise ConfigError(variable, f"is not set, and {name} needs it")
        # An app that ours stand in for needs no credentials, but the reader wants some.
        credentials = dict.fromkeys(reverb.CREDENTIALS, "unused")
        draft = reverb.read(reverb.published({**credentials, **environ}), name)
    else:
        draft = soketi.read({}, environ, name)
        is_published = any(app.get("secret") == soketi.PUBLISHED_SECRET for app in draft.apps)
        if is_published and not is_elsewhere:
            raise ConfigError(
                "SOKETI_DEFAULT_APP_SECRET",
                "is not set, and soketi's default is known to everybody: set _ID, _KEY and _SECRET",
            )
    _refuse_plain_text(style, environ, draft)
    if ours_have_apps:
        draft.table.pop("database", None)
    variables = dict(_variables(draft.table, "PUSHER_SERVER"))
    if draft.apps and not is_elsewhere:
        variables[_APPS] = json.dumps(draft.apps)
    return {name: value for name, value in variables.items() if name not in environ}, draft


def as_started(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The variables with which a server here may have been started: with an --env-style, then as they are.

    A command beside the server does not see its options, so each style whose variables can be used counts.
    """
    for style in STYLES:
        if any(_FOREIGN.get(f"{name.partition('_')[0]}_") == style for name in environ):
            with contextlib.suppress(ConfigError):
                variables, _ = translate(style, environ)
                yield {**environ, **variables}
    yield dict(environ)


def _refuse_plain_text(style: str, environ: Mapping[str, str], draft: Draft) -> None:
    """Raise ConfigError when a certificate is named that is not here: the server would serve without TLS."""
    server = draft.table.get("server", {})
    certificate = environ.get("SOKETI_SSL_CERT") or environ.get("SOKETI_SSL_KEY")
    if style == soketi.NAME and certificate and isinstance(server, Mapping) and "tls" not in server:
        raise ConfigError(
            "SOKETI_SSL_CERT", "names a file that is not here: mount certificate and key"
        )


def foreign_notice(environ: Mapping[str, str]) -> str | None:
    """One line when another server's variables are set and none of ours; None otherwise."""
    if any(name.startswith(_OURS) and name != _OF_THE_IMAGE for name in environ):
        return None
    for beginning, server in _FOREIGN.items():
        names = sorted(name for name in environ if name.startswith(beginning))
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            style = f"start with --env-style {server}, or " if server in STYLES else ""
            return (
                f"{names[0]}{more}: variables of {server} have no effect here, and none of ours is set;"
                f" {style}run `pusher-server import {server}`"
            )
    return None


def _variables(table: Mapping[str, object], path: str) -> Iterator[tuple[str, str]]:
    """Name and text of each setting below a table."""
    for name, value in table.items():
        full = f"{path}__{name.upper()}"
        if isinstance(value, Mapping):
            yield from _variables(value, full)
        elif isinstance(value, bool):
            yield full, str(value).lower()
        elif isinstance(value, list):
            yield full, ",".join(map(str, value))
        else:
            yield full, str(value)
