"""Bytes from peers and stores, whatever they are: read, or left out; never an error that nobody expects."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pusher_server.cluster import commands as ask
from pusher_server.cluster import wire
from pusher_server.cluster.last_events import LastEvent
from pusher_server.cluster.membership import StoreMembership
from pusher_server.cluster.redis.encoding import query_of
from pusher_server.cluster.redis.link import UNEXPECTED
from pusher_server.cluster.unix.bus import Bus
from pusher_server.cluster.unix.framing import (
    ANSWER,
    CALL,
    HELLO_FRAME,
    REFUSAL,
    TELL,
    event_frame,
    frame,
)
from pusher_server.cluster.unix.link import UnixLink, _Stream
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import EventMessage, members_topic
from tests.support.fakes import FakeListener

EVENT = wire.encode_message("one.1", EventMessage(payload=b'{"a":"\xc3\xbc"}', event_id=7))
TRANSITION = wire.encode_transition(
    wire.Transitioned(wire.WIRE, "a", 3, "k", '{"x":1}', True, False, False, "one.1.1")
)
CACHED = wire.encode_cached(LastEvent.of(b'{"event":"e","data":"\xc3\xbc"}', b'"\xc3\xbc"', 1))


@st.composite
def damaged(draw: st.DrawFn, of: tuple[bytes, ...] = (EVENT, TRANSITION, CACHED)) -> bytes:
    """What was right once, with some bytes replaced, or cut."""
    body = bytearray(draw(st.sampled_from(of)))
    for _ in range(draw(st.integers(1, 3))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body[: draw(st.integers(0, len(body)))])


BYTES = st.one_of(st.binary(max_size=60), damaged())
DEEP = b"\x91" * 100_000


@given(BYTES)
@example(b"\x93\x01\xa1\xff\x91\xa5count")
@example(DEEP)
@example(msgspec.msgpack.encode([1, "one", ["event", b"\xff", 1, None]]))
@example(msgspec.msgpack.encode([1, "not hex", 1, "k", "v", True, False, False, "h"]))
def test_a_body_is_read_or_left_out(body: bytes) -> None:
    """What is read can be sent to browsers."""
    message = wire.decode_message(body)
    if message is not None and isinstance(message.message, EventMessage):
        message.message.payload.decode()
    transition = wire.decode_transition(body)
    if transition is not None:
        int(transition.epoch, 16)
    cached = wire.decode_cached(body)
    if cached is not None:
        event = cached.event(1.0)
        (event.payload + event.data).decode()
    wire.is_of_another_release(body)


REPLIES = st.recursive(
    st.none() | st.integers() | st.binary(max_size=20) | damaged() | st.floats() | st.booleans(),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=12,
)
COMMANDS: list[ask.Command[Any]] = [
    ask.Snapshot("members:1:presence-x", True),
    ask.Lookup("channels:1:", ["a", "b"]),
    ask.Scan("channels:1:", "", ""),
    ask.Recall("channel:1:c"),
    ask.Renew("one.1.1", 0, {}),
    ask.Enter("one.1.1"),
    ask.Track("one.1.1", "members:1:presence-x", "k", "v"),
    ask.Untrack("one.1.1", "members:1:presence-x", "k"),
    ask.Tally("n", ""),
    ask.Count("channels:1:"),
]


@given(command=st.sampled_from(COMMANDS), reply=REPLIES)
def test_a_reply_of_redis_is_read_or_refused(command: ask.Command[Any], reply: Any) -> None:
    what = query_of(command, "base", "run", lambda key, field: None)
    with suppress(*UNEXPECTED):
        what.read(reply)


@given(bad=st.lists(BYTES, min_size=1, max_size=5), field=st.binary(max_size=5))
def test_a_bad_row_of_redis_is_left_out_alone(bad: list[bytes], field: bytes) -> None:
    """The good ones beside it are found, and each bad one is told with its place."""
    good = msgspec.msgpack.encode((1, "v", {"one.1.1": "v"}))
    flat: list[bytes] = [b"good", good, b"\xff\xfe", good]
    for number, each in enumerate(bad):
        flat += [field + b"%d" % number, each]
    told: list[tuple[str, bytes]] = []

    def left_out(key: str, at: bytes) -> None:
        told.append((key, at))

    page = query_of(ask.Scan("channels:1:", "", ""), "base", "run", left_out).read([b"0", flat])
    assert page.by_key["good"] == {"one.1.1": "v"}  # type: ignore[attr-defined]
    assert told[0] == ("base:t:channels:1:", b"\xff\xfe")
    state = query_of(ask.Snapshot("channels:1:", True), "base", "run", left_out).read(
        [b"a", 3, flat]
    )
    assert state.entries["good"] == "v"  # type: ignore[attr-defined]


class SilentLink:
    """A link to nowhere."""

    peer = "nowhere"
    is_open = False

    def attach(self, listener: object) -> None:
        """Nobody is told."""


def new_membership() -> StoreMembership:
    """Of a node whose link leads nowhere."""
    link: Any = SilentLink()
    return StoreMembership(link, "two.2", lease=10, undo_window=3, random=lambda: 0.5)


@pytest.fixture(scope="module")
def membership() -> StoreMembership:
    return new_membership()


@given(
    body=BYTES, kind=st.sampled_from(["channel", "members", "channels", "users", "control", "x"])
)
@example(body=b"\x93\x01\xa1\xff\x91\xa5count", kind="channel")
@example(body=DEEP, kind="members")
def test_a_push_never_raises(membership: StoreMembership, body: bytes, kind: str) -> None:
    """`on_push` would log a traceback."""
    membership._take_in(f"{kind}:1:x", body)


async def test_what_a_later_release_announces_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its kinds of topics are none of ours; what stands beside them in the batch is announced."""
    membership, listener = new_membership(), FakeListener()
    membership.attach(listener)
    due = [
        ask.Announcement("threads:1:x", "a", held=True, version="a.1"),
        ask.Announcement("members:1:presence-x", "b", held=True, version="a.2"),
    ]
    membership._settle(ask.Renewed("a", membership._settled + 1, due, 1, {}, {}, more=False))
    assert listener.joined == [(members_topic("1", "presence-x"), "b")]
    assert caplog.records == []


def test_operators_read_once_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """What another release may say is no reason to complain."""
    membership = new_membership()
    for _ in range(100):
        membership.on_push("channel:1:x", b"\xff")
        membership.on_push("channel:1:x", msgspec.msgpack.encode([2, "later", ["news"]]))
    assert len(caplog.records) == 1
    assert "'channel:1:x' at nowhere" in caplog.text
    assert caplog.records[0].exc_info is None


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    def write(self, data: object) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        """Note it."""
        self.ended = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is room."""

    def get_write_buffer_size(self) -> int:
        """It is empty."""
        return 0

    def pause_reading(self) -> None:
        """As one likes."""

    def resume_reading(self) -> None:
        """As one likes."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket."""
        return default


FRAMES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([ANSWER, REFUSAL, CALL, TELL, 3]), BYTES).map(
            lambda each: frame(*each)
        ),
        st.tuples(st.binary(max_size=8), BYTES).map(lambda each: event_frame(*each)),
        BYTES,
    ),
    max_size=5,
).map(b"".join)


def in_a_loop(test: Callable[[], None]) -> list[dict[str, Any]]:
    """Run it and a few turns more; what the loop complains of."""
    complaints: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        test()
        for _ in range(3):
            await asyncio.sleep(0)

    asyncio.run(run())
    return complaints


@given(FRAMES)
@example(frame(ANSWER, b"\xa1\xff"))
@example(event_frame(b"\xff", b"x"))
@example(frame(REFUSAL, b"") + event_frame(b"\xff", b"x"))
def test_a_worker_survives_what_the_bus_says(said: bytes) -> None:
    """The connection ends at the worst, and open questions fail."""

    def test() -> None:
        link = UnixLink("/nowhere")
        stream = _Stream(link, asyncio.get_running_loop())
        stream.connection_made(Wire())
        stream.data_received(HELLO_FRAME)
        answer = stream.call(ask.Enter("one.1.1"))
        stream.data_received(said)
        if stream.ended and not answer.done():
            raise AssertionError("somebody waits for ever")
        if answer.done() and answer.exception() is not None:
            assert isinstance(answer.exception(), ClusterUnavailable)

    assert in_a_loop(test) == []


@given(FRAMES)
@example(frame(CALL, b"\x92\xa9subscribe\xa1\xff"))
@example(frame(TELL, b"\x92\xa9subscribe\xa1\xff"))
def test_the_bus_survives_what_a_worker_says(said: bytes) -> None:
    """That one is sent away at the worst."""

    def test() -> None:
        peer = Bus(lease=10, undo_window=3).peer()
        peer.connection_made(Wire())
        peer.data_received(HELLO_FRAME)
        peer.data_received(said)

    logging.getLogger("pusher_server.cluster").disabled = True
    try:
        assert in_a_loop(test) == []
    finally:
        logging.getLogger("pusher_server.cluster").disabled = False
