"""Events of webhooks as JSON text, and the body that carries them (pure).

See docs/protocol/webhooks.md#events.
"""

from collections.abc import Iterable

from msgspec import Raw, Struct

from pusher_server.app import EventType, Webhook
from pusher_server.protocol.channel_name import USER_PREFIX
from pusher_server.protocol.surrogates import replaced
from pusher_server.protocol.text import encode
from pusher_server.signals import (
    CacheMissed,
    ChannelOccupied,
    ChannelVacated,
    ClientEventSent,
    MemberAdded,
    MemberRemoved,
    Signal,
    SubscriptionCountChanged,
)

#: The signals that become events of webhooks.
WEBHOOK_SIGNALS: tuple[type[Signal], ...] = (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    ClientEventSent,
    CacheMissed,
    SubscriptionCountChanged,
)


class WebhookEvent(Struct, frozen=True):
    """One event: its type, the channel's name, and the JSON object that stands in a body's `events`."""

    name: EventType
    channel: str
    text: str


def event_of(signal: Signal) -> WebhookEvent | None:
    """The event for a signal; None for signals that are no events of webhooks.

    The channels of signed-in users are internal and have no events (docs/protocol/webhooks.md#events).
    """
    event = _event_of(signal)
    return None if event is None or event.channel.startswith(USER_PREFIX) else event


def _event_of(signal: Signal) -> WebhookEvent | None:
    match signal:
        case ChannelOccupied(channel=channel):
            return _event("channel_occupied", channel)
        case ChannelVacated(channel=channel):
            return _event("channel_vacated", channel)
        case MemberAdded(channel=channel, user_id=user_id):
            return _event("member_added", channel, user_id=user_id)
        case MemberRemoved(channel=channel, user_id=user_id):
            return _event("member_removed", channel, user_id=user_id)
        case ClientEventSent(channel=channel):
            return _client_event(signal)
        case CacheMissed(channel=channel):
            return _event("cache_miss", channel)
        case SubscriptionCountChanged(channel=channel, subscription_count=count):
            return _event("subscription_count", channel, subscription_count=count)
    return None


def _client_event(signal: ClientEventSent) -> WebhookEvent:
    member = {} if signal.user_id is None else {"user_id": signal.user_id}
    return _event(
        "client_event",
        signal.channel,
        event=signal.event,
        data=Raw(replaced(signal.data)),
        socket_id=signal.socket_id,
        **member,
    )


def _event(name: EventType, channel: str, **rest: str | int | Raw) -> WebhookEvent:
    """Make an event, with keys in the order in which Pusher documents them."""
    text = encode({"name": name, "channel": channel, **rest}).decode()
    return WebhookEvent(name, channel, text)


def wants(webhook: Webhook, event: WebhookEvent) -> bool:
    """Whether the webhook has this event type, and its filter lets the channel through."""
    if webhook.event_types and event.name not in webhook.event_types:
        return False
    names = webhook.filter
    return event.channel.startswith(names.channel_name_starts_with) and event.channel.endswith(
        names.channel_name_ends_with
    )


def targets(webhooks: Iterable[Webhook], event: WebhookEvent) -> list[str]:
    """The ids of the webhooks that want the event, each once: webhooks with the same URL are one target."""
    return list(dict.fromkeys(webhook.id for webhook in webhooks if wants(webhook, event)))


def body_of(texts: Iterable[str], time_ms: int) -> bytes:
    """The body with these events; `time_ms` is the time when it was made, in milliseconds of the epoch.

    Exactly these bytes are signed and sent.
    """
    return f'{{"time_ms":{time_ms},"events":[{",".join(texts)}]}}'.encode()
