"""How a slow reader is told from a lost one, and what Linux tells of a peer's progress."""

import socket
import sys
from typing import Any

import pytest

from pusher_server.clients.slow_reader import SlowReader, bytes_acknowledged
from tests.support.fakes import FakeTransport
from tests.support.waiting import eventually

STALL = 2.0


def lost(reader: SlowReader, now: float, buffered: int, acknowledged: int | None) -> bool:
    return reader.is_lost(now, buffered=buffered, acknowledged=acknowledged, stall_timeout=STALL)


def test_more_than_the_cap_on_top_of_what_was_buffered_is_too_much() -> None:
    reader = SlowReader(100.0, buffered=1_000, cap=500)
    assert not lost(reader, 100.1, 1_500, 1)
    assert lost(reader, 100.2, 1_501, 2)


def test_who_takes_something_now_and_then_stays() -> None:
    reader = SlowReader(100.0, buffered=1_000, cap=500)
    for step in range(20):
        assert not lost(reader, 100.0 + 1.9 * step, 1_000, 10 + step)


def test_who_takes_nothing_for_the_stall_time_is_lost() -> None:
    reader = SlowReader(100.0, buffered=1_000, cap=500)
    assert not lost(reader, 100.25, 1_000, 10)
    assert not lost(reader, 102.25, 1_200, 10)
    assert lost(reader, 102.3, 900, 10)


def test_where_the_system_tells_nothing_a_smaller_buffer_is_progress() -> None:
    reader = SlowReader(100.0, buffered=1_000, cap=500)
    assert not lost(reader, 100.0, 1_000, None)
    assert not lost(reader, 101.9, 999, None)
    assert not lost(reader, 103.8, 998, None)
    assert lost(reader, 106.0, 998, None)


class SocketTransport(FakeTransport):
    def __init__(self, handle: Any) -> None:
        super().__init__()
        self._handle = handle

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._handle if name == "socket" else default


def test_without_a_tcp_socket_nothing_is_known() -> None:
    assert bytes_acknowledged(SocketTransport(None)) is None
    one, other = socket.socketpair()
    with one, other:
        assert bytes_acknowledged(SocketTransport(one)) is None


def test_a_socket_that_is_closed_tells_nothing() -> None:
    handle = socket.socket()
    handle.close()
    assert bytes_acknowledged(SocketTransport(handle)) is None


def test_other_systems_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with socket.socket() as handle:
        assert bytes_acknowledged(SocketTransport(handle)) is None


def test_a_kernel_that_tells_less_tells_nothing() -> None:
    class Short:
        family = socket.AF_INET

        def fileno(self) -> int:
            return -1

    assert bytes_acknowledged(SocketTransport(Short())) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_linux_tells_how_much_has_been_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        peer, _ = server.accept()
        transport = SocketTransport(client)
        before = bytes_acknowledged(transport)
        assert before is not None
        client.sendall(b"x" * 1_000)
        with peer:
            peer.recv(1_000, socket.MSG_WAITALL)
            await eventually(lambda: (bytes_acknowledged(transport) or 0) >= before + 1_000)


def test_what_a_slow_reader_is_owed_is_kept_and_counted() -> None:
    slow = SlowReader(100.0, buffered=10, cap=100)
    for frame in (b"a" * 50, b"b" * 50):
        slow.keep(frame)
    assert slow.kept() == [b"a" * 50 + b"b" * 50]
    assert not slow.is_lost(100.25, buffered=10, acknowledged=1, stall_timeout=2)
    slow.keep(b"c")
    assert slow.is_lost(100.5, buffered=10, acknowledged=2, stall_timeout=2)
