"""Rules of the server, broken one at a time: the audit must notice each of them, or it is worth nothing."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from pusher_server.cluster.commands import TopicState
from pusher_server.cluster.followed_topics import FollowedTopics
from pusher_server.cluster.replica import Replica
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


def _snapshots() -> None:
    """After an outage, what a node knows of the others is not brought to the truth."""

    def broken(self: FollowedTopics) -> Iterator[asyncio.Future[TopicState]]:
        return iter(())

    FollowedTopics.again = broken  # type: ignore[method-assign]


def _mourning() -> None:
    """Who does not come back after the store lost its memory has left without a signal."""
    adopt = FollowedTopics._adopt

    def broken(self: FollowedTopics, replica: Replica, answer: asyncio.Future[TopicState]) -> None:
        replica.reports_gone = False
        adopt(self, replica, answer)

    FollowedTopics._adopt = broken  # type: ignore[method-assign]


RULES: dict[str, Callable[[], None]] = {
    "excluded": _excluded,
    "joiners": _joiners,
    "snapshots": _snapshots,
    "mourning": _mourning,
}


def apply(name: str) -> None:
    """Break a rule in this process; "" breaks none."""
    if name:
        RULES[name]()
