"""Bounds of the server, taken away one at a time: the floods must notice each, or they are worth nothing."""

from collections.abc import Callable

from pusher_server import turns


def _turns() -> None:
    """A turn serves all there is of a connection."""
    turns.__dict__.update(UNITS=10**9, BYTES=10**9)


BOUNDS: dict[str, Callable[[], None]] = {
    "turns": _turns,
}


def apply(name: str) -> None:
    """Take a bound away in this process; "" takes none."""
    if name:
        BOUNDS[name]()
