"""The upgrade of an HTTP request to a WebSocket (RFC 6455 §4.2), from a request that is already parsed."""

import base64
import binascii
import hashlib

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from pusher_server.clients.request import ClientRequest

SUBPROTOCOL = "pusher-channels-protocol-7"

#: Bytes of each header that a refusal looks at. The library takes 16 ms for all that a head may have.
_EXPLAINED = 1_000
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)


class HandshakeRefused(Exception):
    """The request is no WebSocket handshake; `response` is the HTTP answer."""

    def __init__(self, response: bytes) -> None:
        super().__init__("not a WebSocket handshake")
        self.response = response


def accept(upgrade: ClientRequest) -> bytes:
    """The 101 response. Raises HandshakeRefused.

    The `websockets` library explains a refusal; its good case costs 41 µs, this one 3.
    """
    key = upgrade.header(b"sec-websocket-key")
    version = upgrade.header(b"sec-websocket-version")
    if upgrade.method != "GET" or version != "13" or key is None or not _is_nonce(key):
        raise HandshakeRefused(_refusal(upgrade))
    digest = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
    return _ACCEPTED + digest + b"\r\n" + _subprotocol(upgrade) + b"\r\n"


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _subprotocol(upgrade: ClientRequest) -> bytes:
    """Swift's is selected, no other one (docs/protocol/connection.md#subprotocol)."""
    for name, value in upgrade.headers:
        if name == b"sec-websocket-protocol":
            offered = [protocol.strip() for protocol in value.decode("latin-1").split(",")]
            if SUBPROTOCOL in offered:
                return f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n".encode()
    return b""


def _refusal(upgrade: ClientRequest) -> bytes:
    headers = Headers(
        (name.decode("latin-1"), value[:_EXPLAINED].decode("latin-1"))
        for name, value in upgrade.headers
    )
    protocol = ServerProtocol()
    if upgrade.method != "GET":
        response = protocol.reject(405, "WebSocket handshakes use GET.\n")
    else:
        response = protocol.accept(Request(upgrade.target, headers))
        if response.status_code == 101:  # it forgives a version or key that we do not
            response = protocol.reject(400, "Missing or invalid Sec-WebSocket headers.\n")
        if protocol.handshake_exc is not None:  # its traceback keeps every frame that led here
            protocol.handshake_exc.__traceback__ = None
    return response.serialize()
