"""A node that remembers what it was told and answers from plain dicts."""

from collections.abc import AsyncIterator, Iterable

from pusher_server.app import App
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import Action, AppProvider, CachedEvent, RateLimiter
from pusher_server.node.publishing import ApiEvent
from pusher_server.signals import Signal


class FakePublishing:
    """Collects what would go out."""

    def __init__(self) -> None:
        self.events: list[ApiEvent] = []

    def publish(self, app: App, event: ApiEvent) -> None:
        self.events.append(event)


class FakeInspection:
    """`counts` are the occupied channels; `present` the members of presence channels."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.present: dict[str, list[tuple[str, bytes]]] = {}
        self.cache: dict[str, CachedEvent] = {}
        self.available = True

    def _check(self) -> None:
        if not self.available:
            raise ClusterUnavailable("the store is away")

    async def channels(self, app: App, prefix: str = "") -> AsyncIterator[dict[str, int]]:
        self._check()
        for name, count in self.counts.items():  # a page each
            if name.startswith(prefix):
                yield {name: count}

    async def subscription_counts(self, app: App, names: Iterable[str]) -> dict[str, int]:
        self._check()
        return {name: self.counts.get(name, 0) for name in names}

    async def user_counts(self, app: App, names: Iterable[str]) -> dict[str, int]:
        self._check()
        return {name: len(self.present.get(name, [])) for name in names}

    async def members(self, app: App, name: str) -> AsyncIterator[list[tuple[str, bytes]]]:
        self._check()
        for member in self.present.get(name, []):  # a page each
            yield [member]

    async def cached(self, app: App, name: str) -> CachedEvent | None:
        self._check()
        return self.cache.get(name)

    async def connections(self, app: App) -> int:
        self._check()
        return 42


class FakeUsers:
    """Collects whom to disconnect."""

    def __init__(self) -> None:
        self.terminated: list[tuple[str, str]] = []

    def terminate(self, app: App, user_id: str) -> None:
        self.terminated.append((app.id, user_id))


class FakeApps(AppProvider):
    """Counts nothing, remembers nothing: a list."""

    def __init__(self, *apps: App) -> None:
        self.apps = list(apps)
        self.available = True

    async def by_key(self, key: str) -> App | None:
        self._check()
        return next((app for app in self.apps if app.secret_of(key) is not None), None)

    async def by_id(self, app_id: str) -> App | None:
        self._check()
        return next((app for app in self.apps if app.id == app_id), None)

    def _check(self) -> None:
        if not self.available:
            raise ClusterUnavailable("the store is away")


class FakeLimiter(RateLimiter):
    """Always asks to wait for `wait` seconds."""

    def __init__(self) -> None:
        self.wait = 0.0
        self.consumed: list[tuple[Action, int]] = []

    def consume(self, app: App, action: Action, cost: int) -> float:
        self.consumed.append((action, cost))
        return self.wait


class FakeNode:
    """What the API sees of a node."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.publishing = FakePublishing()
        self.inspection = FakeInspection()
        self.users = FakeUsers()
        self.draining = False

    def emit(self, signal: Signal) -> None:
        self.signals.append(signal)
