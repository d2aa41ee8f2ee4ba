"""`cluster/link_subscriptions.py`: what is asked of a link, and when."""

import asyncio
from typing import Any

import pytest

from pusher_server.cluster.commands import Command, Nothing, Publish, R, Remember, Subscribe
from pusher_server.cluster.link_subscriptions import LINGER, LinkSubscriptions
from pusher_server.cluster.links import LinkStats, StoreLink, StoreListener
from pusher_server.errors import ClusterUnavailable

A = "channel:1:a"


class Link(StoreLink):
    """Notes commands; the test answers them."""

    def __init__(self) -> None:
        self.stats = LinkStats()
        self.peer = "a store"
        self.opened = True
        self.calls: list[tuple[str, str]] = []
        self.answers: list[asyncio.Future[Any]] = []

    @property
    def is_open(self) -> bool:
        return self.opened

    def attach(self, listener: StoreListener) -> None: ...

    async def open(self) -> None: ...

    def close(self) -> None: ...

    def call(self, command: Command[R]) -> "asyncio.Future[R]":
        verb = "+" if isinstance(command, Subscribe) else "-"
        self.calls.append((verb, command.address))  # type: ignore[attr-defined] # both have one
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return answer

    def publish(self, command: Publish | Remember) -> bool:
        return False


async def test_an_address_is_asked_for_once_and_given_up_after_a_while() -> None:
    link = Link()
    subscriptions = LinkSubscriptions(link)
    answer = subscriptions.add(A)
    assert answer is not None
    assert subscriptions.add(A) is answer
    answer.set_result(Nothing())
    await asyncio.sleep(0)
    assert subscriptions.add(A) is None
    subscriptions.discard(A, 10.0)
    subscriptions.tick(10.0 + LINGER / 2)
    assert link.calls == [("+", A)]
    subscriptions.tick(10.0 + LINGER)
    assert link.calls == [("+", A), ("-", A)]


async def test_who_comes_back_in_time_stays_subscribed() -> None:
    link = Link()
    subscriptions = LinkSubscriptions(link)
    subscriptions.add(A)
    subscriptions.discard(A, 10.0)
    subscriptions.add(A)
    subscriptions.tick(10.0 + 2 * LINGER)
    assert link.calls == [("+", A)]


async def test_an_address_that_was_refused_and_dropped_is_forgotten() -> None:
    """The store has no memory left, say: there is nothing to give up then."""
    link = Link()
    subscriptions = LinkSubscriptions(link)
    subscriptions.add(A)
    subscriptions.discard(A, 10.0)
    link.answers[0].set_exception(ClusterUnavailable("Redis has no memory left"))
    await asyncio.sleep(0)
    subscriptions.tick(10.0 + LINGER)
    assert link.calls == [("+", A)]
    assert subscriptions.missing() == []


async def test_while_the_link_is_away_it_is_remembered_and_restored_once() -> None:
    link = Link()
    subscriptions = LinkSubscriptions(link)
    link.opened = False
    with pytest.raises(ClusterUnavailable):
        subscriptions.add(A)
    assert link.calls == []
    link.opened = True
    assert subscriptions.missing() == [A]
    subscriptions.restore(A)
    subscriptions.restore(A)
    assert link.calls == [("+", A)]
    subscriptions.lost()
    assert subscriptions.missing() == [A]
    subscriptions.discard(A, 10.0)
    subscriptions.tick(10.0 + LINGER)
    assert (link.calls, subscriptions.missing()) == ([("+", A)], [])
