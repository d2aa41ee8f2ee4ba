"""Sends a test request to webhooks at once, to see whether their targets accept it."""

import secrets
from collections.abc import Callable

from msgspec import Struct

from pusher_server.app import App, Webhook
from pusher_server.webhooks.delivery.requests import headers_of, signed_body
from pusher_server.webhooks.delivery.sending import Answer, Send
from pusher_server.webhooks.outbox.interface import Entry

#: The channel of the test event; no client uses this name by chance.
CHANNEL = "pusher-server-test"


class SentTest(Struct, frozen=True):
    """A webhook, and the answer to its test request."""

    webhook: Webhook
    answer: Answer


async def send_test(
    app: App, send: Send, wall: Callable[[], float], *, url: str = ""
) -> list[SentTest]:
    """Send `channel_occupied` of a test channel to each webhook of the app, or to the one with this URL.

    The request is signed like any other; filters do not count. Nothing is stored or retried.
    """
    tried = []
    for webhook in app.webhooks:
        if url in ("", webhook.url):
            now = wall()
            event = f'{{"name":"channel_occupied","channel":"{CHANNEL}"}}'
            entry = Entry(f"test-{secrets.token_hex(8)}", webhook.id, CHANNEL, event, now)
            body = signed_body(app, [entry], now)
            answer = await send(webhook, body.content, headers_of(webhook, body))
            tried.append(SentTest(webhook, answer))
    return tried
