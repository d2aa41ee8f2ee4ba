"""The checks of the chaos audit, fed with frames: each rule notices what breaks it, and nothing else."""

import json
from collections.abc import Callable
from typing import Any, Self

import pytest

from tests.chaos.findings import Findings
from tests.chaos.ledger import Ledger
from tests.chaos.view import View

ROOM, OTHER, NEWS, CACHE = "presence-room-0", "presence-room-1", "news-0", "cache-quote"
ME = "1.1"


class Told:
    """A view of user `u1`, and what it has found."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.ledger = Ledger()
        self.now = 0.0
        self.view = View("client", ME, self.findings, self.ledger, lambda: self.now)

    def frame(
        self, event: str, channel: str | None = None, data: Any = "{}", **fields: Any
    ) -> Self:
        """A frame from the server; `data` is stringified unless it is a string."""
        text = data if isinstance(data, str) else json.dumps(data)
        message = {"event": event, "data": text, **fields}
        if channel is not None:
            message["channel"] = channel
        self.view.receive(json.dumps(message).encode())
        return self

    def success(self, channel: str, *ids: str) -> Self:
        """The success; with `ids`, of a presence channel."""
        presence = {"ids": ids, "hash": dict.fromkeys(ids), "count": len(ids)}
        data = {"presence": presence} if ids else {}
        return self.frame("pusher_internal:subscription_succeeded", channel, data)

    def member(self, what: str, user: str, channel: str = ROOM) -> Self:
        """`added` or `removed`."""
        return self.frame(f"pusher_internal:member_{what}", channel, {"user_id": user})

    def tick(self, number: int, channel: str = NEWS, stream: str = "p0", **data: Any) -> Self:
        """An event of the backend."""
        return self.frame(f"tick:{stream}:{number}", channel, data)

    def asks(self, channel: str) -> Self:
        """The client subscribes to a presence channel."""
        self.view.subscribe(channel, "u1")
        return self

    @property
    def found(self) -> dict[str, int]:
        """Kinds of findings that are not 0."""
        return {kind: n for kind, n in self.findings.counts.items() if n}


@pytest.fixture
def told() -> Told:
    """In a presence channel with `u2`, and in a public one."""
    told = Told()
    told.view.subscribe(ROOM, "u1")
    told.success(ROOM, "u1", "u2")
    told.view.subscribe(NEWS, None)
    told.success(NEWS)
    return told


def test_ordinary_frames_are_no_findings(told: Told) -> None:
    told.member("added", "u3")
    told.member("removed", "u2")
    told.member("added", "u2")
    told.tick(1)
    told.tick(2)
    told.tick(1, stream="p1")
    told.frame("pusher_internal:subscription_count", NEWS, {"subscription_count": 7})
    told.frame("client-tick:2.2:1", ROOM, {"sender": "2.2", "user": "u2"}, user_id="u2")
    assert told.found == {}
    assert told.view.subscriptions[ROOM].members == {"u1", "u2", "u3"}
    assert told.view.subscriptions[NEWS].count == 7


BREAKS: dict[str, tuple[str, Callable[[Told], object]]] = {
    "a join of somebody in the list": ("duplicates", lambda t: t.member("added", "u2")),
    "a leave of somebody not in it": ("duplicates", lambda t: t.member("removed", "u9")),
    "a leave twice": (
        "duplicates",
        lambda t: t.member("removed", "u2").member("removed", "u2"),
    ),
    "the own leave": ("oneself", lambda t: t.member("removed", "u1")),
    "an event twice": ("duplicates", lambda t: t.tick(1).tick(1)),
    "an event after its successor": ("disorder", lambda t: t.tick(2).tick(1)),
    "an event to the excluded socket": ("excluded", lambda t: t.tick(1, excluded=ME)),
    "a whisper to its sender": (
        "excluded",
        lambda t: t.frame(f"client-tick:{ME}:1", NEWS, {"sender": ME}),
    ),
    "a whisper in another's name": (
        "disorder",
        lambda t: t.frame("client-tick:2.2:1", ROOM, {"user": "u2"}, user_id="u3"),
    ),
    "an event of a channel never asked for": ("disorder", lambda t: t.tick(1, "news-1")),
    "a second success": ("duplicates", lambda t: t.success(NEWS)),
    "a refusal": ("refused", lambda t: t.frame("pusher:subscription_error", "private-desk-0")),
    "a list without the joiner": ("missing", lambda t: t.asks(OTHER).success(OTHER, "u2")),
    "a list with somebody twice": (
        "duplicates",
        lambda t: t.asks(OTHER).success(OTHER, "u1", "u1"),
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_must_not_happen_is_found(told: Told, name: str) -> None:
    kind, happens = BREAKS[name]
    happens(told)
    assert told.found == {kind: 1}
    assert told.findings.violations[0].context


def test_nothing_comes_before_the_success(told: Told) -> None:
    told.view.subscribe("news-1", None)
    told.tick(1, "news-1")
    assert told.found == {"disorder": 1}


def test_frames_under_way_at_an_unsubscribe_are_no_findings_until_the_pong(told: Told) -> None:
    told.view.unsubscribe(NEWS)
    told.tick(1)
    told.frame("pusher:pong")
    assert told.found == {}
    told.tick(2)
    assert told.found == {"disorder": 1}


def test_a_channel_joined_again_waits_for_the_pong_of_its_past(told: Told) -> None:
    told.view.unsubscribe(NEWS)
    told.view.subscribe(NEWS, None)
    told.tick(1)
    told.frame("pusher:pong")
    told.success(NEWS)
    told.tick(2)
    assert told.found == {}


def test_the_cached_event_may_be_known_and_exclude_the_joiner() -> None:
    told = Told()
    told.ledger.published("tick:p0:1", CACHE, 0.0)
    told.ledger.delivered("tick:p0:1", CACHE, ME)
    told.view.subscribe(CACHE, None)
    told.success(CACHE)
    told.tick(1, CACHE, excluded=ME)
    assert told.found == {}
    told.tick(1, CACHE)
    assert told.found == {"duplicates": 1}


def test_a_cache_miss_comes_first_or_not_at_all() -> None:
    told = Told()
    told.view.subscribe(CACHE, None)
    told.success(CACHE)
    told.frame("pusher:cache_miss", CACHE)
    assert told.found == {}
    told.frame("pusher:cache_miss", CACHE)
    assert told.found == {"disorder": 1}


def test_the_watchlist_tells_changes_only() -> None:
    told = Told()
    for name in ("online", "offline", "online"):
        told.frame(
            "pusher_internal:watchlist_events",
            data={"events": [{"name": name, "user_ids": ["u2"]}]},
        )
    assert told.found == {}
    told.frame(
        "pusher_internal:watchlist_events",
        data={"events": [{"name": "online", "user_ids": ["u2"]}]},
    )
    assert told.found == {"duplicates": 1}


def test_an_error_is_a_refusal_when_no_close_follows() -> None:
    told = Told()
    told.view.receive(b'{"event":"pusher:error","data":{"code":4100,"message":"Over capacity"}}')
    assert told.found == {}
    told.frame("pusher:pong")
    assert told.found == {"refused": 1}


def test_events_to_a_user_may_come_once_the_sign_in_is_through() -> None:
    told = Told()
    told.view.sign_in("u1")
    told.frame("pusher:signin_success", data={"user_data": '{"id":"u1"}'})
    told.tick(1, "#server-to-user-u1")
    told.success("#server-to-user-u1")
    assert told.found == {}


@pytest.mark.parametrize(("unread_since", "lost"), [(None, 1), (0.5, 0)])
def test_who_leaves_with_events_unread_does_not_miss_them(
    unread_since: float | None, lost: int
) -> None:
    """The client reads them only when its subscription is over."""
    told = Told().asks(NEWS).success(NEWS)
    told.now = 5.0
    told.view.unsubscribe(NEWS, unread_since)
    told.ledger.published("tick:p:1", NEWS, 1.0).answered = 1.0
    assert len(told.ledger.settle(10.0, (), {}, {}).losses) == lost
