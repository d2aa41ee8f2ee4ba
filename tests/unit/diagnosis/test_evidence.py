"""Evidence is bounded, whatever backends and strangers do, and keeps no payload."""

import gc
import weakref

import pytest

from pusher_server.app import App, AppKey
from pusher_server.diagnosis.evidence import (
    APPS,
    EXAMPLES,
    REFUSALS,
    UNDELIVERED,
    USED,
    Evidence,
    Guess,
)
from pusher_server.node.publishing import ApiEvent
from pusher_server.protocol.channel_name import ChannelName, parse_channel_name
from tests.support.fakes import FakeClock
from tests.unit.diagnosis.site import Site


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def evidence(clock: FakeClock) -> Evidence:
    return Evidence(clock)


def miss(evidence: Evidence, channel: str, event: str = "e", *others: str) -> None:
    """An event that had no recipient."""
    names: list[ChannelName] = [parse_channel_name(name) for name in (channel, *others)]
    evidence.missed(("1", names[0], event, tuple(names)))


def test_one_event_many_times_is_one_row(evidence: Evidence, clock: FakeClock) -> None:
    for _ in range(3):
        miss(evidence, "a", "e")
        evidence.digest()
        clock.advance(10.0)
    (row,) = evidence.undelivered.values()
    assert (row.app, row.channel, row.event, row.count) == ("1", "a", "e", 3)
    assert row.last - row.first == 20.0


def test_the_latest_rows_stay(evidence: Evidence) -> None:
    for number in range(1_000):
        miss(evidence, f"c{number}")
    miss(evidence, "c900")
    evidence.digest()
    kept = [row.channel for row in evidence.undelivered.values()]
    assert len(kept) == UNDELIVERED
    assert kept[-2:] == ["c999", "c900"]


async def test_fifty_thousand_channels_without_a_reader_are_bounded() -> None:
    """Each has an event of its own, and nobody digests meanwhile."""
    site = Site()
    for number in range(50_000):
        site.fixture.publish(f"c{number}")
    await site.node.diagnosing.step()
    evidence = site.node.evidence
    assert len(evidence.undelivered) == UNDELIVERED
    assert len((await site.explain()).missed) <= UNDELIVERED


def test_the_channels_of_one_publication_are_kept_together(evidence: Evidence) -> None:
    miss(evidence, "a", "e", "private-a", "b")
    miss(evidence, "x", "e", *[f"y{number}" for number in range(99)])
    evidence.digest()
    assert [row.siblings for row in evidence.undelivered.values()] == [("private-a", "b"), ()]


def test_that_a_user_is_away_is_no_evidence(evidence: Evidence) -> None:
    miss(evidence, "#server-to-user-7")
    evidence.digest()
    assert not evidence.undelivered


def test_no_payload_outlives_a_digest() -> None:
    """Not even that of the latest publication, whose name is looked at."""

    class Payload:
        """In the place of bytes, which no weak reference can follow."""

    app = App(id="1", keys=(AppKey(key="k", secret="s"),))
    evidence, data = Evidence(FakeClock()), Payload()
    event = ApiEvent(name="e", channels=(parse_channel_name("a"),), data=data)  # type: ignore[arg-type]  # see above
    evidence.latest = (app, event)
    trace = weakref.ref(data)
    evidence.digest()
    del event, data
    gc.collect()
    assert trace() is None


def test_refusals_of_one_kind_are_one_with_a_few_examples(
    evidence: Evidence, clock: FakeClock
) -> None:
    for number in range(10_000):
        evidence.refused(
            "subscription", "1", "signature",
            subject=f"private-{number}", cause="c", address=f"192.0.2.{number % 200}",
        )  # fmt: skip
    (refusal,) = evidence.refusals.values()
    assert refusal.count == 10_000
    assert [*refusal.examples] == [f"192.0.2.{number}" for number in (197, 198, 199)]
    assert len(refusal.examples) == EXAMPLES


def test_many_kinds_of_refusals_are_bounded(evidence: Evidence) -> None:
    for number in range(1_000):
        guess = Guess("signed_socket", other=str(number))
        evidence.refused(
            "subscription", "1", "signature", subject="", cause="", address="", guess=guess
        )
    assert len(evidence.refusals) == REFUSALS


def test_apps_and_used_names_are_bounded(evidence: Evidence) -> None:
    for number in range(USED + 100):
        evidence.held("1", f"c{number}")
    for number in range(APPS + 100):
        evidence.counted(f"{number}", connections=1, subscriptions=0, published=0, client_events=0)
    assert not evidence.is_used("1", "c0")
    assert evidence.is_used("1", f"c{USED}")
    assert len(evidence.apps) == APPS
    assert len(evidence._held) == len(evidence._used) == USED


def test_a_channel_with_subscribers_elsewhere_leaves_room_for_others(
    evidence: Evidence, clock: FakeClock
) -> None:
    """On a node whose clients are all on other nodes every event comes here."""
    miss(evidence, "a", "one")
    miss(evidence, "a", "two")
    miss(evidence, "b")
    evidence.digest()
    evidence.held("1", "a")
    clock.advance(59.0)
    miss(evidence, "a", "three")
    evidence.digest()
    assert [row.channel for row in evidence.undelivered.values()] == ["b"]
    clock.advance(2.0)
    miss(evidence, "a", "four")
    evidence.digest()
    assert [row.event for row in evidence.undelivered.values()] == ["e", "four"]


def test_a_name_is_in_use_for_ten_minutes(evidence: Evidence, clock: FakeClock) -> None:
    evidence.use("1", "a")
    clock.advance(599.0)
    assert evidence.is_used("1", "a")
    assert not evidence.is_used("2", "a")
    clock.advance(2.0)
    assert not evidence.is_used("1", "a")


def test_clients_are_there_since_they_came_back(evidence: Evidence, clock: FakeClock) -> None:
    def count(connections: int) -> float | None:
        evidence.counted(
            "1", connections=connections, subscriptions=0, published=0, client_events=0
        )
        clock.advance(10.0)
        return evidence.numbers("1").clients_since

    assert count(1) == count(5) == 1_000.0
    assert count(0) is None
    assert count(1) == 1_030.0
    assert evidence.numbers("1").ever_connected
