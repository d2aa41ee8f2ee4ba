"""What the HTTP API answers, on every node, against the truth."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from tests.chaos.backend import Caller, NoAnswer
from tests.chaos.truth import Difference, Truth, against
from tests.chaos.world import CACHES, Address


async def differences_answered(
    addresses: Sequence[Address], truth: Truth, repeat: int
) -> AsyncIterator[Difference]:
    """Ask every node; each `repeat` times over new connections, where one address is several processes."""
    for node, address in enumerate(addresses):
        for _ in range(repeat):
            caller = Caller(address)
            try:
                async for difference in _differences(caller, truth, f"node {node}"):
                    yield difference
            except NoAnswer as error:
                yield Difference("missing", f"node {node} does not answer: {error}")
            finally:
                caller.close()


async def differences_cached(
    addresses: Sequence[Address], last: str, repeat: int
) -> AsyncIterator[Difference]:
    """Every node answers that the last event of the cache channels is this one."""
    for node, address in enumerate(addresses):
        for _ in range(repeat):
            caller = Caller(address)
            try:
                for channel in CACHES:
                    path = f"/channels/{channel}"
                    status, answer = await caller.ask("GET", path, query="info=cache")
                    if status != 200 or last not in str(answer.get("cache")):
                        text = f"node {node}: GET {path} lacks the last event {last}: {answer}"
                        yield Difference("missing", text)
            except NoAnswer as error:
                yield Difference("missing", f"node {node} does not answer: {error}")
            finally:
                caller.close()


async def _differences(caller: Caller, truth: Truth, node: str) -> AsyncIterator[Difference]:
    async def get(path: str, query: str = "") -> Any:
        status, answer = await caller.ask("GET", path, query=query)
        if status != 200:
            raise NoAnswer(f"GET {path} answered {status} {answer}")
        return answer

    channels = (await get("/channels", "info=subscription_count"))["channels"]
    for kind, text in _channels(channels, truth):
        yield Difference(kind, f"{node}: GET /channels: {text}")
    query = "filter_by_prefix=presence-&info=user_count"
    presence = (await get("/channels", query))["channels"]
    for channel in sorted({*truth.members, *presence}):
        right = truth.members.get(channel, set())
        found = presence.get(channel, {}).get("user_count", 0)
        if found != len(right):
            text = f"GET /channels: user_count of {channel} is {len(right)}, answered {found}"
            yield Difference("counts", f"{node}: {text}")
        users = (await get(f"/channels/{channel}/users"))["users"]
        where = f"GET /channels/{channel}/users"
        for kind, text in against({user["id"] for user in users}, right, where):
            yield Difference(kind, f"{node}: {text}")
        if len(users) != len({user["id"] for user in users}):
            yield Difference("duplicates", f"{node}: {where} has somebody twice")
    connections = (await get("/connections"))["connections"]
    if connections != truth.connections:
        text = f"GET /connections: {truth.connections} are open, answered {connections}"
        yield Difference("counts", f"{node}: {text}")


def _channels(found: dict[str, Any], truth: Truth) -> Iterator[tuple[str, str]]:
    yield from against(set(found), set(truth.subscriptions), "the list of occupied channels")
    for channel, fields in found.items():
        right = truth.subscriptions[channel]
        if right and fields["subscription_count"] != right:
            told = fields["subscription_count"]
            yield "counts", f"subscription_count of {channel} is {right}, answered {told}"
