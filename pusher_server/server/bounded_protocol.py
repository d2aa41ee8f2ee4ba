"""uvicorn's HTTP protocol within bounds: of heads, of time, and of input after the last answer."""

from typing import Any

import httptools

from pusher_server.server import request_guard
from pusher_server.server.http_heads import (
    HEAD_TOO_LARGE,
    HEADER_LINES,
    NO_HTTP,
    NO_SINGLE_HOST,
    TOO_MANY_HEADERS,
    names_its_host,
    refusal,
    without_offer,
)
from pusher_server.server.misdirected import MisdirectedLog, foreign_protocol
from pusher_server.server.paced_protocol import PacedProtocol
from pusher_server.server.request_guard import RequestGuard

#: Seconds in which the client may still send after the last answer, and bytes of it that we take. A reset
#: could destroy the answer unread. Clients that read while they send need neither.
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1_048_576


class BoundedProtocol(PacedProtocol):
    """One HTTP connection that cannot cost more than the guard allows."""

    def __init__(self, *, guard: RequestGuard, misdirected: MisdirectedLog, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._guard = guard
        self._misdirected = misdirected
        #: Bytes since the last piece of a body: head, trailers, chunk sizes.
        self._header_bytes = 0
        #: The refusal is sent, and later input is dropped; how much that was.
        self._refused = False
        self._dropped = 0
        #: Whether the request being read offers another protocol, which we do not take.
        self._declines = False
        #: A refusal that waits for the answers to the requests before it.
        self._last_words = b""
        #: When the body began to come, and how much there is of it.
        self._body_since = 0.0
        self._body_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._drop(len(data))
        else:
            self.serve(data)

    def feed(self, piece: bytes) -> bool:
        if self._refused or self.transport.is_closing():
            return False
        self._header_bytes += len(piece)
        while piece:
            piece = self._feed(piece)
        return True

    def _feed(self, data: bytes) -> bytes:
        """Parse. Returns the bytes to parse again, after an upgrade that we do not take."""
        rest = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Served below: an error that happens here would keep this one, and through its traceback us.
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self._refuse_garbage(data)
            return b""
        if rest is None:
            if self._header_bytes > self._guard.settings.header_bytes:
                self.refuse(*HEAD_TOO_LARGE)
        elif self._declines:
            return head + rest if (head := self._without_offer()) else b""
        else:
            self._upgrade(rest + self.unserved())
        return b""

    def _refuse_garbage(self, piece: bytes) -> None:
        """Answer a `piece` that is no HTTP/1; the answer and the log name another protocol."""
        mistake = foreign_protocol(self._pieces.opening or piece)
        if mistake is not None and not self._refused:
            self._misdirected.note(mistake, self.peer, self.port)
            self.refuse(b"400 Bad Request", f"{mistake.text}\n".encode())
        else:
            self.refuse(*NO_HTTP)

    def _upgrade(self, early: bytes) -> None:
        """Hand the transport over to another protocol; `early` came behind the request."""
        raise NotImplementedError

    def _without_offer(self) -> bytes:
        """The head of the request once more, for a new parser; empty when it is refused.

        Java's HttpClient and curl offer HTTP/2 with every request. The parser takes that for the end of
        HTTP, even if we decline it, and the body for another protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.refuse(b"400 Bad Request", b"This is no proxy.\n")
            return b""
        version = self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        return without_offer(method, self.url, version, self.headers)

    def pause_writing(self) -> None:
        self._guard.unread[self] = self.loop.time() + self._guard.settings.body_timeout
        super().pause_writing()

    def resume_writing(self) -> None:
        self._guard.unread.pop(self, None)
        super().resume_writing()

    def on_header(self, name: bytes, value: bytes) -> None:
        # As uvicorn's; a call of that would cost as much again. The parser leaves blanks behind a value.
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        headers = self.headers
        headers.append((name, value))
        if len(headers) > HEADER_LINES:
            self.refuse(*TOO_MANY_HEADERS)
            raise ValueError("too many headers")  # ends the parsing

    def end(self) -> None:
        """Close it; nothing more is to be written."""
        self._guard.end(self, self.loop.time())

    def shutdown(self) -> None:
        # asyncio's transport forgets its TLS layer when it is closed twice.
        if not self.transport.is_closing():
            super().shutdown()

    def linger(self) -> None:
        """Send no more, and drop input for a while. The answer is out."""
        self._refused = True
        self._guard.deadlines.pop(self, None)
        self.pipeline.clear()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._guard.idle[self] = self.loop.time() + _LINGER_SECONDS
        if self.transport.can_write_eof():  # not over TLS
            try:
                self.transport.write_eof()
            except OSError:  # asyncio's: the client has reset the connection meanwhile
                self.transport.abort()

    def refuse(
        self, status: bytes, text: bytes, headers: bytes = b"", *, is_last: bool = False
    ) -> None:
        """Answer, unless an answer has begun, and close; the first refusal counts.

        Requests that are complete get their answers before it. `is_last`: the last of them is refused.
        """
        if self._refused:
            return
        self._refused = True
        self._note_refusal(text)
        self._guard.deadlines.pop(self, None)
        words = refusal(status, text, headers)
        answering = self.cycle is not None and not self.cycle.response_complete
        is_partly_there = answering and self.cycle.more_body
        if answering and not is_last and (self.pipeline or not is_partly_there):
            self._last_words = words
            if is_partly_there:
                self.pipeline.popleft()  # it is the one that is refused, and has not begun
            return
        if not (answering and self.cycle.response_started):
            self.transport.write(words)
        begun = answering and (self.cycle.response_started or self.pipeline)
        if begun:
            self.end()
            return
        if answering:  # the application has nothing more to send
            self.cycle.disconnected = True
            # Our half ends: nothing may be written any more, not even a 100 Continue.
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        # Closing while the client still sends would answer it with a reset, which can destroy our words
        # unread. So it gets a while to notice that our half has ended.
        self.linger()

    def _note_refusal(self, text: bytes) -> None:
        """Called once when a request is refused with this text, before it was understood."""

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            if (
                self in self.connections
            ):  # else it is gone, and a pipelined request was answered too late
                self.end()
        elif self._last_words and is_last:
            self.transport.write(self._last_words)
            self.linger()

    def _drop(self, size: int) -> None:
        """Past the bound the client has to stop: it can read the answer, and we take no more."""
        self._dropped += size
        if self._dropped > _LINGER_BYTES:
            self.flow.pause_reading()

    def _check_host(self) -> None:
        if not names_its_host(self.headers, self.parser.get_http_version()):
            self.refuse(*NO_SINGLE_HOST)
            raise ValueError("no host, or several")  # ends the parsing

    def _measure_head(self) -> None:
        """Refuse a head that is too large by itself; a body may have come in the same segment."""
        size = len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])
        if size > self._guard.settings.header_bytes:
            self.refuse(*HEAD_TOO_LARGE)
            raise ValueError("the head is too large")  # ends the parsing

    def _begin_body(self) -> None:
        self._body_since = now = self.loop.time()
        self._body_bytes = 0
        self._guard.deadlines[self] = now + self._guard.settings.body_timeout

    def _count_body(self, size: int) -> None:
        """A piece of the body has come; the time for the next one."""
        self._body_bytes += size
        now = self.loop.time()
        deadline = now + self._guard.settings.body_timeout
        rated_from = self._body_since + request_guard.BODY_SECONDS
        if now > rated_from and not self.flow.read_paused:  # else the delay may be ours
            deadline = min(deadline, rated_from + self._body_bytes / request_guard.BODY_RATE)
        self._guard.deadlines[self] = deadline

    def _expect_within(self, seconds: float) -> None:
        self._guard.deadlines[self] = self.loop.time() + seconds
