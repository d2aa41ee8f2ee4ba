"""One request to a webhook: its body, made and signed once, and its headers (pure).

See docs/protocol/webhooks.md#request.
"""

from collections.abc import Sequence

from msgspec import Struct

from pusher_server import __version__
from pusher_server.app import EVENT_IDS_HEADER, App, Webhook
from pusher_server.auth import webhooks as proof
from pusher_server.webhooks.events import body_of
from pusher_server.webhooks.outbox.interface import Entry

_USER_AGENT = f"pusher-server/{__version__}"


class SignedBody(Struct, frozen=True):
    """The body of a request, the same bytes in each attempt, and the `headers` that belong to it."""

    content: bytes
    headers: dict[str, str]


def signed_body(app: App, entries: Sequence[Entry], now: float) -> SignedBody:
    """Make a body of these events at `now` (seconds of the epoch), signed with the app's key."""
    content = body_of((entry.event for entry in entries), round(now * 1_000))
    ids = ",".join(entry.id for entry in entries)
    return SignedBody(content, {**proof.headers(app, content), EVENT_IDS_HEADER: ids})


def headers_of(webhook: Webhook, body: SignedBody) -> list[tuple[str, str]]:
    """All headers of a request except those for its host and length.

    `Content-Type` has no charset, because Node's validator compares it literally. The webhook may replace
    `User-Agent`, `Accept` and `Accept-Encoding`, but no other header of ours (`Webhook`).
    """
    ours = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    theirs = {name.lower() for name in webhook.headers}
    return [
        ("Content-Type", "application/json"),
        *body.headers.items(),
        *((name, value) for name, value in ours.items() if name.lower() not in theirs),
        *webhook.headers.items(),
    ]
