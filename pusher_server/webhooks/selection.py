"""Selects the webhooks for a signal: makes a decision for the outbox (pure)."""

from collections.abc import Mapping

from pusher_server.app import App, EventType
from pusher_server.signals import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    Signal,
)
from pusher_server.webhooks.events import WebhookEvent, event_of, targets
from pusher_server.webhooks.outbox.interface import Decision, Entry, Presence

#: The event that undoes one; both have the same keys.
_OPPOSITES: Mapping[EventType, EventType] = {
    "channel_occupied": "channel_vacated",
    "channel_vacated": "channel_occupied",
    "member_added": "member_removed",
    "member_removed": "member_added",
}


def select_targets(signal: Signal, app: App, event_id: str, at: float) -> Decision | None:
    """The decision for all webhooks that want the signal; None when there is nothing to keep.

    `at` is in seconds of the epoch. A webhook may want leaves only. So a join that no webhook wants is still a
    decision, without entries, if its leave is wanted: the outbox must remember it.
    """
    event = event_of(signal)
    if event is None:
        return None
    presence, held = presence_of(signal)
    wanted = targets(app.webhooks, event)
    if not wanted and (presence is None or not _wants_opposite(app, event)):
        return None
    return Decision(
        app_id=app.id,
        entries=tuple(
            Entry(
                id=event_id, webhook=webhook, channel=event.channel, event=event.text, decided_at=at
            )
            for webhook in wanted
        ),
        presence=presence,
        held=held,
    )


def presence_of(signal: Signal) -> tuple[Presence | None, bool]:
    """The channel or member that a signal is about, and whether it joined or became occupied."""
    match signal:
        case ChannelOccupied(app_id=app_id, channel=channel):
            return Presence(app_id, channel), True
        case ChannelVacated(app_id=app_id, channel=channel):
            return Presence(app_id, channel), False
        case MemberAdded(app_id=app_id, channel=channel, user_id=user_id):
            return Presence(app_id, channel, user_id), True
        case MemberRemoved(app_id=app_id, channel=channel, user_id=user_id):
            return Presence(app_id, channel, user_id), False
    return None, False


def _wants_opposite(app: App, event: WebhookEvent) -> bool:
    opposite = WebhookEvent(_OPPOSITES[event.name], event.channel, "")
    return bool(targets(app.webhooks, opposite))
