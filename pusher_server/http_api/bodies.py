"""The body of a request: gathered for those who may send it, dropped for all others."""

import contextlib

from starlette.types import Receive


class ClientLeft(Exception):
    """The client left before its request was complete."""


class RequestBody:
    """The body that comes through `receive`. `length` is as the head announced it, None when chunked."""

    def __init__(self, receive: Receive, length: int | None) -> None:
        self._receive = receive
        self._length = length
        self.has_ended = length == 0

    async def gather(self, limit: int) -> bytes | None:
        """Return the whole body, or None as soon as it exceeds `limit`. Raises ClientLeft."""
        gathered = b"" if self.has_ended else await self._next()
        if len(gathered) > limit:
            return None
        if self.has_ended:  # most come whole
            return gathered
        more = bytearray(gathered)  # a list of tiny pieces takes many times their bytes
        while not self.has_ended:
            more += await self._next()
            if len(more) > limit:
                return None
        return bytes(more)

    async def drop(self, limit: int) -> bool:
        """Read to the end and keep nothing; False when there is more than `limit`. Raises ClientLeft.

        Nothing is read when the head announces more: the first read is what lets a client continue that
        sent `Expect: 100-continue`.
        """
        if self.has_ended:
            return True
        if self._length is not None and self._length > limit:
            return False
        size = 0
        while not self.has_ended:
            size += len(await self._next())
            if size > limit:
                return False
        return True

    async def wait_for_the_end(self) -> None:
        """Wait until the client has left, and drop all that it sends."""
        with contextlib.suppress(ClientLeft):
            while True:
                await self._next()

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        self.has_ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk
