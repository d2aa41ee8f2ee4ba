"""The connection of a client, as the hub and the node see it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pusher_server.protocol.members import User

if TYPE_CHECKING:
    from pusher_server.hub.app_state import AppState
    from pusher_server.hub.channel import Subscription


class Connection(Protocol):
    """One established client. Identity is the object, `socket_id` its name.

    The hub owns `subscriptions` and `user`; an implementation only stores them.
    """

    socket_id: str
    #: The client's address, as trusted proxies forward it.
    remote: str
    #: The key it connected with.
    app_key: str
    app_state: "AppState"
    #: By channel name.
    subscriptions: "dict[str, Subscription]"
    user: User | None

    @property
    def write(self) -> Callable[[bytes], None]:
        """Return a function that queues whole frames of `protocol/frames.py`, one or several joined.

        All subscribers are given the same `bytes` object. The function is synchronous and must not touch the
        hub (asyncio calls back inside `write`).
        """

    def send(self, payload: bytes) -> None:
        """Frame one payload and write it."""

    def authorized(self) -> None:
        """Note that it signed in or was let into a channel that needs authorization.

        See docs/protocol/connection.md#authorization-timeout.
        """

    def may_send_client_event(self) -> bool:
        """Take one from its allowance of client events (docs/protocol/client-events.md#checks)."""

    def close(self, code: int, message: str) -> None:
        """Send an error and close with `code`. Idempotent, scheduled: nothing changes inside the call."""
