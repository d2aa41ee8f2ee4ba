"""Accepting without a file left, and the two ways of accepting."""

import asyncio
import errno
import logging
import socket
from typing import cast

import pytest
import uvloop

from pusher_server.server.accepting import Acceptor
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.misdirected import MisdirectedLog
from tests.support.waiting import eventually


class Greeting(asyncio.Protocol):
    """Says hello; `made` are those there are."""

    made: "set[Greeting]"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.add(self)
        cast(asyncio.Transport, transport).write(b"hello")  # uvloop's is none by its type

    def connection_lost(self, exc: Exception | None) -> None:
        self.made.discard(self)


class Exhausted(socket.socket):
    """Cannot accept for a while."""

    failures = 3

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture
def made() -> set[Greeting]:
    """The connections of the test."""
    Greeting.made = set()
    return Greeting.made


def acceptor(listener: socket.socket, limit: int, connections: set[Greeting]) -> Acceptor:
    """Of clients that are greeted."""
    listener.setblocking(False)
    reserve = FileReserve(
        idle=(), refused=(), clock=asyncio.get_running_loop().time, resized=lambda capacity: None
    )
    reserve.limit_to(limit)
    reserve.connections = connections
    log = MisdirectedLog(lambda signal: None, asyncio.get_running_loop().time)
    return Acceptor([listener], Greeting, reserve, log, backlog=64, tls=None, handshake_timeout=1.0)


async def test_no_file_left_is_one_line_and_a_pause(
    made: set[Greeting], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pusher_server.server.accepting._REFUSED_PAUSE", 0.02)
    listener = Exhausted()
    listener.bind(("127.0.0.1", 0))
    accepting = acceptor(listener, 0, made)
    await accepting.open()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    with caplog.at_level(logging.ERROR):
        async with asyncio.timeout(5):
            assert await reader.read(5) == b"hello"
    assert listener.failures == 0
    (record,) = caplog.records
    assert "Too many open files" in record.getMessage()
    writer.close()
    accepting.close()


async def test_nobody_comes_in_beyond_the_limit_until_somebody_goes(made: set[Greeting]) -> None:
    """Who has to wait is not dropped."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepting = acceptor(listener, 20, made)  # ten may stay, five pass
    await accepting.open()
    clients = [await asyncio.open_connection(*listener.getsockname()) for _ in range(30)]
    await eventually(lambda: len(made) == 15)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(made) == 15
    for reader, writer in clients:  # one goes, the next comes
        async with asyncio.timeout(5):
            assert await reader.read(5) == b"hello"
        writer.transport.abort()
    await eventually(lambda: not made)
    accepting.close()


async def test_a_closed_one_accepts_nobody(made: set[Greeting]) -> None:
    """Also when it is closed in the middle of a pause."""
    listener = Exhausted()
    listener.bind(("127.0.0.1", 0))
    accepting = acceptor(listener, 0, made)
    await accepting.open()
    address = listener.getsockname()
    _, writer = await asyncio.open_connection(*address)
    await eventually(lambda: listener.failures < 3)
    accepting.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    assert not made
    writer.close()


class Lonely(socket.socket):
    """No second one of it can be made for a while."""

    failures = 0

    def dup(self) -> socket.socket:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENFILE, "Too many open files in system")
        return super().dup()


def test_clients_are_accepted_though_the_loop_cannot_accept_itself_again(
    made: set[Greeting], caplog: pytest.LogCaptureFixture
) -> None:
    """The system may be out of files while this process has room."""

    async def scenario() -> None:
        listener = Lonely()
        listener.bind(("127.0.0.1", 0))
        accepting = acceptor(listener, 0, made)
        await accepting.open()
        accepting._reserve.on_pressure()  # it accepts itself from now on
        await asyncio.sleep(0)
        listener.failures = 1
        accepting.tick()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        async with asyncio.timeout(5):
            assert await reader.read(5) == b"hello"
        assert not listener.failures
        writer.close()
        accepting.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
    (record,) = caplog.records
    assert "Too many open files" in record.getMessage()
