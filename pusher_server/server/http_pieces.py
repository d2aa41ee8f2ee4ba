"""Cuts the input of an HTTP client into pieces, so that the parser does little with each piece.

httptools parses all that it is given at once, be it thousands of requests. A piece is at most one request's
head, one chunk of a body, or body. The parser alone decides the meaning of the bytes. A cut in a wrong place
would only make it do more at once.
"""

from collections.abc import Mapping

#: Of a head or of trailers, the parser gets no more than this at once: some 400 header lines, 0.15 ms.
_HEAD_BYTES = 2_048
#: So many of them count as one unit of a turn, about 10 µs.
_HEAD_BYTES_PER_UNIT = 128
_HEAD_END = b"\r\n\r\n"
#: As long as the longest beginning that names another protocol: an HTTP/2 preface.
_OPENING_BYTES = 16
#: Of a chunk's size; zeros in front do not count.
_SIZE_DIGITS = 17


class RequestPieces:
    """Follows one client's requests; `begin_body` is called where a head has ended."""

    __slots__ = ("_is_chunked", "_left", "_size", "_tail", "opening", "units")

    def __init__(self) -> None:
        #: Units of a turn that the last piece costs.
        self.units = 0
        #: Bytes of a body or a chunk that are still to come.
        self._left = 0
        self._is_chunked = False
        #: A chunk's size, as far as it has come.
        self._size = b""
        #: The last bytes of a head that has not ended.
        self._tail = b""
        #: The first bytes of a head that did not come in one piece: they show what is no HTTP.
        self.opening = b""

    def begin_body(self, headers: Mapping[bytes, bytes]) -> None:
        """A head with these headers (names in lower case) ended with the last piece."""
        length = headers.get(b"content-length", b"")
        self._left = int(length) if length.isdigit() and len(length) < 20 else 0
        self._is_chunked = b"transfer-encoding" in headers
        self._tail = self.opening = b""

    def head_alone(self, data: bytes) -> int:
        """Where the head ends, if all of this may be one piece: no line follows it, so no chunk and no head.

        Most requests come so. Call `pass_over` once the parser has had them.
        """
        if self._left or self._is_chunked or self._tail:
            return 0
        start = data.find(_HEAD_END, 0, _HEAD_BYTES)
        end = start + len(_HEAD_END)
        return end if start >= 0 and data.find(b"\n", end) < 0 else 0

    def pass_over(self, data: bytes, at: int) -> None:
        """Follow the bytes from `at` on, which the parser had together with the head."""
        while at < len(data):
            at = self.end(data, at)

    def end(self, data: bytes, at: int) -> int:
        """Where the piece ends that begins at `at`."""
        left = self._left
        if left:
            self.units = 1
            end = min(at + left, len(data))
            self._left = left - (end - at)
            return end
        if not self._is_chunked and not self._tail:
            start = data.find(_HEAD_END, at, at + _HEAD_BYTES)
            if start >= 0:
                end = start + len(_HEAD_END)
                self.units = 1 + (end - at) // _HEAD_BYTES_PER_UNIT
                return end
        return self._chunk_end(data, at) if self._is_chunked else self._begun_end(data, at)

    def _begun_end(self, data: bytes, at: int) -> int:
        """Where the piece ends, of a head that is not whole in it, or of trailers."""
        stop = min(at + _HEAD_BYTES, len(data))
        if len(self.opening) < _OPENING_BYTES:
            self.opening += data[at : at + _OPENING_BYTES]
        self.units = 1 + (stop - at) // _HEAD_BYTES_PER_UNIT
        known = len(self._tail)
        window = self._tail + data[at:stop]
        start = window.find(_HEAD_END)
        if start < 0:
            self._tail = window[-3:]
            return stop
        self._tail = b""
        return at + start + len(_HEAD_END) - known

    def _chunk_end(self, data: bytes, at: int) -> int:
        """Where a chunk with its size ends, as far as it is there. Trailers follow the last, empty chunk."""
        stop = min(at + _HEAD_BYTES, len(data))
        line_end = data.find(b"\n", at, stop)
        end = stop if line_end < 0 else line_end + 1
        self.units = 1 + (end - at) // _HEAD_BYTES_PER_UNIT
        self._size = (self._size + data[at:end]).lstrip(b"0")[:_SIZE_DIGITS]
        if line_end < 0:
            return end
        digits, self._size = self._size.split(b";")[0].strip(), b""
        try:
            size = int(digits or b"0", 16)
        except ValueError:  # the parser will refuse it
            size = 0
        if size <= 0:
            self._is_chunked = False
            self._tail = b"\r\n"
            return end
        whole = end + size + 2
        end = min(whole, len(data))
        self._left = whole - end
        return end
