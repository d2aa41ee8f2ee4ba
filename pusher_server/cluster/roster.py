"""The roster over shared stores: the verbs of `interfaces.Roster`, as commands."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping

from pusher_server.cluster.commands import Count, Lookup, Scan, node_of
from pusher_server.cluster.sharding import Shards
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import Roster, Topic

#: Keys in one query.
PAGE = 1_000


class SharedRoster(Roster):
    """While a store is away, `track` and `replicate` wait, queries fail, and the rest is remembered."""

    alone = False

    def __init__(self, stores: Shards) -> None:
        self._stores = stores

    async def track(self, topic: Topic, key: str, value: bytes, *, limit: int = 0) -> None:
        """Hold `key`; raises RosterFull."""
        at, address = self._stores.at(topic)
        answer = at.held_keys.hold((address, key), value.decode(), limit)
        while True:
            if answer is not None:
                try:
                    # Shielded: a caller that gives up must not take the answer away from the held keys.
                    tracked = await asyncio.shield(answer)
                except ClusterUnavailable:
                    pass
                else:
                    await at.followed_topics.seen(address, tracked.n)
                    return
            await at.ready_again()
            if (address, key) not in at.held_keys:
                raise ClusterUnavailable("let go while it was being held")
            answer = at.held_keys.hold((address, key), value.decode(), limit)

    def declare(self, topic: Topic, key: str, value: bytes) -> None:
        """Hold `key`."""
        at, address = self._stores.at(topic)
        at.held_keys.hold((address, key), value.decode(), 0)

    def untrack(self, topic: Topic, key: str) -> None:
        """Let `key` go."""
        at, address = self._stores.at(topic)
        at.held_keys.release((address, key))

    async def replicate(self, topic: Topic) -> None:
        """Give the listener the list, and from now on its transitions."""
        at, address = self._stores.at(topic)
        while True:
            await at.ready()
            try:
                await asyncio.shield(at.followed_topics.follow(address, with_entries=True))
            except ClusterUnavailable:
                await at.ready_again()
            else:
                return

    async def follow(self, topic: Topic) -> None:
        """Give the listener its transitions from now on."""
        at, address = self._stores.at(topic)
        if not at.followed_topics.knows(address):
            await asyncio.shield(at.followed_topics.follow(address, with_entries=False))

    def forget(self, topic: Topic) -> None:
        """Transitions that other nodes cause are no longer needed."""
        at, address = self._stores.at(topic)
        at.followed_topics.forget(address)

    async def lookup(self, topic: Topic, keys: Iterable[str]) -> Mapping[str, Mapping[str, bytes]]:
        """The holders of `keys` that are held: key -> node -> value."""
        at, address = self._stores.at(topic)
        holders: dict[str, dict[str, bytes]] = {}
        at.check()
        keys = list(keys)
        for start in range(0, len(keys), PAGE):
            page = await at.link.call(Lookup(address, keys[start : start + PAGE]))
            holders.update(_by_node(page.by_key))
        return holders

    async def count(self, topic: Topic) -> int:
        """The number of held keys."""
        at, address = self._stores.at(topic)
        at.check()
        return await at.link.call(Count(address))

    async def scan(
        self, topic: Topic, prefix: str = ""
    ) -> AsyncIterator[Mapping[str, Mapping[str, bytes]]]:
        """Every held key that starts with `prefix`, page by page."""
        at, address = self._stores.at(topic)
        at.check()
        cursor, seen = "", set[str]()
        while True:
            page = await at.link.call(Scan(address, prefix, cursor))
            fresh = {key: holders for key, holders in page.by_key.items() if key not in seen}
            seen.update(fresh)
            if fresh:
                yield _by_node(fresh)
            cursor = page.cursor
            if not cursor:
                return


def _by_node(by_key: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, bytes]]:
    """Name nodes instead of holders: a node may hold a key under its new and for a moment its old name."""
    return {
        key: {node_of(holder): value.encode() for holder, value in holders.items()}
        for key, holders in by_key.items()
    }
