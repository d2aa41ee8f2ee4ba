"""sockudo's apps and its table of them as ours. The meaning of 0 and of a missing limit is sockudo's.

Facts of sockudo/sockudo, version 5.0.1: `crates/sockudo-core/src/app.rs` (names). The comparisons are in
`crates/sockudo-adapter/src/handler/` and `crates/sockudo-server/src/http_handler/events/`.
"""

from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import Draft, Settings
from pusher_server.migration.laravel import write_origins
from pusher_server.migration.numbers import names, whole
from pusher_server.migration.options import MISSING, Options
from pusher_server.migration.webhooks import problem_of

#: Milliseconds and events of a batch, by default.
WEBHOOK_BATCHES = (50, 100)
_KILOBYTE = 1_024

#: Setting there -> limit here, factor. Without a value there is no limit there, but for the lengths of names.
_LIMITS = {
    "max_presence_members_per_channel": ("presence_members", 1),
    "max_presence_member_size_in_kb": ("presence_member_bytes", _KILOBYTE),
    "max_channel_name_length": ("channel_name_length", 1),
    "max_event_channels_at_once": ("event_channels", 1),
    "max_event_name_length": ("event_name_length", 1),
    "max_event_payload_in_kb": ("event_data_bytes", _KILOBYTE),
    "max_event_batch_size": ("batch_events", 1),
}
_UNBOUNDED = ("max_event_channels_at_once", "max_event_payload_in_kb", "max_event_batch_size")
#: Stored by sockudo and applied by nothing.
_IDLE = ("max_backend_events_per_second", "max_read_requests_per_second")
#: Its column for each setting that soketi's preset calls otherwise.
_COLUMNS = {
    "allowed_origins": "allowed_origins",
    "watchlist": "enable_watchlist_events",
    "limits.client_events_per_second": "max_client_events_per_second",
    "limits.backend_events_per_second": "max_backend_events_per_second",
    "limits.reads_per_second": "max_read_requests_per_second",
}


def write_app(ours: Settings, app: Options, authentication: int, batch: bool) -> None:
    """Write one app of the file, in the form with `policy` or without. Raises ConfigError."""
    for name in ("id", "key", "secret"):
        value = app.get(name)
        if value in (MISSING, None, ""):
            raise ConfigError(app.name, f"{ours.sources}{name} is missing")
        if value == f"app-{name}":
            ours.warn(
                name, "is sockudo's published example, which everybody knows: make a new app soon"
            )
        ours.take(name, name, str(value))
    if app.get("enabled") is not True:
        ours.take(
            "enabled",
            "enabled",
            False,
            "" if app.get("enabled") is False else "missing is false at sockudo",
        )
    has_policy = isinstance(app.get("policy"), Mapping)
    parts = ("limits", "features", "channels") if has_policy else ("", "", "")
    limits, features, channels = (f"policy.{part}." if part else "" for part in parts)
    _write_limits(ours, app, limits)
    _write_features(ours, app, features, authentication)
    path = f"{channels}allowed_origins"
    value = app.get(path)
    if isinstance(value, list) and any(str(entry).lower() == "any" for entry in value):
        value = ["*"]
    listed = names(None if value is MISSING else value)
    widened = [
        host
        for entry in listed or []
        for host in ((entry, entry[2:]) if entry.startswith("*.") else (entry,))
    ]
    given = value if listed is None else widened
    write_origins(ours, path, given, "sockudo", empty_means_all=True, has_patterns=True)
    _write_webhooks(ours, app, "policy.webhooks" if has_policy else "webhooks", batch)
    app.pass_over("policy.limits", "policy.features")
    for left, value in app.unread():
        if value not in (None, False, [], {}):
            ours.refuse(
                left, "is of sockudo's own protocol or an add-on; Pusher's clients do without it"
            )


def _write_limits(ours: Settings, app: Options, prefix: str) -> None:
    connections = app.get(f"{prefix}max_connections")
    _write_count(
        ours,
        f"{prefix}max_connections",
        "limits.connections",
        0 if connections is MISSING else connections,
    )
    rate = app.get(f"{prefix}max_client_events_per_second")
    decay = whole(app.get(f"{prefix}decay_seconds")) or 1
    source = f"{prefix}max_client_events_per_second"
    number = whole(0 if rate is MISSING else rate)
    if number and decay > 1:
        per_second = -(-number // decay)
        ours.change(
            source, "limits.client_events_per_second", per_second, f"{number} in {decay} s there"
        )
    else:
        _write_count(ours, source, "limits.client_events_per_second", number)
    if app.get(f"{prefix}terminate_on_limit") is True:
        ours.refuse(
            f"{prefix}terminate_on_limit",
            "a client beyond its rate gets an error and stays connected",
        )
    if app.get(f"{prefix}message_rate_limit") not in (MISSING, None):
        ours.refuse(
            f"{prefix}message_rate_limit",
            "messages are bounded by websocket.subscriptions_per_second and rates",
        )
    for idle in _IDLE:
        if app.get(f"{prefix}{idle}") not in (MISSING, None):
            ours.differ(
                f"{prefix}{idle}", "is stored there and applied by nothing, so it was left out"
            )
    for name, (limit, factor) in _LIMITS.items():
        _write_limit(ours, f"{prefix}{name}", f"limits.{limit}", app.get(f"{prefix}{name}"), factor)


def _write_count(ours: Settings, source: str, setting: str, value: object) -> None:
    number = whole(value)
    if number is None or number < 0:
        ours.refuse(
            source, f"is no number from 0 on, so sockudo cannot read its file: set {setting}"
        )
        return
    ours.take(source, setting, number, "no limit, there and here" if number == 0 else "")
    if number == 0:
        ours.warn(source, "no limit")


def _write_limit(ours: Settings, source: str, setting: str, value: object, factor: int) -> None:
    if value in (MISSING, None):
        if source.rpartition(".")[2] in _UNBOUNDED:
            ours.warn(source, f"no limit; {setting} has its default here")
        return
    number = whole(value)
    if number is None or number < 0:
        ours.refuse(
            source, f"is no number from 0 on, so sockudo cannot read its file: set {setting}"
        )
    elif number == 0:
        ours.change(
            source,
            setting,
            1,
            "0 lets nothing through at sockudo, but is no limit here; 1 is the least",
        )
    else:
        ours.take(
            source, setting, number * factor, "kilobytes there, bytes here" if factor > 1 else ""
        )


def _write_features(ours: Settings, app: Options, prefix: str, authentication: int) -> None:
    is_on = app.get(f"{prefix}enable_client_messages") is True
    ours.take(f"{prefix}enable_client_messages", "client_events", "members" if is_on else "off")
    if app.get(f"{prefix}enable_user_authentication") is True:
        ours.change(
            f"{prefix}enable_user_authentication",
            "authorization_timeout",
            authentication,
            "from user_authentication_timeout; joining a private channel counts here, too",
        )
    if app.get(f"{prefix}enable_watchlist_events") is True:
        ours.take(f"{prefix}enable_watchlist_events", "watchlist", True)


def _write_webhooks(ours: Settings, app: Options, path: str, batch: bool) -> None:
    value = app.get(path)
    if value in (MISSING, None):
        return
    if not isinstance(value, list):
        ours.refuse(path, "is no list of webhooks: write [[apps.webhooks]]")
        return
    kept = []
    for index, webhook in enumerate(value):
        table = _webhook(ours, f"{path}.{index}", webhook, batch)
        if table is not None:
            kept.append(table)
    if kept:
        ours.take(path, "webhooks", kept, f"of {len(value)} there")


def _webhook(ours: Settings, source: str, webhook: object, batch: bool) -> dict[str, object] | None:
    if not isinstance(webhook, Mapping) or not webhook.get("url"):
        ours.refuse(source, "has no url; AWS Lambda cannot be called: give the function a URL")
        return None
    table: dict[str, object] = {"url": webhook["url"], "batch": batch}
    for name in ("event_types", "headers"):
        if webhook.get(name):
            table[name] = webhook[name]
    there = webhook.get("filter")
    if isinstance(there, Mapping):
        kinds = {
            "channel_prefix": "channel_name_starts_with",
            "channel_suffix": "channel_name_ends_with",
        }
        ours_filter = {
            ours_name: there[name] for name, ours_name in kinds.items() if there.get(name)
        }
        others = [name for name in there if name not in kinds and there[name]]
        if others:
            ours.refuse(source, f"filter.{others[0]} cannot be expressed: filter in the receiver")
            return None
        if ours_filter:
            table["filter"] = ours_filter
    problem = problem_of(table)
    if problem is not None:
        ours.refuse(source, problem)
        return None
    return table


def write_table_of_apps(draft: Draft, table: str) -> None:
    """Write `[database]` for sockudo's `applications`: soketi's preset with sockudo's columns."""
    draft.take("app_manager.driver", "database.preset", "soketi", "with sockudo's columns")
    draft.take("table_name", "database.table", table)
    columns: dict[str, object] = {}
    for setting, column in _COLUMNS.items():
        first, _, limit = setting.partition(".")
        if limit:
            below = columns.setdefault(first, {})
            assert isinstance(below, dict)
            below[limit] = column
        else:
            columns[setting] = column
    draft.take("(columns)", "database.columns", columns)
    draft.refuse(
        "column policy",
        "is not read: sockudo lets it win over the plain columns, so write those, too",
    )
    draft.differ(
        "column webhooks",
        "a filter of sockudo's is not known here: such a webhook is left out, with a log line",
    )
    draft.differ(
        "column allowed_origins",
        "write hosts without scheme and port: a row with others is refused",
    )
