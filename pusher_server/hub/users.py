"""Signed-in users of one app on this node: their connections and their watchers."""

from collections.abc import Iterable, Iterator

from pusher_server.hub.connection import Connection


class _Index:
    """Name -> connections; a name is there while it has one."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[Connection, None]] = {}

    def add(self, name: str, connection: Connection) -> bool:
        """Add a connection. Returns whether it is the name's first."""
        group = self._by_name.setdefault(name, {})
        group[connection] = None
        return len(group) == 1

    def discard(self, name: str, connection: Connection) -> bool:
        """Remove a connection. Returns whether it was the name's last."""
        group = self._by_name.get(name)
        if group is None or connection not in group:
            return False
        del group[connection]
        if not group:
            del self._by_name[name]
        return not group

    def of(self, name: str) -> list[Connection]:
        return list(self._by_name.get(name, ()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


class UserDirectory:
    """Users by id, and watchers by the id they watch (docs/protocol/users.md)."""

    def __init__(self) -> None:
        self._connections = _Index()
        self._watchers = _Index()
        #: Watched user -> whether online, as last sent to the watchers.
        self.last_sent: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def sign_in(self, connection: Connection, user_id: str) -> bool:
        """Add a connection. Returns whether it is the user's first one here."""
        return self._connections.add(user_id, connection)

    def sign_out(self, connection: Connection, user_id: str) -> bool:
        """Remove a connection. Returns whether it was the user's last one here."""
        return self._connections.discard(user_id, connection)

    def connections(self, user_id: str) -> list[Connection]:
        """All connections signed in as this user."""
        return self._connections.of(user_id)

    def watch(self, connection: Connection, user_ids: Iterable[str]) -> None:
        """Send `connection` an event when these users come and go, from now on."""
        for user_id in user_ids:
            self._watchers.add(user_id, connection)

    def unwatch(self, connection: Connection, user_ids: Iterable[str]) -> None:
        """Send it no more events about these users."""
        for user_id in user_ids:
            if self._watchers.discard(user_id, connection):
                self.last_sent.pop(user_id, None)

    def watched(self) -> list[str]:
        """The ids of all watched users."""
        return list(self._watchers)

    def watchers(self, user_id: str) -> list[Connection]:
        """The connections that watch this user."""
        return self._watchers.of(user_id)
