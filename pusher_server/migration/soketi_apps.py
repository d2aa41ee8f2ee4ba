"""soketi's apps and limits as ours. The meaning of -1, 0 and null is soketi's, setting by setting.

Facts of soketi/soketi, version 1.6.1: `src/app.ts` (names and defaults), `src/ws-handler.ts`,
`src/http-handler.ts`, `src/channels/presence-channel-manager.ts` and `src/rate-limiters/local-rate-limiter.ts`
(comparisons). `docs/migration/soketi.md` has them in a table.
"""

import math
from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import Draft, Settings
from pusher_server.migration.files import parse_json
from pusher_server.migration.numbers import javascript_float, javascript_int, truthy
from pusher_server.migration.options import MISSING, Options
from pusher_server.migration.soketi_options import SoketiOptions
from pusher_server.migration.webhooks import problem_of

_KILOBYTE = 1_024

#: Option -> limit, factor.
_SERVER_LIMITS = {
    "channelLimits.maxNameLength": ("channel_name_length", 1),
    "eventLimits.maxChannelsAtOnce": ("event_channels", 1),
    "eventLimits.maxNameLength": ("event_name_length", 1),
    "eventLimits.maxPayloadInKb": ("event_data_bytes", _KILOBYTE),
    "eventLimits.maxBatchSize": ("batch_events", 1),
    "presence.maxMembersPerChannel": ("presence_members", 1),
    "presence.maxMemberSizeInKb": ("presence_member_bytes", _KILOBYTE),
}
#: The same for one app: its name, and the end of its column's name.
_APP_LIMITS = {
    "maxChannelNameLength": ("channel_name_length", 1),
    "maxEventChannelsAtOnce": ("event_channels", 1),
    "maxEventNameLength": ("event_name_length", 1),
    "maxEventPayloadInKb": ("event_data_bytes", _KILOBYTE),
    "maxEventBatchSize": ("batch_events", 1),
    "maxPresenceMembersPerChannel": ("presence_members", 1),
    "maxPresenceMemberSizeInKb": ("presence_member_bytes", _KILOBYTE),
}
_COLUMNS = {
    "maxBackendEventsPerSecond": "max_backend_events_per_sec",
    "maxClientEventsPerSecond": "max_client_events_per_sec",
    "maxReadRequestsPerSecond": "max_read_req_per_sec",
}
_RATES = {
    "maxBackendEventsPerSecond": "backend_events_per_second",
    "maxClientEventsPerSecond": "client_events_per_second",
    "maxReadRequestsPerSecond": "reads_per_second",
}


def write_defaults(draft: Draft, options: SoketiOptions) -> None:
    """Write `[defaults]`: what soketi's options say for every app."""
    for path, (limit, factor) in _SERVER_LIMITS.items():
        source = options.source(path) or f"{path} (default)"
        _write_size(draft, source, f"defaults.limits.{limit}", options.get(path), factor)
    path = "channelLimits.cacheTtl"
    source = options.source(path) or f"{path} (default)"
    seconds = javascript_int(options.get(path))
    if seconds is None or seconds <= 0:
        draft.change(
            source,
            "defaults.cache_ttl",
            86_400,
            "soketi keeps the last event for ever; here for a day",
        )
    else:
        draft.take(source, "defaults.cache_ttl", seconds)


def write_apps(draft: Draft, options: SoketiOptions) -> None:
    """Write `[[apps]]`. Raises ConfigError when the list is none."""
    for index, app in enumerate(options.tables("appManager.array.apps")):
        source = f"apps[{index}]."
        named = {
            option.rpartition(".")[2]: variable
            for option, variable in options.given.items()
            if option.startswith(f"appManager.array.apps.{index}.") and variable != option
        }
        _write_app(draft, draft.app(source), app, named, options)


def _names(name: str) -> tuple[str, str, str]:
    """soketi's three spellings of a setting; the last one that is there wins."""
    snake = _COLUMNS.get(name) or "".join(
        f"_{letter.lower()}" if letter.isupper() else letter for letter in name
    )
    return snake, name[0].upper() + name[1:], name


def _value(app: Options, name: str) -> object:
    """The setting's value; null and "" are as if it were not there."""
    spellings = [*_names(name)]
    if name in ("id", "key", "secret"):
        spellings = [f"App{name.capitalize()}", name]
    for spelling in spellings:
        value = app.get(spelling)
        if value not in (MISSING, None, ""):
            # Later spellings in soketi's list win; the list here is the reverse.
            app.pass_over(*spellings)
            return value
    return MISSING


def _write_app(
    draft: Draft, ours: Settings, app: Options, named: Mapping[str, str], options: SoketiOptions
) -> None:
    for name in ("id", "key", "secret"):
        value = _value(app, name)
        default = f"app-{name}"
        if value is MISSING:
            ours.warn(name, f"is missing, so soketi takes `{default}`, which everybody knows")
        elif value == default:
            ours.warn(
                name, "is soketi's published default, which everybody knows: make a new app soon"
            )
        ours.take(named.get(name, name), name, default if value is MISSING else str(value))
    enabled = _value(app, "enabled")
    if enabled is not MISSING and not truthy(enabled):
        ours.take(named.get("enabled", "enabled"), "enabled", False)
    elif enabled is not MISSING:
        app.pass_over("enabled")
    _write_connections(ours, named, _value(app, "maxConnections"))
    is_on = truthy(_value(app, "enableClientMessages")) and (
        _value(app, "enableClientMessages") is not MISSING
    )
    _write_client_events(ours, named, is_on)
    for name in _RATES:
        _write_rate(ours, named.get(name, name), name, _value(app, name), is_on)
    for name, (limit, factor) in _APP_LIMITS.items():
        value = _value(app, name)
        if value is not MISSING:
            _write_size(ours, name, f"limits.{limit}", value, factor)
    must_sign_in = _value(app, "enableUserAuthentication")
    if must_sign_in is not MISSING and truthy(must_sign_in):
        _write_authentication(ours, named, options)
    _write_webhooks(ours, named, _value(app, "webhooks"), options)
    ours.warn("allowed_origins", "soketi checks no origin: list your sites in allowed_origins")
    for path, _value_left in app.unread():
        ours.refuse(path, "soketi has no such setting, and neither has this server: remove it")


def _write_connections(ours: Settings, named: Mapping[str, str], value: object) -> None:
    source = named.get("maxConnections", "maxConnections")
    number = javascript_int(-1 if value is MISSING else value) or -1
    if number < 0:
        ours.take(source, "limits.connections", 0, "no limit: -1 and 0 there, 0 here")
        ours.warn(source, "no limit: one page in a loop can take every connection")
    else:
        ours.take(source, "limits.connections", number)


def _write_client_events(ours: Settings, named: Mapping[str, str], is_on: bool) -> None:
    source = named.get("enableClientMessages", "enableClientMessages")
    ours.take(source, "client_events", "members" if is_on else "off")
    if is_on:
        ours.take(source, "client_events_on_public_channels", True, "soketi takes them there, too")
        ours.warn(
            source,
            "anybody may send to all subscribers of a public channel;"
            " set client_events_on_public_channels = false unless you need it",
        )


def _write_rate(ours: Settings, source: str, name: str, value: object, is_on: bool) -> None:
    setting = f"limits.{_RATES[name]}"
    number = javascript_int(-1 if value is MISSING else value)
    if number is None or number < 0:
        ours.take(source, setting, 0, "no limit: -1 there, 0 here")
        if name != "maxReadRequestsPerSecond" and (is_on or name == "maxBackendEventsPerSecond"):
            ours.warn(source, "no limit for events")
    elif number == 0 and name == "maxClientEventsPerSecond":
        ours.change(source, "client_events", "off", "0 lets no client event through at soketi")
    elif number == 0:
        ours.change(
            source,
            setting,
            1,
            "0 refuses every request at soketi, but is no limit here; 1 is the least",
        )
    else:
        ours.take(source, setting, number)


def _write_size(ours: Settings, source: str, setting: str, value: object, factor: int) -> None:
    """Write a limit that soketi compares as it is: -1 and 0 let nothing through there."""
    number = javascript_float(value)
    unit = " (kilobytes there, bytes here)" if factor > 1 else ""
    if number is None:
        ours.take(source, setting, 0, "no number, so no limit at soketi; 0 here")
    elif number <= 0:
        ours.change(
            source,
            setting,
            1,
            f"{number:g} lets nothing through at soketi, it is not `no limit`; 1 is the least here",
        )
    else:
        ours.take(source, setting, max(1, int(number * factor)), unit.strip(" ()"))


def _write_authentication(ours: Settings, named: Mapping[str, str], options: SoketiOptions) -> None:
    milliseconds = javascript_float(options.get("userAuthenticationTimeout"))
    seconds = max(1, math.ceil((milliseconds or 0) / 1_000))
    ours.change(
        named.get("enableUserAuthentication", "enableUserAuthentication"),
        "authorization_timeout",
        seconds,
        "from userAuthenticationTimeout, in seconds; joining a private channel counts here, too",
    )


def _write_webhooks(
    ours: Settings, named: Mapping[str, str], value: object, options: SoketiOptions
) -> None:
    source = named.get("webhooks", "webhooks")
    if value is MISSING:
        return
    if isinstance(value, str):
        try:
            value = parse_json(f'{{"webhooks": {value}}}', source)["webhooks"]
        except ConfigError:
            ours.refuse(source, "is no JSON list, so soketi sends nothing either: write it again")
            return
    if not isinstance(value, list):
        ours.refuse(source, "is no list, so soketi sends nothing either: write it again")
        return
    batch = truthy(options.get("webhooks.batching.enabled"))
    kept = []
    for index, webhook in enumerate(value):
        table = _webhook(ours, f"{source}.{index}", webhook, batch)
        if table is not None:
            kept.append(table)
    if kept:
        ours.take(source, "webhooks", kept, f"of {len(value)} there")
        ours.differ(
            source, "a filter filters here; failed deliveries are tried again for 290 seconds"
        )


def _webhook(ours: Settings, source: str, webhook: object, batch: bool) -> dict[str, object] | None:
    """One webhook as a table of ours; None when it cannot be taken over."""
    if not isinstance(webhook, Mapping):
        ours.refuse(source, "is no table: write url and event_types")
        return None
    if not webhook.get("url") and webhook.get("lambda_function"):
        ours.refuse(
            source, "AWS Lambda cannot be called: give the function a URL, and write it as url"
        )
        return None
    table = {
        name: webhook[name]
        for name in ("url", "headers", "event_types", "filter")
        if webhook.get(name) not in (None, "", {})
    }
    if batch:
        table["batch"] = True
    problem = problem_of(table)
    if problem is not None:
        ours.refuse(source, problem)
        return None
    return table
