"""The truth, from the clients themselves, and what they have been told, against it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.client import Client
from tests.chaos.view import View


@dataclass(frozen=True)
class Difference:
    """Somebody was told, or answered, something else than the truth."""

    kind: str
    text: str
    context: tuple[str, ...] = ()


@dataclass
class Truth:
    """Who is where. Channels and users that nobody holds are absent."""

    subscriptions: Counter[str] = field(default_factory=Counter)
    members: dict[str, set[str]] = field(default_factory=dict)
    signed_in: set[str] = field(default_factory=set)
    connections: int = 0

    @classmethod
    def of(cls, clients: Sequence[Client]) -> "Truth":
        """As all connected clients have it."""
        truth = cls()
        for view in _views(clients):
            truth.connections += 1
            if view.signed_in and view.user is not None:
                truth.signed_in.add(view.user)
            for channel, subscription in view.subscriptions.items():
                if channel.startswith("#") or not subscription.granted:
                    continue
                truth.subscriptions[channel] += 1
                if subscription.members is not None and subscription.stay.user is not None:
                    truth.members.setdefault(channel, set()).add(subscription.stay.user)
        return truth


def _views(clients: Sequence[Client]) -> Iterator[View]:
    for client in clients:
        if client.view is not None:
            yield client.view


def differences_told(clients: Sequence[Client], truth: Truth) -> Iterator[Difference]:
    """Where a client has been told something else than what is."""
    for client in clients:
        if not client.settled:
            context = () if client.view is None else tuple(client.view.context())
            lacks = f"{client.name} is not where it wants to be: {_lacks(client)}"
            yield Difference("missing", lacks, context)
    for view in _views(clients):
        view.judge_error(after=1.0)
        for text in _told_wrong(view, truth):
            yield Difference(text[0], f"{view.name}: {text[1]}", tuple(view.context()))


def _told_wrong(view: View, truth: Truth) -> Iterator[tuple[str, str]]:
    for channel, subscription in view.subscriptions.items():
        if channel.startswith("#") or not subscription.granted:
            continue
        if subscription.members is not None:
            yield from against(subscription.members, truth.members[channel], f"list of {channel}")
        elif subscription.count != truth.subscriptions[channel]:
            told, right = subscription.count, truth.subscriptions[channel]
            yield "counts", f"subscription_count of {channel} is {right}, told was {told}"
    for user, online in view.online.items():
        if online and user not in truth.signed_in:
            yield "ghosts", f"watchlist has {user} online, who is not"
        elif not online and user in truth.signed_in:
            yield "missing", f"watchlist has {user} offline, who is online"


def against(found: set[str], right: set[str], where: str) -> Iterator[tuple[str, str]]:
    """A set that was told or answered, against the true one."""
    if found - right:
        yield "ghosts", f"{where} has {sorted(found - right)}, who are not there"
    if right - found:
        yield "missing", f"{where} lacks {sorted(right - found)}"


def _lacks(client: Client) -> str:
    view = client.view
    if view is None:
        return "not connected"
    if not client.is_open:
        return "its connection has not ended"
    granted = {name for name, s in view.subscriptions.items() if s.granted}
    waiting = client.wanted - granted
    if waiting:
        return f"waits for {sorted(waiting)}"
    return "reads nothing" if view.signed_in is client.plan.signs_in else "waits for its sign-in"
