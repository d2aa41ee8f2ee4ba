"""How a stranger gets a connection, as a flood needs it; blocking, for a process that does nothing else."""

import json
import socket
import ssl
import struct
from contextlib import suppress

from tests.abuse.flood import AUTH_TOKEN, KEY, OWN_CHANNEL, SECRET, Flood
from tests.support.frames import FrameBuffer
from tests.support.signing import channel_auth
from tests.support.wire import QUERY, text, upgrade

#: Seconds that a server may take for a connection of ours before it counts as refused.
_PATIENCE = 5.0
#: SO_LINGER that turns a close into a reset: nothing stays behind in TIME_WAIT.
_RESET = struct.pack("ii", 1, 0)


class Target:
    """Where the server is, and how one gets a connection."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self.address = (host, port)
        self.context = context

    def plain(self) -> socket.socket:
        """A TCP connection. Raises OSError."""
        return socket.create_connection(self.address, _PATIENCE)

    def dial(self, flood: Flood) -> socket.socket:
        """As a flood needs it, still blocking. Raises OSError."""
        sock = self.plain()
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None and not flood.below_tls:
                sock = self.context.wrap_socket(sock, server_hostname="localhost")
            if flood.websocket:
                self._establish(sock, flood)
            if flood.head:
                sock.sendall(flood.head)
        except OSError:
            sock.close()
            raise
        return sock

    def _establish(self, sock: socket.socket, flood: Flood) -> None:
        sock.sendall(upgrade(f"/app/{KEY}{QUERY}"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += _some(sock)
        frames = FrameBuffer()
        greetings = [payload for _, payload in frames.feed(answer.partition(b"\r\n\r\n")[2])]
        while not greetings:
            greetings = [payload for _, payload in frames.feed(_some(sock))]
        socket_id = json.loads(json.loads(greetings[0])["data"])["socket_id"]
        for said in flood.opening:
            # The frames are masked; the token is put in before that.
            sock.sendall(_authorized(said, socket_id))


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise ConnectionError("the server has closed")
    return data


def _authorized(payload: bytes, socket_id: str) -> bytes:
    auth = channel_auth(KEY, SECRET, socket_id, OWN_CHANNEL)
    return text(payload.replace(AUTH_TOKEN, auth.encode()))


def cut(sock: socket.socket) -> None:
    """End a connection with a reset."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
