"""The way of one event as steps: client connected, subscribed, publication received, delivered.

Each step holds, does not, or cannot be seen from here. The first that does not hold says what is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from pusher_server.diagnosis.channel_names import laravel
from pusher_server.diagnosis.event_names import listening
from pusher_server.diagnosis.printable import counted, printable, quoted
from pusher_server.diagnosis.report import ProcessReport
from pusher_server.diagnosis.silence import AppReport

State = Literal["yes", "no", "unseen"]


class Step(Struct, frozen=True):
    """One step. `text` is what was seen, `missing` is the next thing to do where it does not hold."""

    name: str
    state: State
    text: str
    missing: str = ""


def steps(
    app: AppReport,
    channel: str,
    event: str,
    held: Mapping[str, int],
    reports: Sequence[ProcessReport],
) -> list[Step]:
    """Return the four steps. `held`: subscribers in the cluster of this channel and of near names."""
    return [
        _connected(app),
        _subscribed(channel, held),
        _published(app, channel, event, reports),
        _delivered(channel, event, reports),
    ]


def _connected(app: AppReport) -> Step:
    if app.connections:
        return Step("connected", "yes", f"{counted(app.connections, 'connection')} of the app")
    return Step(
        "connected",
        "no",
        "no client of the app is connected",
        "open the page, and look at its console: the client's key, host, port and scheme",
    )


def _subscribed(channel: str, held: Mapping[str, int]) -> Step:
    count = held.get(channel, 0)
    if count:
        return Step("subscribed", "yes", f"{counted(count, 'subscriber')} of {quoted(channel)}")
    near = [f"{quoted(name)} has {counted(held[name], 'subscriber')}" for name in held]
    written = laravel(channel)
    text = f"nobody is subscribed to {quoted(channel)}"
    if near:
        text += f"; {', '.join(near[:3])}"
    missing = f"subscribe with {written.method}('{printable(written.name)}')"
    if channel != written.name:
        missing += "; a refusal of the backend's auth route never reaches this server"
    return Step("subscribed", "no", text, missing)


def _published(app: AppReport, channel: str, event: str, reports: Sequence[ProcessReport]) -> Step:
    rows = [row for report in reports for row in report.missed if row.channel == channel]
    named = [row for row in rows if event in ("", row.event)]
    delivered = _delivered_ago(reports)
    if named:
        row = min(named, key=lambda row: row.last)
        text = f"{quoted(row.event)} came {row.last:.0f} s ago, {counted(row.count, 'time')}"
        return Step("published", "yes", text)
    if delivered is not None:
        return Step("published", "yes", f"an event came {delivered:.0f} s ago")
    if app.published_at is not None:
        return Step(
            "published",
            "unseen",
            f"no event came to {quoted(channel)} lately; the app's last one to any channel"
            f" {app.published_at:.0f} s ago",
            "compare the channel of the event's broadcastOn() with this one",
        )
    return Step(
        "published",
        "no",
        "no publication of this app has come since the server started",
        "run the queue worker (php artisan queue:work), set BROADCAST_CONNECTION=pusher",
    )


def _delivered(channel: str, event: str, reports: Sequence[ProcessReport]) -> Step:
    delivered = _delivered_ago(reports)
    line = listening(channel, event) if event else ""
    if delivered is not None:
        text = f"an event went to the subscribers {delivered:.0f} s ago"
        missing = f"listen with {printable(line, 300)}" if line else ""
        return Step("delivered", "yes", text, missing)
    missing = "toOthers() leaves out the connection that sent X-Socket-ID"
    return Step("delivered", "no", "no event has gone to a subscriber", missing)


def _delivered_ago(reports: Sequence[ProcessReport]) -> float | None:
    times = [report.channel.delivered for report in reports]
    return min((time for time in times if time is not None), default=None)
