"""The argument of an endpoint, and its parameters, which are read from the body or from the query."""

import zlib
from collections.abc import Mapping

from msgspec import Struct

from pusher_server.app import App
from pusher_server.auth.requests import Query
from pusher_server.errors import PusherServerError
from pusher_server.http_api.errors import ApiError, body_too_large

#: So much of an unwanted body is read all the same, so that the connection can be kept.
UNWANTED_BODY_BYTES = 65_536
#: Longer numbers of bytes are beyond every limit, and `int` is slow on endless ones.
_LENGTH_DIGITS = 15


class RequestHead(Struct, frozen=True, gc=False):
    """The part before the body of an HTTP request; the path percent-encoded, as received."""

    method: str
    path: bytes
    query: bytes = b""
    #: The Content-Encoding header, empty when there is none.
    encoding: bytes = b""
    #: The size of the body; None when only its end will show.
    length: int | None = 0


def body_length(headers: Mapping[bytes, bytes]) -> int | None:
    """How many bytes of body these headers announce; None when only the end will show (chunked)."""
    if b"transfer-encoding" in headers:
        return None
    declared = headers.get(b"content-length", b"0").strip()
    if not declared.isdigit():
        return None
    return int(declared) if len(declared) <= _LENGTH_DIGITS else 10**_LENGTH_DIGITS


class Call(Struct, frozen=True):
    """An authentic request for one app.

    `arguments` are the path's parameters after the app id, percent-decoded. `body` is inflated. `at_once`: the
    endpoint has to answer in this step; if it cannot, it raises NotAtOnce before it does anything.
    """

    app: App
    arguments: tuple[str, ...]
    query: Query
    body: bytes
    at_once: bool = False


class NotAtOnce(PusherServerError):
    """The answer would have to wait; nothing has happened yet. Never seen outside."""


def parameter(query: Query, name: str) -> str | None:
    """A query parameter as text, None when absent. Raises ApiError when it is not UTF-8."""
    value = query.get(name.encode())
    return None if value is None else _text(value, name)


def listed(query: Query, name: str) -> list[str]:
    """All values of a query parameter that may be written as a list (`name[]=a&name[]=b`)."""
    return [_text(value, name) for value in query.listed(name.encode())]


def attributes(text: str | None) -> frozenset[str]:
    """The names in an `info` parameter. Unknown ones stay, and nothing reads them.

    See docs/protocol/http-api.md#info.
    """
    return frozenset(map(str.strip, text.split(","))) if text else frozenset()


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ApiError(400, f"The parameter {name} is not UTF-8") from None


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Undo Content-Encoding. `limit` bounds the result: a small body must not become a huge one.

    Raises ApiError: 413 beyond the limit, 400 for broken data, 415 for an encoding other than gzip.
    """
    encoding = encoding.strip().lower()
    if encoding in (b"", b"identity") or not body:
        return body
    if encoding not in (b"gzip", b"x-gzip"):
        raise ApiError(
            415, "Content-Encoding must be gzip or identity", (b"accept-encoding", b"gzip")
        )
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise ApiError(400, "The request body is not valid gzip") from None
    if len(inflated) > limit:
        raise body_too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise ApiError(400, "The request body is not valid gzip")
    return inflated
