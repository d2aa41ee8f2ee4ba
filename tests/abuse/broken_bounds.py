"""Bounds of the server, taken away one at a time: the floods must notice each, or they are worth nothing."""

from collections.abc import Callable

from pusher_server.websocket import connection


def _messages() -> None:
    """A turn serves all messages of a connection that there are."""
    connection._BURST = 10**9


BOUNDS: dict[str, Callable[[], None]] = {
    "messages": _messages,
}


def apply(name: str) -> None:
    """Take a bound away in this process; "" takes none."""
    if name:
        BOUNDS[name]()
