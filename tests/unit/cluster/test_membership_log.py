"""What operators read of a store: that it is away, why, and what it has cost."""

import logging
from typing import Any

import pytest

from pusher_server.cluster.links import LinkStats
from pusher_server.cluster.membership import LONGEST_PAUSE, StoreMembership
from pusher_server.cluster.membership_log import MembershipLog
from pusher_server.errors import ClusterUnavailable
from pusher_server.log_rate_limit import INTERVAL


class RefusingLink:
    """A store that cannot be reached."""

    peer = "a store"
    is_open = False

    def __init__(self) -> None:
        self.stats = LinkStats()
        self.attempts = 0

    def attach(self, listener: object) -> None: ...

    async def open(self) -> None:
        self.attempts += 1
        raise ClusterUnavailable("refused")


@pytest.fixture
def link() -> Any:
    return RefusingLink()


@pytest.fixture
def log(link: Any, caplog: pytest.LogCaptureFixture) -> MembershipLog:
    caplog.set_level(logging.INFO, "pusher_server.cluster")
    return MembershipLog(link, "7")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    assert {vars(record)["node"] for record in caplog.records} == {"7"}
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_an_outage_makes_a_line_for_each_cause_and_one_at_its_end(
    log: MembershipLog, link: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log.detached("not connected yet", 0.0)
    assert caplog.records == []
    log.attached(0, 0)
    for problem in ("closed", "refused", "refused", "closed"):
        log.detached(problem, 1.0)
    assert log.outage.problem == "closed"
    link.stats.dropped = 3
    log.attached(2, 1)
    log.attached(2, 1)
    assert lines(caplog) == [
        (
            "INFO",
            "attached to a store: 0 keys held, 0 topics followed, 0 publications dropped so far",
        ),
        ("WARNING", "a store is away: closed"),
        ("INFO", "a store still is away: refused"),
        ("INFO", "a store still is away: closed"),
        (
            "INFO",
            "attached to a store: 2 keys held, 1 topics followed, 3 publications dropped so far",
        ),
    ]


def test_a_store_that_was_never_there_is_a_warning_from_the_first_attempt_on(
    log: MembershipLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else says so when the address is wrong from the start."""
    for now, problem in (
        (0.0, "refused"),
        (1.0, "refused"),
        (2.0, "timed out"),
        (INTERVAL, "refused"),
    ):
        log.detached(problem, now)
    assert lines(caplog) == [
        ("WARNING", "a store is away: refused"),
        ("INFO", "a store still is away: timed out"),
        ("WARNING", "a store still is away: refused"),
    ]


def test_an_outage_is_repeated_once_a_minute_whatever_its_causes(
    log: MembershipLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.attached(0, 0)
    for second in range(200):
        log.detached(("closed", "refused")[second % 2], float(second))
    assert [level for level, _ in lines(caplog)].count("WARNING") == 4  # at 0, 60, 120 and 180 s


def test_dropped_publications_are_reported_once_each_and_once_a_minute(
    log: MembershipLog, link: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log.drops(0.0)
    for now, dropped in (
        (1.0, 5),
        (2.0, 7),
        (INTERVAL, 9),
        (INTERVAL + 1.0, 12),
        (INTERVAL + 2.0, 12),
    ):
        link.stats.dropped = dropped
        log.drops(now)
    said = "a store is slow: %d publications dropped, which the other nodes have missed"
    assert lines(caplog) == [("WARNING", said % 5), ("WARNING", said % 7)]
    link.stats.dropped = 20
    log.attached(0, 0)  # says all of them
    log.drops(10 * INTERVAL)
    assert len(caplog.records) == 3


def test_other_nodes_that_are_gone_are_named(
    log: MembershipLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.swept({"8.1.1": 4, "7.2": 2})
    assert [line for _, line in lines(caplog)] == ["node 8 is gone: 4 of its keys released"]


@pytest.mark.parametrize(("lease", "longest"), [(1.5, 0.5), (60.0, LONGEST_PAUSE)])
async def test_no_pause_lasts_as_long_as_others_wait_for_a_node(
    link: Any, monkeypatch: pytest.MonkeyPatch, lease: float, longest: float
) -> None:
    """After a store's loss of memory they wait for a lease."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 12:
            raise TimeoutError

    membership = StoreMembership(link, "7", lease=lease, undo_window=3, random=lambda: 1.0)
    monkeypatch.setattr("pusher_server.cluster.membership.asyncio.sleep", sleep)
    with pytest.raises(TimeoutError):
        await membership.run()
    assert max(pauses) == longest
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert link.attempts == 12
