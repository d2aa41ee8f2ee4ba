"""The HTTP request with which a client comes, whatever transport it asks for."""

from collections.abc import Sequence

from msgspec import Struct

from pusher_server.protocol.errors import ConnectionRejected


class ClientRequest(Struct, frozen=True):
    """A parsed request: names in lower case, `target` as on the request line.

    `peer`: whose TCP connection it came on, None on a Unix socket. `by_proxy`: that is a trusted proxy, and
    `forwarded_for` what it says of the client. `refusal`: why it is not let in, whatever it asks for.
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
        for each, value in self.headers:
            if each == name:
                return value.decode("latin-1")
        return None

    def joined(self, name: bytes) -> str | None:
        """See `joined`."""
        return joined(self.headers, name)


def joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """All headers of this name as one list (RFC 9110 §5.3): proxies add a line of their own."""
    values = [value.decode("latin-1") for each, value in headers if each == name]
    return ",".join(values) if values else None
