"""Rules of the server, broken one at a time: the audit must notice each of them, or it is worth nothing."""

from collections.abc import Callable
from typing import Any

from pusher_server.hub.hub import Hub


def _excluded() -> None:
    """Events reach the socket that they exclude."""
    deliver = Hub.deliver

    def broken(self: Hub, *arguments: Any, skip: str | None = None, **options: Any) -> int:
        return deliver(self, *arguments, skip=None, **options)

    Hub.deliver = broken  # type: ignore[method-assign]


def _joiners() -> None:
    """A pending joiner is told of joins that its list contains."""
    deliver = Hub.deliver

    def broken(self: Hub, *arguments: Any, hold: bool = True, **options: Any) -> int:
        return deliver(self, *arguments, hold=True, **options)

    Hub.deliver = broken  # type: ignore[method-assign]


RULES: dict[str, Callable[[], None]] = {"excluded": _excluded, "joiners": _joiners}


def apply(name: str) -> None:
    """Break a rule in this process; "" breaks none."""
    if name:
        RULES[name]()
