"""`pusher_server.webhooks.events`: bodies to the byte, and who is told."""

import json
import time
from typing import Any, get_args

import pusher
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.app import EventType, Webhook, WebhookFilter
from pusher_server.auth.webhooks import headers
from pusher_server.signals import (
    CacheMissed,
    ChannelOccupied,
    ChannelVacated,
    ClientEventSent,
    ConnectionOpened,
    EventPublished,
    MemberAdded,
    MemberRemoved,
    Signal,
    SubscriptionCountChanged,
)
from pusher_server.webhooks.events import (
    WEBHOOK_SIGNALS,
    WebhookEvent,
    body_of,
    event_of,
    targets,
    wants,
)
from tests.unit.auth.golden import APP, KEY, SECRET, VECTORS

#: The examples of docs/webhooks.md#events, to the letter.
EVENTS: list[tuple[Signal, str]] = [
    (
        ChannelOccupied(app_id="3", channel="my-channel"),
        '{"name":"channel_occupied","channel":"my-channel"}',
    ),
    (
        ChannelVacated(app_id="3", channel="my-channel", id="7"),
        '{"name":"channel_vacated","channel":"my-channel"}',
    ),
    (
        MemberAdded(app_id="3", channel="presence-foobar", user_id="10"),
        '{"name":"member_added","channel":"presence-foobar","user_id":"10"}',
    ),
    (
        MemberRemoved(app_id="3", channel="presence-foobar", user_id="10"),
        '{"name":"member_removed","channel":"presence-foobar","user_id":"10"}',
    ),
    (
        ClientEventSent(
            app_id="3",
            channel="presence-foobar",
            event="client-msg",
            data=json.dumps('{"text":"hi"}').encode(),
            socket_id="1234.1234",
            user_id="10",
        ),
        '{"name":"client_event","channel":"presence-foobar","event":"client-msg",'
        '"data":"{\\"text\\":\\"hi\\"}","socket_id":"1234.1234","user_id":"10"}',
    ),
    (CacheMissed(app_id="3", channel="cache-x"), '{"name":"cache_miss","channel":"cache-x"}'),
    (
        SubscriptionCountChanged(app_id="3", channel="my-channel", subscription_count=3),
        '{"name":"subscription_count","channel":"my-channel","subscription_count":3}',
    ),
]


def told(signal: Signal) -> WebhookEvent:
    """What is told of it, which must be something."""
    event = event_of(signal)
    assert event is not None
    return event


@pytest.mark.parametrize(("signal", "text"), EVENTS, ids=lambda each: type(each).__name__)
def test_an_event_has_exactly_these_keys_in_this_order(signal: Signal, text: str) -> None:
    """Those that Pusher documents."""
    event = told(signal)
    assert event == WebhookEvent(json.loads(text)["name"], json.loads(text)["channel"], text)


def test_all_events_are_told() -> None:
    """Of the signals that are said to be."""
    assert [type(signal) for signal, _ in EVENTS] == list(WEBHOOK_SIGNALS)
    assert [told(signal).name for signal, _ in EVENTS] == list(get_args(EventType))


def test_a_client_event_has_a_user_on_presence_channels_only() -> None:
    """Elsewhere the key is left out (docs/protocol/webhooks.md#events)."""
    event = ClientEventSent(
        app_id="3",
        channel="private-x",
        event="client-typing",
        data=b'"null"',
        socket_id="1.2",
        user_id=None,
    )
    assert told(event).text == (
        '{"name":"client_event","channel":"private-x","event":"client-typing","data":"null",'
        '"socket_id":"1.2"}'
    )


@pytest.mark.parametrize(
    "signal",
    [
        ConnectionOpened(app_id="3", socket_id="1.2"),
        EventPublished(app_id="3", channel="x", event="e", recipients=1),
        ChannelOccupied(app_id="3", channel="#server-to-user-7"),
        ChannelVacated(app_id="3", channel="#server-to-user-7"),
    ],
)
def test_nothing_else_is_told(signal: Signal) -> None:
    """Above all not the channels of signed-in users."""
    assert event_of(signal) is None


@given(
    channel=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    data=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_text_comes_back_from_a_receivers_parser(channel: str, data: str) -> None:
    """Lenient names and client events may hold anything."""
    sent = ClientEventSent(
        app_id="3",
        channel=f"x{channel}",
        event=data,
        data=json.dumps(data).encode(),
        socket_id="1.2",
        user_id=channel,
    )
    (event,) = json.loads(body_of([told(sent).text], 1))["events"]
    assert event == {
        "name": "client_event",
        "channel": f"x{channel}",
        "event": data,
        "data": data,
        "socket_id": "1.2",
        "user_id": channel,
    }


@pytest.mark.parametrize("vector", VECTORS["webhook"]["vectors"], ids=lambda v: v["body"][:40])
def test_bodies_equal_those_of_the_golden_vectors(vector: dict[str, Any]) -> None:
    """Which the official libraries have accepted; from the signals to the last byte."""
    events = json.loads(vector["body"])["events"]
    texts = [told(_signal(event)).text for event in events]
    assert body_of(texts, 1_327_078_148_132) == vector["body"].encode()


def _signal(event: dict[str, Any]) -> Signal:
    """The signal that makes such an event."""
    kind = dict(zip(get_args(EventType), WEBHOOK_SIGNALS, strict=True))[event["name"]]
    rest = {name: value for name, value in event.items() if name != "name"}
    if kind is ClientEventSent:
        rest.setdefault("user_id", None)
        rest["data"] = json.dumps(rest["data"], ensure_ascii=False).encode()
    return kind(app_id="3", **rest)


def test_a_body_without_events() -> None:
    """Still one that parses."""
    assert body_of([], 5) == b'{"time_ms":5,"events":[]}'


@pytest.mark.parametrize("count", [1, 7])
def test_the_official_library_accepts(count: int) -> None:
    """PyPI's `pusher`: signature, time, and what it makes of the events."""
    texts = [told(signal).text for signal, _ in EVENTS[:count]]
    now = int(time.time() * 1_000)
    body = body_of(texts, now)
    sent = headers(APP, body)
    receiver = pusher.Pusher("3", KEY, SECRET)
    found = receiver.validate_webhook(sent["X-Pusher-Key"], sent["X-Pusher-Signature"], body)
    assert found == {"time_ms": now, "events": [json.loads(text) for text in texts]}
    wrong = receiver.validate_webhook(sent["X-Pusher-Key"], sent["X-Pusher-Signature"], body + b" ")
    assert wrong is None


def hook(prefix: str = "", suffix: str = "", *types: Any, url: str = "http://x") -> Webhook:
    """A webhook with this filter and these event types."""
    names = WebhookFilter(channel_name_starts_with=prefix, channel_name_ends_with=suffix)
    return Webhook(url=url, filter=names, event_types=types)


OCCUPIED = WebhookEvent("channel_occupied", "presence-room.7", "{}")


@pytest.mark.parametrize(
    ("webhook", "wanted"),
    [
        (hook(), True),
        (hook("presence-"), True),
        (hook("private-"), False),
        (hook("room"), False),
        (hook("", ".7"), True),
        (hook("", ".8"), False),
        (hook("presence-", ".7"), True),
        (hook("presence-", ".8"), False),
        (hook("", "", "channel_occupied", "channel_vacated"), True),
        (hook("", "", "channel_vacated"), False),
        (hook("private-", "", "channel_occupied"), False),
    ],
)
def test_who_wants_an_event(webhook: Webhook, wanted: bool) -> None:
    """Type, beginning and end must all agree; what is not said is anything."""
    assert wants(webhook, OCCUPIED) is wanted


def test_webhooks_with_the_same_url_are_told_once() -> None:
    """If any of them wants it; in the order of the settings."""
    webhooks = [
        hook("private-", url="http://a"),
        hook(url="http://b"),
        hook("presence-", url="http://a"),
        hook(url="http://a"),
        hook("private-", url="http://c"),
    ]
    assert targets(webhooks, OCCUPIED) == [webhooks[1].id, webhooks[0].id]
    assert targets([], OCCUPIED) == []


@pytest.mark.parametrize(
    ("data", "told"),
    [(rb'"cut \ud83d"', "cut \ufffd"), (rb'"\uDE00 \ud83d\ude00"', "\ufffd \U0001f600")],
)
def test_a_body_can_be_read_by_everybody(data: bytes, told: str) -> None:
    """PHP, Go and others refuse a whole body with a lone surrogate, and with it other people's events."""
    signal = ClientEventSent(
        app_id="3", channel="private-x", event="client-x", data=data, socket_id="1.2", user_id=None
    )
    event = event_of(signal)
    assert event is not None
    assert json.loads(event.text)["data"] == told
