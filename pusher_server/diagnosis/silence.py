"""The rules about apps to which nobody publishes or subscribes. They look at the numbers of the whole cluster.

A site at night has published before. A presence app of clients alone has no publication ever; so these findings
are worth a look and no faults.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from pusher_server.diagnosis.findings import Finding, finding
from pusher_server.diagnosis.printable import counted, quoted

#: Seconds of silence before it is worth a word.
PATIENCE = 300.0
#: Seconds in which a client subscribes, if it does at all.
SUBSCRIBES_WITHIN = 60.0


class AppReport(Struct, kw_only=True):
    """An app on one node, or in the cluster. Times are seconds ago; None is never."""

    connections: int = 0
    clients_since: float | None = None
    ever_connected: bool = False
    ever_subscribed: bool = False
    published: int = 0
    published_at: float | None = None
    #: For how long the server, or the youngest of its processes, has been up.
    up: float = 0.0
    #: Clients have sent events to each other.
    client_events: int = 0


def summed(reports: Iterable[AppReport]) -> AppReport:
    """Return the report of the cluster from those of its nodes."""
    total: AppReport | None = None
    for report in reports:
        if total is None:
            total = structs.replace(report)
            continue
        total.connections += report.connections
        total.clients_since = _longest(total.clients_since, report.clients_since)
        total.ever_connected |= report.ever_connected
        total.ever_subscribed |= report.ever_subscribed
        total.published += report.published
        total.published_at = _latest(total.published_at, report.published_at)
        total.up = min(total.up, report.up)
        total.client_events += report.client_events
    return AppReport() if total is None else total


def _longest(one: float | None, other: float | None) -> float | None:
    return max((time for time in (one, other) if time is not None), default=None)


def _latest(one: float | None, other: float | None) -> float | None:
    return min((time for time in (one, other) if time is not None), default=None)


def silent(app: str, report: AppReport, url: str) -> Finding | None:
    """Return the finding about an app with clients and without any publication since the start."""
    since = report.clients_since
    if (
        since is None
        or report.published
        or report.client_events
        or not report.ever_subscribed
        or min(since, report.up) < PATIENCE
    ):
        return None
    return finding(
        "nothing_published",
        app,
        "",
        clients=counted(report.connections, "connection"),
        age=_minutes(since),
        up=_minutes(report.up),
        url=url,
        first=since,
    )


def unsubscribed(app: str, report: AppReport, missed: tuple[str, str] | None) -> Finding | None:
    """Return the finding about an app with clients and without any subscription since the start.

    `missed`: channel and name of an event that went to a channel with authorization meanwhile.
    """
    since = report.clients_since
    if missed is None or since is None or report.ever_subscribed or since < SUBSCRIBES_WITHIN:
        return None
    channel, event = missed
    return finding(
        "nobody_subscribes",
        app,
        channel,
        clients=counted(report.connections, "connection"),
        age=_minutes(since),
        event=quoted(event),
        channel=quoted(channel),
        first=since,
    )


def crossed(
    app: str, reports: Mapping[str, AppReport], channel: str, event: str, held: Mapping[str, int]
) -> Finding | None:
    """Return the finding about an app that only a backend uses, while another one has clients alone.

    `held`: other apps in which the channel of this event has subscribers, with their number.
    """
    own = reports.get(app)
    if own is None or own.ever_connected or not own.published:
        return None
    for other, count in held.items():
        theirs = reports.get(other)
        if other == app or theirs is None or theirs.published or count < 1:
            continue
        waits = "waits" if count == 1 else "wait"
        return finding(
            "apps_crossed",
            app,
            channel,
            event=quoted(event),
            channel=quoted(channel),
            waiting=f"{counted(count, 'connection')} {waits} on it",
            other=other,
        )
    return None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
