"""Reads what an application knows of hosted Pusher Channels: its `.env`. The rest is asked for.

Facts of pusher.com/docs/channels ("Client events", "Authorized connections", "Webhooks"), and Laravel's
`config/broadcasting.php` for the names of the variables.
"""

from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import Answers, Draft, Settings, no_answers
from pusher_server.migration.findings import Question
from pusher_server.migration.laravel import write_origins
from pusher_server.migration.numbers import names, whole
from pusher_server.migration.webhooks import problem_of

NAME = "pusher"

_CREDENTIALS = {"id": "PUSHER_APP_ID", "key": "PUSHER_APP_KEY", "secret": "PUSHER_APP_SECRET"}
_YES = {"yes": True, "y": True, "true": True, "on": True, "1": True}
_NO = {"no": False, "n": False, "false": False, "off": False, "0": False, "": False}
#: Hosts of hosted Pusher.
_HOSTED = (".pusher.com", ".pusherapp.com")

#: Answer's name -> its question. All are switches of the app's settings at pusher.com.
_SWITCHES = {
    "client_events": "Are client events enabled in the app's settings (yes or no)",
    "authorized_connections": "Are only authorized connections allowed (yes or no)",
    "subscription_counting": "Is subscription counting enabled (yes or no)",
    "watchlist": "Are watchlist events (online status) used (yes or no)",
}
#: Seconds for an authorized connection. Pusher does not say how long it waits; this is soketi's time.
_AUTHORIZATION = 30


def is_environment(variables: Mapping[str, str]) -> bool:
    """Whether a `.env` is for hosted Pusher: credentials, and no host of one's own."""
    host = variables.get("PUSHER_HOST", "")
    has_all = all(variables.get(name) for name in _CREDENTIALS.values())
    return has_all and (not host or host.endswith(_HOSTED))


def read(variables: Mapping[str, str], name: str, answers: Answers = no_answers) -> Draft:
    """The configuration of ours for an app at pusher.com. Raises ConfigError."""
    host = variables.get("PUSHER_HOST", "")
    if host and not host.endswith(_HOSTED):
        raise ConfigError(
            name,
            f"PUSHER_HOST is {host[:60]}, so this is not hosted Pusher: import laravel-websockets or soketi",
        )
    draft = Draft(NAME, answers)
    ours = draft.app("")
    for setting, variable in _CREDENTIALS.items():
        value = variables.get(variable)
        if not value:
            raise ConfigError(name, f"has no {variable}; is it the .env of the application?")
        ours.take(variable, setting, value)
    draft.take("(address)", "server.host", "0.0.0.0", "port 6001")
    _write_switches(ours)
    _write_numbers(ours)
    _write_webhooks(ours)
    _write_origins(ours)
    if variables.get("PUSHER_APP_CLUSTER"):
        ours.differ("PUSHER_APP_CLUSTER", "stays: pusher-js wants one, and this server takes any")
    ours.differ(
        "PUSHER_HOST, _PORT, _SCHEME", "name this server from now on; at Pusher they are empty"
    )
    return draft


def _answer(ours: Settings, name: str, text: str) -> str | None:
    answer = ours.draft.answers(Question(name, text))
    if answer is None:
        ours.refuse(name, f"was not answered ({text}): give --answer {name}=VALUE")
    return None if answer is None else answer.strip()


def _write_switches(ours: Settings) -> None:
    values: dict[str, bool] = {}
    for name, text in _SWITCHES.items():
        answer = _answer(ours, name, text)
        if answer is None:
            continue
        switch = {**_YES, **_NO}.get(answer.lower())
        if switch is None:
            raise ConfigError(f"--answer {name}", f"{answer[:40]!r} is neither yes nor no")
        values[name] = switch
    if "client_events" in values:
        setting = "members" if values["client_events"] else "off"
        ours.take("client_events", "client_events", setting)
    else:
        ours.take(
            "client_events", "client_events", "off", "off until you say otherwise, as at Pusher"
        )
    if values.get("authorized_connections"):
        why = "Pusher closes after a time that it does not name"
        ours.change("authorized_connections", "authorization_timeout", _AUTHORIZATION, why)
    if values.get("subscription_counting"):
        ours.take("subscription_counting", "subscription_count", True)
    if values.get("watchlist"):
        ours.take("watchlist", "watchlist", True)


def _write_numbers(ours: Settings) -> None:
    answer = _answer(
        ours,
        "connections",
        "Connections of your plan at the same time (a number, or 0 for no limit)",
    )
    if answer is not None:
        number = whole(answer or "0")
        if number is None or number < 0:
            raise ConfigError(
                "--answer connections", f"{answer[:40]!r} is no number; 0 is no limit"
            )
        ours.take("connections", "limits.connections", number)
    ours.differ(
        "(limits)",
        "events of 100 KiB and presence channels without an end; strict = true has Pusher's own limits",
    )


def _write_webhooks(ours: Settings) -> None:
    answer = _answer(ours, "webhooks", "URLs of the app's webhooks, with commas between them")
    kept: list[dict[str, object]] = []
    for url in names(answer) or []:
        table: dict[str, object] = {"url": url}
        problem = problem_of(table)
        if problem is not None:
            raise ConfigError("--answer webhooks", problem)
        kept.append(table)
    if kept:
        ours.take("webhooks", "webhooks", kept, "all events; event_types selects")


def _write_origins(ours: Settings) -> None:
    answer = _answer(
        ours, "allowed_origins", "Hosts of your sites, with commas between them; * for every one"
    )
    if answer is None:
        ours.warn(
            "allowed_origins",
            "no origin check: list your sites, so that no other page can use your key",
        )
        return
    write_origins(
        ours, "allowed_origins", answer, "Pusher", empty_means_all=True, has_patterns=True
    )
