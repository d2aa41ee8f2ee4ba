"""The bytes between nodes: what this release writes, and what it makes of another's."""

import tracemalloc

import msgspec
import pytest

from pusher_server.cluster import wire
from pusher_server.cluster.last_events import LastEvent
from pusher_server.interfaces import (
    CONTROL,
    CachedEvent,
    ClusterMessage,
    CountMessage,
    EventMessage,
    TerminateMessage,
    Topic,
    TopicKind,
    channel_topic,
    channels_topic,
    members_topic,
    users_topic,
)
from pusher_server.protocol.events import channel_event

TRANSITION = wire.Transitioned(wire.WIRE, "a", 3, "k", "v", True, False, False, "one.1.1")


@pytest.mark.parametrize(
    "topic",
    [
        channel_topic("1", "private-x"),
        channel_topic("a:b/ü%", "x:y;z"),
        members_topic("", "presence-:"),
        CONTROL,
    ],
)
def test_an_address_leads_back_to_its_topic(topic: Topic) -> None:
    assert wire.topic_of(wire.address_of(topic)) == topic
    assert wire.topic_of(wire.address_of(topic))[1] is topic[1]


def test_addresses_are_what_other_releases_write() -> None:
    """Nodes of before and after run side by side, and Redis keeps what it has."""
    topics = [
        channel_topic("7", "a:b"),
        members_topic("7", "presence-x"),
        channels_topic("a:b"),
        users_topic("7"),
        CONTROL,
    ]
    assert [wire.address_of(topic) for topic in topics] == [
        "channel:7:a:b",
        "members:7:presence-x",
        "channels:a%3Ab:",
        "users:7:",
        "control::",
    ]
    assert {topic[1] for topic in topics} == set(TopicKind)
    assert all(type(wire.address_of(topic)) is str for topic in topics)


@pytest.mark.parametrize(
    "address", ["", "channel", "channel:7", "threads:7:x", ":7:x", "Channel:7:x"]
)
def test_what_is_no_address_of_this_release_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"not enough values|not a valid TopicKind"):
        wire.topic_of(address)


def test_kinds_of_other_releases_are_known_as_such() -> None:
    assert all(wire.is_known_kind(f"{kind}:7:x") for kind in TopicKind)
    assert not wire.is_known_kind("threads:7:x")


def test_long_names_are_not_remembered() -> None:
    """They are the clients' choice, of any length where an app sets no limit."""
    tracemalloc.start()
    try:
        for number in range(300):
            topic = channel_topic("1", f"{number}".ljust(100_000, "x"))
            assert wire.topic_of(wire.address_of(topic)) == topic
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


def test_addresses_do_not_meet() -> None:
    topics = [channel_topic(*each) for each in (("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"))]
    assert len({wire.address_of(topic) for topic in topics}) == 3


@pytest.mark.parametrize(
    "message",
    [
        EventMessage(payload=b"\x00{}", event_id=2**62, except_socket="1.2"),
        EventMessage(payload=b"", event_id=0),
        TerminateMessage(app_id="1", user_id="ü"),
        CountMessage(),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: ClusterMessage) -> None:
    found = wire.decode_message(wire.encode_message("one.1", message))
    assert found is not None
    assert (found.sender, found.message) == ("one.1", message)


def test_what_a_later_release_adds_is_passed_over() -> None:
    body = [wire.WIRE, "one.1", ["event", b"p", 7, None, "more"], "more"]
    found = wire.decode_message(msgspec.msgpack.encode(body))
    assert found is not None
    assert found.message == EventMessage(payload=b"p", event_id=7)
    longer = [*msgspec.to_builtins(TRANSITION), "more"]
    assert wire.decode_transition(msgspec.msgpack.encode(longer)) == TRANSITION


@pytest.mark.parametrize(
    "body",
    [
        msgspec.msgpack.encode([wire.WIRE, "one.1", ["later", 1]]),
        msgspec.msgpack.encode([wire.WIRE + 1, "one.1", ["event", b"p", 7, None]]),
        b"",
        b"\xc1",
        b"\x93\x01",
    ],
)
def test_what_is_not_known_is_left_alone(body: bytes) -> None:
    assert wire.decode_message(body) is None
    assert wire.decode_transition(body) is None
    assert wire.decode_cached(body) is None


@pytest.mark.parametrize("depth", [900, 1_200, 12_000, 100_000])
def test_what_is_nested_beyond_what_an_interpreter_reads_is_no_error(depth: int) -> None:
    """Redis' other users can write it. Each interpreter ends at another depth."""
    deep = b"\x91" * depth + b"\x90"
    message = msgspec.msgpack.encode([wire.WIRE, "one.1", ["event", b"p", 7, None]])
    longer = b"\x94" + message[1:] + deep
    found = wire.decode_message(longer)
    assert found is None or found.message == EventMessage(payload=b"p", event_id=7)
    assert wire.is_of_another_release(longer) in (True, False)
    for body in (deep, b"\x93\x01\xa1a" + deep):
        assert wire.decode_message(body) is None
        assert wire.decode_transition(body) is None
        assert wire.decode_cached(body) is None


def test_a_transition_of_another_wire_is_left_alone() -> None:
    other = msgspec.structs.replace(TRANSITION, wire=wire.WIRE + 1)
    assert wire.decode_transition(wire.encode_transition(other)) is None
    assert wire.decode_transition(wire.encode_transition(TRANSITION)) == TRANSITION


@pytest.mark.parametrize(
    "payload",
    [
        b"p",
        channel_event("e", "cache-c", b'"d"'),
        channel_event(',"data":"d"', "cache-c", b'"d"'),
        channel_event("e", "cache-c", b'"other"'),
    ],
)
def test_a_cached_event_is_read_as_it_was_written(payload: bytes) -> None:
    event = LastEvent.of(payload, b'"d"', 5)
    found = wire.decode_cached(wire.encode_cached(event))
    assert found == event
    assert found.event(60.0) == CachedEvent(payload=payload, data=b'"d"', event_id=5, ttl=60.0)


def test_a_cached_event_has_its_data_once() -> None:
    data = b'"%b"' % (b"x" * 10_000)
    event = LastEvent.of(channel_event("e", "cache-c", data), data, 5)
    assert len(wire.encode_cached(event)) < 10_100


@pytest.mark.parametrize("topic", [channel_topic("7", "a:b"), members_topic("a:b/ü%", ""), CONTROL])
def test_the_app_of_an_address(topic: Topic) -> None:
    assert wire.app_of(wire.address_of(topic)) == topic[0]
    assert wire.app_of("none") == ""


@pytest.mark.parametrize(
    "message",
    [
        EventMessage(payload=b"{}", event_id=2**55 + 1, except_socket="1.2"),
        EventMessage(payload=b"x" * 100_000, event_id=0),
        TerminateMessage(app_id="1", user_id="7"),
        CountMessage(),
    ],
)
@pytest.mark.parametrize("node", ["a", "0123456789abcdef", "node-" * 20])
def test_a_node_knows_each_of_its_messages_by_how_it_begins(
    node: str, message: ClusterMessage
) -> None:
    assert wire.encode_message(node, message).startswith(wire.opening_of(node))


@pytest.mark.parametrize("other", ["b", "aa", "", "A"])
def test_no_other_node_s_message_is_taken_for_its_own(other: str) -> None:
    assert not wire.encode_message(other, CountMessage()).startswith(wire.opening_of("a"))
    assert not wire.encode_message("a", CountMessage()).startswith(wire.opening_of(other))
