"""Real server processes that form a cluster, with short leases, for tests of failures."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.api import Api, accepted
from tests.conformance.client import Client, Frame, connected
from tests.conformance.target import Credentials, Target
from tests.support.serving import RunningServer
from tests.support.waiting import eventually

LEASE = 1.5
UNDO_WINDOW = 0.5
#: Seconds for which a presence join waits for a store that is away.
WAIT_TIMEOUT = 1.0
#: Seconds for what has to wait for a lease, and for a link whose pauses have grown to 5 s.
PATIENCE = 15.0
#: Seconds after which a lease has surely ended, and whoever had to notice has.
LEASE_AND_MORE = LEASE + 1.0
WATCHLIST = "pusher_internal:watchlist_events"
ADDED = "pusher_internal:member_added"
REMOVED = "pusher_internal:member_removed"

MAIN = Credentials("1", "key-main", "secret-main")
#: At most three connections.
SMALL = Credentials("2", "key-small", "secret-small")
#: Tells clients the subscription count.
COUNTED = Credentials("3", "key-counted", "secret-counted")
_SWITCHES: Mapping[Credentials, Mapping[str, Any]] = {
    MAIN: {"watchlist": True},
    SMALL: {"limits": {"connections": 3}},
    COUNTED: {"subscription_count": True},
}


def settings(*, lease: float = LEASE, **cluster: Any) -> dict[str, Any]:
    """The config of every process."""
    apps = [
        {"id": app.app_id, "key": app.key, "secret": app.secret, **switches}
        for app, switches in _SWITCHES.items()
    ]
    return {
        "apps": apps,
        "server": {"shutdown_grace": 0.5},
        "websocket": {"wait_timeout": WAIT_TIMEOUT},
        "cluster": {"lease": lease, "undo_window": UNDO_WINDOW, **cluster},
    }


class Node(RunningServer):
    """One server, or one machine's workers."""

    @property
    def target(self) -> Target:
        """For the clients of the conformance suite."""
        return Target(self.host, (self.port,), MAIN, own=True)

    def api(self, http: httpx.AsyncClient, app: Credentials = MAIN) -> Api:
        """The HTTP API of this node."""
        return Api(self.target, app, http)

    async def attached(self, times: int = 1) -> None:
        """Wait until it has said so this often in all."""
        await eventually(lambda: self.log.count("attached to ") >= times, PATIENCE)

    def hang(self) -> None:
        """The process does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """It does again."""
        os.kill(self.pid, signal.SIGCONT)


@asynccontextmanager
async def nodes_at(
    folder: Path, *urls: str, lease: float = LEASE, **redis: Any
) -> AsyncIterator[list[Node]]:
    """Nodes that reach their Redis by these URLs, attached; what a test leaves of them is ended."""
    nodes = [Node(folder, settings(lease=lease, redis={"url": url, **redis})) for url in urls]
    try:
        await asyncio.gather(*(asyncio.to_thread(each.start) for each in nodes))
        for each in nodes:
            await each.attached()
        yield nodes
        for each in nodes:
            assert "Traceback" not in each.log, each.log
    finally:
        for each in nodes:
            each.kill()


@asynccontextmanager
async def clients_of(*nodes: Node, app: Credentials | None = None) -> AsyncIterator[list[Client]]:
    """A connection to each of these nodes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(each.target, app)) for each in nodes]


async def heard(client: Client, channel: str, *changes: str) -> None:
    """The next frames say exactly that these came and went: `+a`, `-a`, in any order."""
    found = [_change(await client.receive(PATIENCE), channel) for _ in changes]
    assert sorted(found) == sorted(changes)


def _change(frame: Frame, channel: str) -> str:
    assert frame.channel == channel, frame.raw
    sign = {ADDED: "+", REMOVED: "-"}.get(frame.event)
    assert sign is not None, frame.raw
    return sign + str(frame.content["user_id"])


async def members(api: Api, channel: str) -> list[str]:
    """Whom the node names, sorted."""
    return _ids(await api.read(f"/channels/{channel}/users"))


def _ids(answer: dict[str, Any]) -> list[str]:
    return sorted(each["id"] for each in answer["users"])


async def all_name(channel: str, expected: list[str], *apis: Api) -> None:
    """Wait until every node names exactly these."""

    async def agree() -> bool:
        answers = [await each.get(f"/channels/{channel}/users") for each in apis]
        if any(answer.status_code == 503 for answer in answers):
            return False  # a store is still on its way back
        return all(_ids(accepted(answer)) == expected for answer in answers)

    await eventually(agree)


async def reaches(api: Api, channel: str, *clients: Client) -> None:
    """An event that is published now is the next thing that each of these hears."""
    await api.publish(channel, "a-mark")
    for each in clients:
        await each.expect("a-mark", channel)


async def at_rest(channel: str, expected: list[str], apis: list[Api], *clients: Client) -> None:
    """Both nodes name these members, and nobody has more to say about it than a mark."""
    await all_name(channel, expected, *apis)
    await reaches(apis[0], channel, *clients)
