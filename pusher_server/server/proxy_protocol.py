"""The PROXY protocol, versions 1 and 2: the header with which a trusted proxy begins each connection.

Sections are those of https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. A proxy that is to send it
and does not is refused. A server that guesses lets clients of such a proxy claim any address (section 2).
"""

import asyncio
import re
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from msgspec import Struct

from pusher_server.config import ServerSettings
from pusher_server.server.http_heads import refusal
from pusher_server.server.misdirected import NO_PROXY_HEADER, MisdirectedLog
from pusher_server.server.proxies import TrustedProxies
from pusher_server.server.tls_opening import port_of

#: The first bytes of a header of version 2, and the length of its fixed part (section 2.2).
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = 16
#: The beginning of version 1, and its longest line (section 2.1).
_WORD = b"PROXY "
_LONGEST_LINE = 107
#: A header of version 2 with more is refused. A client's certificate is not in it, only its name.
_MOST_BYTES = 4_096
_LINE = re.compile(rb"PROXY (TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5})\r\n")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
#: Address family and protocol -> the class of address, its bytes, and those of both addresses with their ports.
_FAMILIES = {0x11: (IPv4Address, 4, 12), 0x21: (IPv6Address, 16, 36)}
#: The type of the record that speaks of TLS, and the bit in it that says the client used it (section 2.2.5).
_TLS_RECORD, _CLIENT_USED_TLS = 0x20, 0x01


class Origin(Struct, frozen=True):
    """The client of a connection as its proxy saw it; without address the proxy speaks for itself."""

    address: str | None = None
    port: int = 0
    secure: bool = False


def length_of(data: bytes) -> int | None:
    """Return the length of the header that begins like this, None while it is unknown.

    Raises ValueError when it is no such header, or too long.
    """
    if data.startswith(_SIGNATURE[: len(data)]):
        if len(data) < _FIXED:
            return None
        length = _FIXED + int.from_bytes(data[14:16], "big")
        if length > _MOST_BYTES:
            raise ValueError("the header is too long")
        return length
    if not data.startswith(_WORD[: len(data)]):
        raise ValueError("no PROXY header")
    end = data.find(b"\r\n", 0, _LONGEST_LINE)
    if end < 0 and len(data) >= _LONGEST_LINE:
        raise ValueError("the line does not end")
    return None if end < 0 else end + 2


def parse(header: bytes) -> Origin:
    """Return what a whole header says. Raises ValueError."""
    return _parse_binary(header) if header.startswith(_SIGNATURE) else _parse_line(header)


def _parse_line(line: bytes) -> Origin:
    """Version 1, a line of text."""
    if _UNKNOWN.fullmatch(line):
        return Origin()
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("a line that cannot be read")
    addresses = [ip_address(match[group].decode()) for group in (2, 3)]
    version = 4 if match[1] == b"TCP4" else 6
    ports = [int(match[group]) for group in (4, 5)]
    if any(address.version != version for address in addresses) or max(ports) > 65_535:
        raise ValueError("addresses that do not fit")
    return Origin(str(addresses[0]), ports[0])


def _parse_binary(header: bytes) -> Origin:
    """Version 2: addresses, then records of type, length and value."""
    version, command = divmod(header[12], 16)
    if version != 2 or command > 1:
        raise ValueError("another version or command")
    known = _FAMILIES.get(header[13])
    if (
        command == 0 or known is None
    ):  # LOCAL, such as a health check; or a family that we do not serve
        return Origin()
    kind, size, both = known
    rest = header[_FIXED:]
    if len(rest) < both:
        raise ValueError("addresses are missing")
    address = kind(rest[:size])
    port = int.from_bytes(rest[2 * size : 2 * size + 2], "big")
    return Origin(str(address), port, _used_tls(rest[both:]))


def _used_tls(records: bytes) -> bool:
    """Whether one of the records says that the client spoke TLS to the proxy."""
    secure = False
    while records:
        if len(records) < 3:
            raise ValueError("a record is cut")
        end = 3 + int.from_bytes(records[1:3], "big")
        if len(records) < end:
            raise ValueError("a record is cut")
        if records[0] == _TLS_RECORD and end > 3:
            secure = bool(records[3] & _CLIENT_USED_TLS)
        records = records[end:]
    return secure


class ProxyHeaders:
    """Reads the header of connections that come from a trusted proxy."""

    def __init__(self, proxies: TrustedProxies, misdirected: MisdirectedLog) -> None:
        self._proxies = proxies
        self._misdirected = misdirected

    def expects(self, peer: str | None) -> bool:
        """Whether a connection from there begins with a header; others are served as they are."""
        return self._proxies.trusts(peer)

    async def read(self, client: socket.socket, peer: str | None, end: float) -> Origin | None:
        """Take the header out of the socket. None: there was none, and the proxy was answered and closed.

        `end` is the loop's time until which it has to be there. Raises TimeoutError, OSError.
        """
        try:
            async with asyncio.timeout_at(end):
                return parse(await _header(client))
        except ValueError:
            self._misdirected.note(NO_PROXY_HEADER, peer, port_of(client))
            with suppress(OSError):  # it may be gone
                # Unread bytes would make the close a reset, which can destroy the answer.
                with suppress(BlockingIOError):
                    client.recv(_MOST_BYTES)
                client.send(refusal(b"400 Bad Request", f"{NO_PROXY_HEADER.text}\n".encode()))
                client.shutdown(socket.SHUT_WR)
            client.close()
            return None
        except BaseException:
            client.close()
            raise


async def _header(client: socket.socket) -> bytes:
    """Read exactly the header: what follows belongs to TLS or HTTP. Raises ValueError, OSError."""
    data = b""
    while True:
        seen = await _peek(client, _MOST_BYTES - len(data))
        if not seen:
            raise ConnectionResetError("gone before its PROXY header was there")
        length = length_of(data + seen)
        # While the length is unknown, all that is there belongs to the header.
        data += client.recv(len(seen) if length is None else min(len(seen), length - len(data)))
        if length is not None and len(data) == length:
            return data


async def _peek(client: socket.socket, most: int) -> bytes:
    """Wait for bytes, and leave them in the socket."""
    with suppress(BlockingIOError):
        return client.recv(most, socket.MSG_PEEK)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(client.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(client.fileno())
    return client.recv(most, socket.MSG_PEEK)


def reader_for(settings: ServerSettings, misdirected: MisdirectedLog) -> ProxyHeaders | None:
    """The reader, None when no proxy sends headers."""
    if not settings.proxy_protocol:
        return None
    return ProxyHeaders(TrustedProxies(settings.trusted_proxies), misdirected)
