"""Signed-in users of one app on this node: whose connections are whose, and who watches whom."""

from collections.abc import Iterable, Iterator

from pusher_server.hub.connection import Connection


class _Index:
    """Name -> connections; a name is there while it has one."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[Connection, None]] = {}

    def add(self, name: str, connection: Connection) -> bool:
        """Whether it is the name's first."""
        group = self._by_name.setdefault(name, {})
        group[connection] = None
        return len(group) == 1

    def discard(self, name: str, connection: Connection) -> bool:
        """Whether it was the name's last."""
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
        #: Whether watched users are online, as their watchers were told last.
        self.told: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def sign_in(self, connection: Connection, user_id: str) -> bool:
        """Whether this is the user's first connection here."""
        return self._connections.add(user_id, connection)

    def sign_out(self, connection: Connection, user_id: str) -> bool:
        """Whether this was the user's last connection here."""
        return self._connections.discard(user_id, connection)

    def connections(self, user_id: str) -> list[Connection]:
        """All connections signed in as this user."""
        return self._connections.of(user_id)

    def watch(self, connection: Connection, user_ids: Iterable[str]) -> None:
        """Tell `connection` when these users come and go."""
        for user_id in user_ids:
            self._watchers.add(user_id, connection)

    def unwatch(self, connection: Connection, user_ids: Iterable[str]) -> None:
        """No longer tell it."""
        for user_id in user_ids:
            if self._watchers.discard(user_id, connection):
                self.told.pop(user_id, None)

    def watched(self) -> list[str]:
        """Everybody who is watched."""
        return list(self._watchers)

    def watchers(self, user_id: str) -> list[Connection]:
        """Whom to tell about this user."""
        return self._watchers.of(user_id)
