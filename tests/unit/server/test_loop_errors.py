"""A loop without files to accept with is one line a minute."""

import asyncio
import errno
import logging
import socket

import pytest

from pusher_server.server.loop_errors import limit_accept_errors
from tests.support.waiting import eventually


async def test_asyncios_own_accepting_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The listener of operators and the workers' bus accept with it."""
    loop = asyncio.get_running_loop()
    limit_accept_errors(loop)

    class Exhausted(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            raise OSError(errno.EMFILE, "Too many open files")

    bound = Exhausted()
    bound.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(lambda reader, writer: None, sock=bound)
    with socket.create_connection(bound.getsockname()), caplog.at_level(logging.ERROR):
        await eventually(lambda: bool(caplog.records))
        server.close()
    (record,) = caplog.records
    assert "Too many open files" in record.getMessage()


async def test_other_errors_are_told_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    limit_accept_errors(loop)
    for _ in range(2):
        loop.call_exception_handler({"message": "something broke"})
    assert [record.getMessage() for record in caplog.records] == ["something broke"] * 2
