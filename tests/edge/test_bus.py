# ruff: noqa: ASYNC240 (a look at a temporary folder blocks nobody)
"""The bus of a machine's workers and their links to it, over real Unix sockets."""

import asyncio
import logging
import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pusher_server.cluster.commands import (
    Count,
    Enter,
    Entered,
    Fenced,
    Publish,
    Recall,
    Remember,
    Snapshot,
    Subscribe,
    TopicState,
    Track,
    Tracked,
    Unsubscribe,
    Untrack,
)
from pusher_server.cluster.links import QUEUE_BYTES
from pusher_server.cluster.unix import bus as bus_module
from pusher_server.cluster.unix import framing
from pusher_server.cluster.unix import link as link_module
from pusher_server.cluster.unix.bus import ANSWER_BYTES, BACKLOG_BYTES, Bus
from pusher_server.cluster.unix.framing import CALL, EVENT, HELLO_FRAME, TELL, event_frame, frame
from pusher_server.cluster.unix.link import UnixLink
from pusher_server.cluster.wire import decode_transition
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import RosterFull
from tests.support.waiting import eventually

HOLDER = "a.1.1"
ROOM = "members:1:presence-x"
NEWS = "channel:1:news"


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.pushes: list[tuple[str, bytes]] = []
        self.lost: list[str] = []

    def on_push(self, address: str, body: bytes) -> None:
        self.pushes.append((address, body))

    def on_lost(self, reason: str) -> None:
        self.lost.append(reason)


class Machine:
    """A bus at a path, which may be ended and started again, and links to it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.links: list[UnixLink] = []
        self.bus: Bus
        self.server: asyncio.Server

    async def start(self) -> None:
        self.bus = Bus(lease=10.0, undo_window=1.0)
        loop = asyncio.get_running_loop()
        self.server = await loop.create_unix_server(self.bus.peer, self.path)

    async def stop(self) -> None:
        self.server.close()
        for peer in list(self.bus.peers):
            peer.cut("the test ends it")
        await self.server.wait_closed()
        Path(self.path).unlink(missing_ok=True)

    async def link(self) -> tuple[UnixLink, Heard]:
        made, heard = UnixLink(self.path), Heard()
        made.attach(heard)
        await made.open()
        self.links.append(made)
        return made, heard

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection for what no link would send, greetings exchanged."""
        reader, writer = await asyncio.open_unix_connection(self.path, limit=2**16)
        writer.write(HELLO_FRAME)
        assert await reader.readexactly(len(HELLO_FRAME)) == HELLO_FRAME
        return reader, writer


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path / "bus")
    await made.start()
    yield made
    for each in made.links:
        each.close()
    await made.stop()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage()
        for each in caplog.records
        if each.name == "pusher_server.cluster" and each.levelno >= logging.WARNING
    ]


async def test_answers_come_in_the_order_of_the_questions(machine: Machine) -> None:
    """Each by its own type; a refusal in between is the exception it names."""
    link, _ = await machine.link()
    answers = await asyncio.gather(
        link.call(Enter(HOLDER)),
        link.call(Track(HOLDER, ROOM, "u1", "one")),
        link.call(Track("nobody.1.1", ROOM, "u2", "two")),
        link.call(Track(HOLDER, ROOM, "u2", "two", limit=1)),
        link.call(Count(ROOM)),
        link.call(Snapshot(ROOM)),
        return_exceptions=True,
    )
    epoch = machine.bus.epoch
    assert answers[0] == Entered(epoch, [])
    assert answers[1] == Tracked(1, held_now=True, returned=False, unsure=True)
    assert isinstance(answers[2], Fenced)
    assert isinstance(answers[3], RosterFull)
    assert answers[4:] == [1, TopicState(epoch, 1, {"u1": "one"})]


async def test_events_reach_the_others_who_subscribed(machine: Machine) -> None:
    """In order, by address, and not who published, unless it asked for an answer."""
    one, heard_one = await machine.link()
    two, heard_two = await machine.link()
    _, heard_three = await machine.link()
    for link in (one, two):
        await link.call(Subscribe(NEWS))
    for number in range(500):
        assert one.publish(Publish(NEWS, b"%d" % number))
        assert one.publish(Publish("channel:1:other", b"nobody"))
    one.publish(Remember(NEWS, b"last", b"cached", 60.0))
    await one.call(Publish(NEWS, b"asked"))
    await eventually(lambda: len(heard_two.pushes) == 502)
    sent = [b"%d" % number for number in range(500)] + [b"last", b"asked"]
    assert heard_two.pushes == [(NEWS, body) for body in sent]
    assert heard_three.pushes == []
    assert heard_one.pushes == [(NEWS, b"asked")]
    assert (await two.call(Recall(NEWS))).cached == b"cached"
    await two.call(Unsubscribe(NEWS))
    one.publish(Publish(NEWS, b"late"))
    await one.call(Count(ROOM))
    await two.call(Count(ROOM))
    assert len(heard_two.pushes) == 502


async def test_transitions_reach_who_caused_them_before_the_answer(machine: Machine) -> None:
    """And every other subscriber of the topic."""
    one, heard_one = await machine.link()
    two, heard_two = await machine.link()
    for link in (one, two):
        await link.call(Subscribe(ROOM))
    await one.call(Enter(HOLDER))
    seen: list[int] = []
    tracked = one.call(Track(HOLDER, ROOM, "u1", "v"))
    tracked.add_done_callback(lambda _: seen.append(len(heard_one.pushes)))
    await tracked
    assert seen == [1]
    await one.call(Untrack(HOLDER, ROOM, "u1"))
    await eventually(lambda: len(heard_two.pushes) == 2)
    assert heard_two.pushes == heard_one.pushes
    found = [decode_transition(body) for _, body in heard_two.pushes]
    assert [(each.n, each.key, each.held) for each in found if each] == [
        (1, "u1", True),
        (2, "u1", False),
    ]


async def test_a_push_behind_an_answer_comes_after_it(machine: Machine) -> None:
    """Although both lie in one chunk: whoever awaited the answer has run by then."""
    one, heard = await machine.link()
    two, _ = await machine.link()
    order: list[str] = []

    async def ask() -> None:
        await one.call(Subscribe(NEWS))
        order.append(f"answer, {len(heard.pushes)} pushes")

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)  # the question is queued, the publication goes out in the same turn
    for number in range(20):
        two.publish(Publish(NEWS, b"%d" % number))
    await asking
    await eventually(lambda: len(heard.pushes) == 20)
    assert order == ["answer, 0 pushes"]


async def test_a_bus_that_comes_back_is_another(machine: Machine) -> None:
    """The listener hears of the loss once, open answers fail; memory and subscriptions are gone."""
    link, heard = await machine.link()
    await link.call(Enter(HOLDER))
    await link.call(Track(HOLDER, ROOM, "u1", "v"))
    before = machine.bus.epoch
    open_answers = [link.call(Count(ROOM)) for _ in range(3)]
    await machine.stop()
    for answer in open_answers:
        with pytest.raises(ClusterUnavailable):
            await answer
    assert len(heard.lost) == 1
    with pytest.raises(ClusterUnavailable, match="no connection to the bus"):
        await link.call(Count(ROOM))
    assert not link.publish(Publish(NEWS, b"x"))
    assert link.stats.dropped == 1
    with pytest.raises(ClusterUnavailable, match="no bus at"):
        await link.open()
    await machine.start()
    await link.open()
    entered = await link.call(Enter(HOLDER))
    assert entered.epoch == machine.bus.epoch != before
    assert await link.call(Count(ROOM)) == 0
    assert (len(heard.lost), link.stats.opened) == (1, 2)


async def test_closing_is_no_loss(machine: Machine) -> None:
    """Open answers fail, the listener hears nothing, and it may be opened again, twice at once."""
    link, heard = await machine.link()
    answer = link.call(Count(ROOM))
    link.close()
    link.close()
    with pytest.raises(ClusterUnavailable):
        await answer
    await asyncio.gather(link.open(), link.open())
    assert await link.call(Count(ROOM)) == 0
    await eventually(lambda: len(machine.bus.peers) == 1)
    assert heard.lost == []


async def test_the_end_of_a_link_ends_its_subscriptions(machine: Machine) -> None:
    """What it holds stays: its lease runs on."""
    one, _ = await machine.link()
    two, heard = await machine.link()
    await two.call(Subscribe(NEWS))
    await two.call(Enter("b.1.1"))
    await two.call(Track("b.1.1", ROOM, "u1", "v"))
    two.close()
    await eventually(lambda: len(machine.bus.peers) == 1)
    await one.call(Publish(NEWS, b"x"))
    assert await one.call(Count(ROOM)) == 1
    await two.open()
    await one.call(Publish(NEWS, b"y"))
    await two.call(Count(ROOM))
    assert heard.pushes == []


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack("<IB", 2**32 - 1, CALL) + b"x" * 100,
        struct.pack("<IB", 0, CALL),
        frame(99, b"x"),
        frame(CALL, b"\xc1"),
        frame(CALL, msgspec.msgpack.encode(["no such command", "x"])),
        frame(TELL, msgspec.msgpack.encode(["track", 1, 2, 3])),
        frame(EVENT, b"\x01"),
        struct.pack("<IBI", 9, EVENT, 5_000) + b"abcd",
        HELLO_FRAME,
        random.Random(4).randbytes(5_000),
    ],
    ids=["http", "huge", "empty", "kind", "no msgpack", "no command", "wrong types",
         "short event", "long address", "second greeting", "noise"],
)  # fmt: skip
async def test_whoever_speaks_another_language_is_sent_away(
    machine: Machine, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    """With one line in the log; the others go on."""
    link, _ = await machine.link()
    reader, writer = await machine.raw()
    writer.write(said)
    assert await reader.read() == b""
    writer.close()
    assert len(warnings(caplog)) == 1
    assert "does not speak our language" in warnings(caplog)[0]
    assert await link.call(Count(ROOM)) == 0


async def test_another_version_is_told_apart(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when the package is replaced under a running supervisor."""
    monkeypatch.setattr(link_module, "HELLO_FRAME", frame(framing.HELLO, b"0"))
    link = UnixLink(machine.path)
    await link.open()  # the greetings cross; the end follows
    with pytest.raises(ClusterUnavailable):
        await link.call(Count(ROOM))
    assert "restart the server whole" in warnings(caplog)[0]


async def test_frames_may_come_in_any_pieces(machine: Machine) -> None:
    """Byte by byte, and many in one."""
    link, heard = await machine.link()
    await link.call(Subscribe(NEWS))
    _, writer = await machine.raw()
    said = b"".join(event_frame(NEWS.encode(), b"%d" % number) for number in range(30))
    for at in range(len(said)):
        writer.write(said[at : at + 1])
        await writer.drain()
        if at % 7 == 0:
            await asyncio.sleep(0)
    big = random.Random(1).randbytes(3_000_000)
    writer.write(event_frame(NEWS.encode(), big) + said)
    await eventually(lambda: len(heard.pushes) == 61)
    expected = [b"%d" % number for number in range(30)]
    assert [body for _, body in heard.pushes] == [*expected, big, *expected]
    writer.close()


async def test_a_worker_that_does_not_read_is_cut(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """At a bound; the others get everything meanwhile."""
    publisher, _ = await machine.link()
    healthy, heard = await machine.link()
    await healthy.call(Subscribe(NEWS))
    _, writer = await machine.raw()
    writer.write(frame(CALL, msgspec.msgpack.encode(Subscribe(NEWS))))
    await eventually(lambda: len(machine.bus._subscriptions[NEWS.encode()]) == 2)
    body = bytes(100_000)
    count = 2 * BACKLOG_BYTES // len(body)
    most = 0
    for number in range(count):
        assert publisher.publish(Publish(NEWS, body))
        if number % 8 == 0:
            await publisher.call(Count(ROOM))
        most = max(most, *(
            peer._transport.get_write_buffer_size() for peer in machine.bus.peers if peer._transport
        ))  # fmt: skip
    await eventually(lambda: len(heard.pushes) == count)
    assert len(warnings(caplog)) == 1
    assert "it does not read" in warnings(caplog)[0]
    assert len(machine.bus.peers) == 2
    assert BACKLOG_BYTES / 2 < most < BACKLOG_BYTES + 2 * len(body)
    writer.close()
    assert await publisher.call(Count(ROOM)) == 0


async def test_who_asks_for_much_gets_it_as_fast_as_it_reads(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that declares anew asks for all its lists at once: it is neither cut nor hoarded for."""
    link, _ = await machine.link()
    await link.call(Enter(HOLDER))
    for number in range(100):
        link.call(Track(HOLDER, ROOM, f"u{number}", "v" * 10_000))
    await link.call(Count(ROOM))
    reader, writer = await machine.raw()
    asked = 2 * BACKLOG_BYTES // 1_000_000
    writer.write(frame(CALL, msgspec.msgpack.encode(Snapshot(ROOM))) * asked)
    await writer.drain()
    await eventually(lambda: any(each._held for each in machine.bus.peers))
    for each in machine.bus.peers:
        assert each._transport is not None
        assert each.queued + each._transport.get_write_buffer_size() < ANSWER_BYTES + 2_000_000
    for _ in range(asked):
        size = struct.unpack("<I", await reader.readexactly(4))[0]
        assert size > 1_000_000
        await reader.readexactly(size)
    writer.write(frame(CALL, msgspec.msgpack.encode(Count(ROOM))))
    assert await reader.readexactly(6) == frame(framing.ANSWER, msgspec.msgpack.encode(100))
    writer.close()
    assert warnings(caplog) == []


async def test_a_bus_that_does_not_read_fills_no_worker(tmp_path: Path) -> None:
    """Publications are dropped and counted from a bound on."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO_FRAME)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        held.append(writer)

    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(silent, str(tmp_path / "bus"), limit=1024)
    link = UnixLink(str(tmp_path / "bus"))
    link.attach(Heard())
    await link.open()
    body = bytes(100_000)
    sent = [link.publish(Publish(NEWS, body)) for _ in range(60)]
    await asyncio.sleep(0)
    sent += [link.publish(Publish(NEWS, body)) for _ in range(240)]
    accepted = sent.index(False)
    assert QUEUE_BYTES <= accepted * len(body) < QUEUE_BYTES + 2_000_000
    assert not any(sent[accepted:])
    assert link.stats.dropped == len(sent) - accepted
    link.close()
    for writer in held:
        writer.close()
    server.close()


async def test_open_says_why_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, nobody behind it, no greeting, another program."""
    path = tmp_path / "bus"
    link = UnixLink(str(path))
    with pytest.raises(ClusterUnavailable, match=f"no bus at {path}: No such file"):
        await link.open()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(link_module, "OPEN_TIMEOUT", 0.05)
    server = await loop.create_unix_server(asyncio.Protocol, str(path))
    with pytest.raises(ClusterUnavailable, match=r"does not answer within 0\.05 s"):
        await link.open()
    server.close()
    with pytest.raises(ClusterUnavailable, match="no bus at"):
        await link.open()

    class Other(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(b"220 mail.example.com ESMTP\r\n")  # type: ignore[attr-defined]

    path.unlink(missing_ok=True)
    server = await loop.create_unix_server(Other, str(path))
    with pytest.raises(ClusterUnavailable, match="does not speak our language"):
        await link.open()
    server.close()


async def test_a_command_that_fails_is_refused_and_the_order_holds(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the store's is told as a passing one."""
    link, _ = await machine.link()
    execute = machine.bus._store.execute

    def faulty(command: object, now: float) -> object:
        if isinstance(command, Snapshot):
            raise ValueError("a fault of ours")
        return execute(command, now)  # type: ignore[arg-type]

    monkeypatch.setattr(machine.bus._store, "execute", faulty)
    failed, counted = link.call(Snapshot(ROOM)), link.call(Count(ROOM))
    with pytest.raises(ClusterUnavailable, match="refused: failed"):
        await failed
    assert await counted == 0
    assert warnings(caplog) == ["a command failed: Snapshot"]
    caplog.clear()  # what it asserts is no fault


def test_epochs_are_52_bits() -> None:
    """And differ."""
    epochs = {bus_module.new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(int(each, 16) < 2**52 for each in epochs)
