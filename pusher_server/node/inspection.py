"""Read-only queries over the whole cluster: exact numbers of this node, the others' from the roster.

All raise ClusterUnavailable when the roster cannot be read.
"""

from collections.abc import AsyncIterator, Iterable, Mapping

from pusher_server.app import App
from pusher_server.interfaces import (
    CachedEvent,
    channel_topic,
    channels_topic,
    members_topic,
)
from pusher_server.node.member_infos import MemberInfos
from pusher_server.node.occupancy import is_number, total
from pusher_server.node.parts import NodeParts
from pusher_server.unreadable import UnreadableLog


class Inspection:
    """The queries of the HTTP API."""

    def __init__(self, parts: NodeParts) -> None:
        self._node_id = parts.node_id
        self._hub = parts.hub
        self._broker = parts.broker
        self._roster = parts.roster
        self._census = parts.census
        self._unreadable = UnreadableLog()
        self._infos = MemberInfos(self._unreadable)

    async def channels(self, app: App, prefix: str = "") -> AsyncIterator[dict[str, int]]:
        """Occupied channels and their subscription counts, page by page; there may be many.

        `#server-to-user-*` channels are internal and never listed.
        """
        async for page in self._roster.scan(channels_topic(app.id), prefix):
            yield {name: self._count(app, name, holders) for name, holders in page.items()}

    async def subscription_counts(self, app: App, names: Iterable[str]) -> dict[str, int]:
        """Subscriptions by channel. Every name is present, with 0 where nobody is subscribed."""
        names = list(names)
        rows = await self._roster.lookup(channels_topic(app.id), names)
        return {name: self._count(app, name, rows.get(name, {})) for name in names}

    async def user_counts(self, app: App, names: Iterable[str]) -> dict[str, int]:
        """Numbers of distinct users by presence channel."""
        return {name: await self._roster.count(members_topic(app.id, name)) for name in names}

    async def members(self, app: App, name: str) -> AsyncIterator[list[tuple[str, bytes]]]:
        """The members of a channel, page by page: (user id, info as JSON or b"" when absent)."""
        async for page in self._roster.scan(members_topic(app.id, name)):
            rows = [
                (user_id, next(iter(holders.values())))
                for user_id, holders in page.items()
                if holders
            ]
            topic = members_topic(app.id, name)
            yield [row for row in rows if self._infos.is_readable(topic, *row)]

    async def cached(self, app: App, name: str) -> CachedEvent | None:
        """The last event of a cache channel."""
        return await self._broker.cached(channel_topic(app.id, name))

    async def connections(self, app: App) -> int:
        """Established connections, subscribed to something or not."""
        return await self._census.total(app.id)

    def _count(self, app: App, name: str, holders: Mapping[str, bytes]) -> int:
        app_state = self._hub.app_states.get(app.id)
        channel = None if app_state is None else app_state.channels.get(name)
        if not all(map(is_number, holders.values())):
            self._unreadable.report(
                "a number of subscribers",
                f"of {name[:100]!r}, app {app.id!r}",
                "no node of this cluster has written it; delete the channel's field in Redis",
            )
        return total(0 if channel is None else len(channel), holders, self._node_id)
