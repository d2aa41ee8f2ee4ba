"""The HTTP request with which a client comes, for any transport."""

from collections.abc import Sequence

from msgspec import Struct

from pusher_server.protocol.errors import ConnectionRejected


class ClientRequest(Struct, frozen=True):
    """A parsed request: names in lower case, `target` as on the request line.

    `peer`: the address of the TCP connection's other end, None on a Unix socket. `by_proxy`: the peer is a
    trusted proxy, and `forwarded_for` is its value for the client. `refusal`: refuse any request with it.
    """

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]]
    peer: str | None = None
    by_proxy: bool = False
    forwarded_for: str | None = None
    refusal: ConnectionRejected | None = None

    def header(self, name: bytes) -> str | None:
        """The first header of this name."""
        for header, value in self.headers:
            if header == name:
                return value.decode("latin-1")
        return None

    def joined(self, name: bytes) -> str | None:
        """See `joined`."""
        return joined(self.headers, name)


def joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """All headers of this name as one list (RFC 9110 §5.3): proxies add a line of their own."""
    values = [value.decode("latin-1") for header, value in headers if header == name]
    return ",".join(values) if values else None
