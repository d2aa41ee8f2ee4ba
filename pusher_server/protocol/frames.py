"""RFC 6455 frames from server to client: pure functions of the payload, so text frames are shared by all."""

from struct import pack

#: FIN + opcode (RFC 6455 §5.2).
_TEXT, _CLOSE, _PONG = 0x81, 0x88, 0x8A

#: An empty ping: every stack answers it by itself, browsers included.
PING = b"\x89\x00"
#: A control frame carries 125 bytes, two of them the code (RFC 6455 §5.5).
_REASON_BYTES = 123


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame (RFC 6455 §5.1: a server must not mask)."""
    length = len(payload)
    if length < 126:
        return bytes((_TEXT, length)) + payload
    if length < 65_536:
        return pack("!BBH", _TEXT, 126, length) + payload
    return pack("!BBQ", _TEXT, 127, length) + payload


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping, with its payload of 125 bytes at most."""
    return bytes((_PONG, len(payload))) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Make a close frame. `code` None writes no body; a reason that is too long is cut between characters."""
    if code is None:
        return bytes((_CLOSE, 0))
    body = pack("!H", code) + reason.encode()[:_REASON_BYTES].decode(errors="ignore").encode()
    return bytes((_CLOSE, len(body))) + body
