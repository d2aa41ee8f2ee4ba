"""What signals mean for an app's webhooks."""

import pytest

from pusher_server.app import EventType, Webhook, WebhookFilter
from pusher_server.signals import (
    CacheMissed,
    ChannelOccupied,
    ChannelVacated,
    ClientEventSent,
    ConnectionClosed,
    MemberAdded,
    MemberRemoved,
    Signal,
)
from pusher_server.webhooks.outbox.interface import Decision, Presence
from pusher_server.webhooks.selection import select_targets
from tests.unit.webhooks.delivery_fixture import an_app


def hook(*event_types: EventType, name: str = "a", prefix: str = "") -> Webhook:
    names = WebhookFilter(channel_name_starts_with=prefix)
    return Webhook(url=f"http://{name}.example/", event_types=event_types, filter=names)


def decide(signal: Signal, *webhooks: Webhook) -> Decision | None:
    return select_targets(signal, an_app("1", *webhooks), "id", 5.0)


@pytest.mark.parametrize(
    ("signal", "presence", "held"),
    [
        (ChannelOccupied(app_id="1", channel="c"), Presence("1", "c"), True),
        (ChannelVacated(app_id="1", channel="c"), Presence("1", "c"), False),
        (MemberAdded(app_id="1", channel="c", user_id="u"), Presence("1", "c", "u"), True),
        (MemberRemoved(app_id="1", channel="c", user_id="u"), Presence("1", "c", "u"), False),
        (CacheMissed(app_id="1", channel="c"), None, False),
        (
            ClientEventSent(
                app_id="1",
                channel="c",
                event="client-e",
                data=b'"x"',
                socket_id="1.2",
                user_id=None,
            ),
            None,
            False,
        ),
    ],
)
def test_comings_and_goings_say_who(signal: Signal, presence: Presence | None, held: bool) -> None:
    decision = decide(signal, hook())
    assert decision is not None
    assert (decision.presence, decision.held) == (presence, held)
    (entry,) = decision.entries
    assert (entry.id, entry.webhook, entry.channel, entry.decided_at) == ("id", hook().id, "c", 5.0)
    assert not decision.only_if_believed


def test_each_webhook_that_wants_it_has_an_entry_and_one_url_is_one_target() -> None:
    occupied = ChannelOccupied(app_id="1", channel="room")
    decision = decide(
        occupied,
        hook(name="one"),
        hook(name="one", prefix="other-"),
        hook(name="two"),
        hook("cache_miss", name="three"),
    )
    assert decision is not None
    assert [each.webhook for each in decision.entries] == [hook(name="one").id, hook(name="two").id]


def test_a_coming_is_remembered_when_only_its_leave_is_wanted() -> None:
    decision = decide(MemberAdded(app_id="1", channel="c", user_id="u"), hook("member_removed"))
    assert decision is not None
    assert decision.entries == ()
    assert decision.presence == Presence("1", "c", "u")


def test_what_nobody_wants_is_no_decision() -> None:
    occupied = ChannelOccupied(app_id="1", channel="room")
    assert decide(occupied) is None
    assert decide(occupied, hook("member_added", "member_removed")) is None
    assert decide(occupied, hook(prefix="private-")) is None
    assert decide(CacheMissed(app_id="1", channel="c"), hook("channel_occupied")) is None
    assert decide(ConnectionClosed(app_id="1", socket_id="1.2", code=1000), hook()) is None
    assert decide(ChannelOccupied(app_id="1", channel="#server-to-user-1"), hook()) is None
