"""Looking up what nobody received: at a pace, once a minute for each channel, and with a line once an hour."""

import json
import logging
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from pusher_server.app import App, AppKey
from pusher_server.diagnosis.report import ProcessReport, Question
from pusher_server.interfaces import Topic
from pusher_server.node.diagnosing import PER_STEP
from tests.support.node import NodeFixture


class Watched:
    """A node whose queries to the roster are counted: the names of each."""

    def __init__(self) -> None:
        self.fixture = NodeFixture()
        self.lookups: list[list[str]] = []
        self.scans = 0
        roster = self.fixture.roster
        lookup, scan = roster.lookup, roster.scan

        async def counted(topic: Topic, keys: Iterable[str]) -> Any:
            names = list(keys)
            self.lookups.append(names)
            return await lookup(topic, names)

        def scanned(topic: Topic, prefix: str = "") -> Any:
            self.scans += 1
            return scan(topic, prefix)

        roster.lookup = counted  # type: ignore[method-assign]
        roster.scan = scanned  # type: ignore[method-assign]

    @property
    def channels(self) -> set[str]:
        """The channels that were looked up, without their variants."""
        return {name for names in self.lookups for name in names if name.startswith("c")} - {
            name for names in self.lookups for name in names if name.startswith("cache-")
        }

    async def step(self, seconds: float = 0.0) -> None:
        self.fixture.clock.advance(seconds)
        await self.fixture.node.diagnosing.step()

    async def report(self, **question: str) -> ProcessReport:
        return await self.fixture.node.diagnosing.report(Question(**question))


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_nothing_is_looked_up_while_all_arrives(watched: Watched) -> None:
    await watched.fixture.subscriber("a")
    watched.lookups.clear()
    watched.fixture.publish("a")
    await watched.step(1.0)
    assert watched.lookups == []


async def test_ten_channels_a_second_in_one_query(watched: Watched) -> None:
    for number in range(25):
        watched.fixture.publish(f"c{number}")
    await watched.step()
    assert len(watched.lookups) == 1
    assert len(watched.channels) == PER_STEP
    await watched.step(1.0)
    await watched.step(1.0)
    assert len(watched.channels) == 25
    await watched.step(1.0)
    assert len(watched.lookups) == 3


async def test_a_channel_is_looked_up_once_a_minute(watched: Watched) -> None:
    for _ in range(70):
        watched.fixture.publish("c1")
        await watched.step(1.0)
    assert len(watched.lookups) == 2


async def test_several_events_of_one_channel_are_one_look(watched: Watched) -> None:
    for _ in range(3):
        watched.fixture.publish("c1")
    await watched.step()
    assert [names.count("c1") for names in watched.lookups] == [1]


async def test_capitals_are_searched_while_somebody_looks_alone(watched: Watched) -> None:
    await watched.fixture.subscriber("Session.42")
    watched.fixture.publish("session-42")
    await watched.step()
    assert watched.scans == 0
    report = await watched.report()
    assert watched.scans == 1
    (found,) = report.findings
    assert "1 connection waits on `Session.42`" in found.sentence


async def test_a_look_looks_up_everything(watched: Watched) -> None:
    for number in range(100):
        watched.fixture.publish(f"c{number}")
    await watched.report()
    assert len(watched.channels) == 100


async def test_a_near_miss_is_a_line_once_an_hour(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await watched.fixture.subscriber("private-a")
    for _ in range(3_500 // 61):
        watched.fixture.publish("a")
        await watched.step(61.0)
    (record,) = caplog.records
    assert record.getMessage() == (
        "nobody received an event: `event` went to `a`; 1 connection waits on `private-a`: the event uses"
        " Channel where PrivateChannel is meant. Let broadcastOn() return new PrivateChannel('a')."
    )
    assert vars(record)["see"] == "docs/troubleshooting.md#names-that-differ"
    assert vars(record)["app"] == "1"


async def test_a_near_miss_that_a_look_found_is_a_line_too(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """The look comes before the next step, which then has nothing to look up."""
    await watched.fixture.subscriber("private-a")
    watched.fixture.publish("a")
    await watched.report()
    await watched.step(1.0)
    assert len(caplog.records) == 1


async def test_a_name_that_somebody_takes_is_no_finding_any_more(watched: Watched) -> None:
    await watched.fixture.subscriber("private-a")
    watched.fixture.publish("a")
    assert len((await watched.report()).findings) == 1
    await watched.fixture.subscriber("a")
    watched.fixture.publish("a")
    watched.fixture.clock.advance(3.0)
    assert (await watched.report()).findings == []


async def test_a_store_that_is_away_is_asked_again(watched: Watched) -> None:
    await watched.fixture.subscriber("private-a")
    watched.fixture.publish("a")
    watched.fixture.roster.asking.is_away = True
    await watched.step()
    assert (await watched.report()).findings == []
    watched.fixture.roster.asking.is_away = False
    assert len((await watched.report()).findings) == 1


async def test_another_apps_names_stay_with_it(watched: Watched) -> None:
    """A question about one app is answered with its names alone."""
    other = App(id="2", keys=(AppKey(key="other", secret="s"),))
    client = watched.fixture.connect(other)
    await watched.fixture.join(client, "secret-of-2")
    watched.fixture.app = other
    watched.fixture.publish("Secret-of-2")
    everything = await watched.report()
    assert "secret-of-2" in everything.findings[0].sentence
    about_one = await watched.report(app="1")
    assert "ecret-of-2" not in json.dumps(msgspec.to_builtins(about_one))


async def test_many_apps_are_counted_in_portions(watched: Watched) -> None:
    hub = watched.fixture.node.hub
    for number in range(1_200):
        hub.traffic.of(str(number)).published = 1
    evidence = watched.fixture.node.evidence
    counts = []
    for _ in range(3):
        await watched.step(1.0)
        counts.append(len(evidence.apps))
    assert counts == [500, 1_000, 1_200]
    await watched.report()
    assert evidence.apps["1199"].published == 1


async def test_a_channel_says_how_many_it_has_and_when_it_was_served(watched: Watched) -> None:
    await watched.fixture.subscriber("a")
    report = await watched.report(app="1", channel="a")
    assert (report.channel.subscribers, report.channel.delivered) == (1, None)
    watched.fixture.node.hub.app_states["1"].channels["a"].since = watched.fixture.clock() - 7
    report = await watched.report(app="1", channel="a")
    assert report.channel.delivered == 7.0
