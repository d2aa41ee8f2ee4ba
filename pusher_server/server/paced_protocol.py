"""uvicorn's HTTP protocol, doing a bounded amount per turn of the loop for each client (`turns`).

Input beyond that is kept, in order, and nothing more is read meanwhile. The same holds while requests wait for
the answers to those before them.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pusher_server.server.http_pieces import RequestPieces
from pusher_server.turns import BYTES, REQUEST_UNITS, UNITS, PacedInput

#: Requests of a client that are parsed and wait for earlier answers: as many as one turn parses, at most.
PARSED_AHEAD = UNITS // REQUEST_UNITS


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    """One end of the connection; none of a Unix socket."""
    address = transport.get_extra_info(name)
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None


class PacedFlow(FlowControl):
    """uvicorn's, with a second reason not to read; `resumed` is called when uvicorn's own has gone.

    It does not go while `waiting` has something: uvicorn would read on after each answer, however many
    requests wait for theirs.
    """

    def __init__(self, transport: Any, waiting: Sized, resumed: Callable[[], None]) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self._resumed = resumed
        self._is_held = False

    def hold(self) -> None:
        """Do not read until `release`, even if uvicorn resumes."""
        self._is_held = True
        if not self.read_paused:
            self._transport.pause_reading()

    def release(self) -> None:
        """Read, unless uvicorn has paused."""
        self._is_held = False
        if not self.read_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            if not self._is_held:
                self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused and not self._waiting:
            self.read_paused = False
            if not self._is_held:
                self._transport.resume_reading()
            self._resumed()

    def forget(self) -> None:
        """The connection is none of HTTP's any more, so `resumed` is called no more."""
        self._resumed = _do_nothing


def _do_nothing() -> None:
    pass


class PacedProtocol(PacedInput, HttpToolsProtocol):
    """One HTTP connection. `feed` gives a piece of it to the parser."""

    flow: PacedFlow

    def __init__(self, **uvicorn: Any) -> None:
        PacedInput.__init__(self)
        HttpToolsProtocol.__init__(self, **uvicorn)
        self._pieces = RequestPieces()
        #: The other end's address; none of a Unix socket.
        self.peer: str | None = None
        #: The input that is being cut into pieces, and where the next one begins.
        self._input = b""
        self._at = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        # As uvicorn's, but the addresses are those that the loop knows: uvicorn makes two socket objects to
        # get them, seven system calls (docs/performance.md).
        self.connections.add(self)
        self.transport = transport
        self.flow = PacedFlow(transport, self.pipeline, self._go_on)
        self.server = _address(transport, "sockname")
        self.client = _address(transport, "peername")
        self.peer = None if self.client is None else self.client[0]
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        if self.scheme == "https":
            self.layered()

    @property
    def port(self) -> int | None:
        """Our port; None of a Unix socket."""
        return None if self.server is None else self.server[1]

    def feed(self, piece: bytes) -> bool:
        """Parse it, and serve what it completes. False when what follows has no meaning any more."""
        raise NotImplementedError

    def serve(self, data: bytes, *, is_late: bool = False) -> None:
        """Serve input. Most requests come alone, and are one piece for the parser."""
        head_end = 0
        if self.backlog is None and not is_late and len(data) <= BYTES:
            head_end = self._pieces.head_alone(data)
        if not head_end:
            super().serve(data, is_late=is_late)
            return
        self.feed(data)
        self._pieces.pass_over(data, head_end)
        if self.transport.get_protocol() is self:  # else it is a WebSocket now
            self._account(REQUEST_UNITS, len(data), None)

    def unserved(self) -> bytes:
        """Take back what has not been fed; it is read again."""
        rest = self._input[self._at :]
        self._at = len(self._input)
        backlog, self.backlog = self.backlog, None
        if backlog is not None:
            rest += backlog.rest
            backlog.drop()
            self.flow.release()
        return rest

    @property
    def unfed_bytes(self) -> int:
        """How much has come and waits to be fed."""
        waiting = 0 if self.backlog is None else self.backlog.rest_bytes
        return max(0, len(self._input) - self._at) + waiting

    def head_ended(self, headers: Mapping[bytes, bytes]) -> None:
        """The piece that is being parsed ends a head with these headers (names in lower case)."""
        self._pieces.begin_body(headers)
        self._pieces.units += REQUEST_UNITS

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.flow.resume_reading()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._at = len(self._input)
        self.forget_rest()
        super().connection_lost(exc)
        self.let_go()

    def let_go(self) -> None:
        """End what refers back to it. Else it stays until a garbage collection, which then has much to do."""
        self._unset_keepalive_if_required()
        self.flow.forget()
        self.parser = None  # type: ignore[assignment]  # as uvicorn's own

    def _steps(self, data: bytes) -> Iterator[int]:
        self._input, self._at = data, 0
        while self._at < len(data):
            start, self._at = self._at, self._pieces.end(data, self._at)
            if not self.feed(data[start : self._at]):
                break
            yield self._pieces.units
        self._input = b""

    def _hold(self) -> bool:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return False
        self.flow.hold()
        return True

    def _call_soon(self, callback: Callable[[], None]) -> object:
        return self.loop.call_soon(callback)

    def _is_blocked(self) -> bool:
        """Whether requests wait for answers, or the application does not read its body yet."""
        return self.flow.read_paused or bool(self.pipeline)

    def _go_on(self) -> None:
        if self.backlog is not None:
            self.backlog.go_on()

    def _caught_up(self) -> None:
        self.backlog = None
        self.flow.release()
