"""Sockets to listen on, made by us so that an address in use is one clear line; and the limit on open files."""

import errno
import logging
import os
import socket
import stat
import sys
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from pusher_server.config import ServerSettings
from pusher_server.errors import ConfigError
from pusher_server.outage import Outage

logger = logging.getLogger("pusher_server.server")


def listen(settings: ServerSettings, send_buffer_bytes: int) -> list[socket.socket]:
    """Listening sockets for `[server]`. Raises ConfigError naming the setting.

    `send_buffer_bytes` is inherited by accepted connections on Linux, at no cost per connection.
    """
    if settings.unix_socket:
        return [_listen_unix(settings)]
    try:
        addresses = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(
            "server.host", f"cannot resolve {settings.host!r}: {error.strerror}"
        ) from None
    sockets: list[socket.socket] = []
    port = settings.port
    for family, kind, proto, _, address in dict.fromkeys([*addresses, *_also_ipv4(addresses)]):
        if sockets and not _has(family):
            continue
        bound = (address[0], port, *address[2:])
        listener = _bound_tcp(family, kind, proto, bound, send_buffer_bytes)
        sockets.append(_listening(listener, bound, settings.backlog))
        port = sockets[0].getsockname()[1]  # port 0: the same free one for every address
    return sockets


def _also_ipv4(addresses: list[Any]) -> list[Any]:
    """`::` is every interface, of IPv4 too: on a socket of its own, so that addresses stay what they are."""
    if not any(
        family == socket.AF_INET6 and address[0] == "::" for family, *_, address in addresses
    ):
        return []
    return socket.getaddrinfo("0.0.0.0", 0, family=socket.AF_INET, type=socket.SOCK_STREAM)


def _has(family: int) -> bool:
    """Whether this machine speaks it."""
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def urls_of(settings: ServerSettings, sockets: list[socket.socket]) -> list[str]:
    """The URLs for clients: with the configured host, or with all addresses that stand for every interface."""
    if settings.unix_socket:
        return [f"unix:{settings.unix_socket}"]
    scheme = "https" if settings.tls.certificate else "http"
    addresses = [listener.getsockname()[:2] for listener in sockets]
    hosts = [host for host, _ in addresses if ip_address(host).is_unspecified] or [settings.host]
    port = addresses[0][1]
    return [
        f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{settings.path_prefix}"
        for host in hosts
    ]


def listen_apart(
    settings: ServerSettings, send_buffer_bytes: int, count: int
) -> list[list[socket.socket]]:
    """Listening sockets for each of `count` workers: their own on Linux, elsewhere the same for all.

    The first socket of an address is made alone, so that another program on the port is noticed, another
    server of ours included. Only then the port is opened to the others (SO_REUSEPORT). A Unix socket can only
    be shared. Raises ConfigError.
    """
    first = listen(settings, send_buffer_bytes)
    if settings.unix_socket or sys.platform != "linux":
        return [first] * count
    for listener in first:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [first] + [
        [_twin(listener, send_buffer_bytes, settings.backlog) for listener in first]
        for _ in range(count - 1)
    ]


def _twin(listener: socket.socket, send_buffer_bytes: int, backlog: int) -> socket.socket:
    """Another socket that listens on the same address."""
    address = listener.getsockname()
    twin = _bound_tcp(
        listener.family, listener.type, listener.proto, address, send_buffer_bytes, shared=True
    )
    return _listening(twin, address, backlog)


def _listening(listener: socket.socket, address: tuple[object, ...], backlog: int) -> socket.socket:
    """Listen at once: two servers that start together may both bind, only one may listen."""
    try:
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise _explained(error, address) from None
    return listener


def _bound_tcp(
    family: int,
    kind: int,
    proto: int,
    address: tuple[object, ...],
    send_buffer_bytes: int,
    *,
    shared: bool = False,
) -> socket.socket:
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if send_buffer_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        listener.bind(address)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _explained(error, address) from None
    return listener


def _explained(error: OSError, address: tuple[object, ...]) -> ConfigError:
    where = f"{address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            "server.port",
            f"{where} is in use; stop the other program or choose another with --port",
        )
    if error.errno == errno.EACCES:
        return ConfigError(
            "server.port", f"not allowed to listen on {where}; ports below 1024 need rights"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError("server.host", f"{address[0]} is not an address of this machine")
    return ConfigError("server.host", f"cannot listen on {where}: {error.strerror}")


def _listen_unix(settings: ServerSettings) -> socket.socket:
    path = settings.unix_socket
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(path)
        os.chmod(
            path, 0o666
        )  # a proxy runs as another user; the folder's mode says who may come in
        listener.listen(settings.backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        problem = error.strerror or "the path is too long for a socket"
        raise ConfigError("server.unix_socket", f"cannot listen on {path}: {problem}") from None
    return listener


class SocketFile:
    """The file of a listening Unix socket, distinguished from another one of its name.

    Device and inode stay taken while a process has the socket open.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._identity = self._seen()

    @property
    def is_there(self) -> bool:
        """Whether the path still leads to the socket of the last `note`."""
        return self._identity is not None and self._seen() == self._identity

    def note(self) -> None:
        """The file that is there now is the one."""
        self._identity = self._seen()

    def _seen(self) -> tuple[int, int] | None:
        try:
            status = os.lstat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


class ListeningFileWatch:
    """Looks after the file of `server.unix_socket`, which a cleaner of temporary folders may remove.

    Without it no new client finds the server. It logs one problem once.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._file = SocketFile(settings.unix_socket)
        self._outage = Outage()

    def look(self) -> socket.socket | None:
        """Another socket to listen on, when the file was removed; None while there is nothing to do."""
        if self._file.is_there:
            return None
        try:
            made = _listen_unix(self._settings)
        except ConfigError as error:
            if self._outage.begin(str(error), kind=str(error)):
                logger.error("the socket was removed and cannot be made again: %s", error)
            return None
        self._outage.end()
        self._file.note()
        logger.warning(
            "%s was removed, and is made again; if a cleaner of temporary files does that, name a file in"
            " another folder in server.unix_socket",
            self._file.path,
        )
        return made


def _remove_stale(path: str) -> None:
    """Remove the socket of a server that is gone; never one that answers, never another kind of file."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConfigError("server.unix_socket", f"{path} exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise ConfigError("server.unix_socket", f"another program is listening on {path}")


def raise_file_limit() -> int:
    """Raise the limit on open files as far as the system allows. Returns the limit (0 = unknown)."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # refused: the warning at start shows the limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 0 if limit == resource.RLIM_INFINITY else limit
