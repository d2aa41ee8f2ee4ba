"""The numbers of docs/deployment.md and docs/sizing.md hold together with the code and with each other."""

import re
from pathlib import Path

import pytest

from pusher_server.cluster.sharding import _RELEASE_SECONDS
from pusher_server.config import ServerSettings
from pusher_server.server.lifecycle import _FAREWELL
from pusher_server.server.uvicorn_config import GRACEFUL_SECONDS
from pusher_server.webhooks.runtime import FAREWELL

TOP = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    """A file of the repository."""
    return (TOP / name).read_text("utf-8")


def the_number(pattern: str, path: str) -> float:
    """The only match's number in a file."""
    (number,) = re.findall(pattern, read(path), re.M)
    return float(number)


def longest_end_after_a_drain() -> float:
    """Seconds from the last 4200 to the end of the process, when all that can hang does so at once.

    Goodbyes, uvicorn's second, the keys of a Redis that is away. Then webhooks: events that are not
    stored, requests in flight, their outcomes, the claims.
    """
    return _FAREWELL + GRACEFUL_SECONDS + _RELEASE_SECONDS + 4 * FAREWELL


def test_supervisors_wait_longer_than_a_drain() -> None:
    """Delay, grace, and what the page says for the rest; also with the delay that the page names."""
    page = "docs/deployment.md"
    rest = the_number(r"above `drain_delay` \+ `shutdown_grace` \+ ([\d.]+) s", page)
    assert rest > longest_end_after_a_drain()
    delay = the_number(r"^drain_delay = ([\d.]+)", page)
    stop = max(delay, ServerSettings().drain_delay) + ServerSettings().shutdown_grace + rest
    assert the_number(r"^TimeoutStopSec=(\d+)$", "docs/deploy/pusher-server.service") > stop
    before = the_number(r'^  preStop: { exec: { command: \["sleep", "(\d+)"\]', page)
    assert the_number(r"^terminationGracePeriodSeconds: (\d+)", page) > before + stop


def test_the_sizing_page_has_the_figures_of_the_comparison() -> None:
    """What its sentences say of overload and of reconnecting was measured in the run of its tables."""
    sizing, performance = "docs/sizing.md", "docs/performance.md"
    (p99,) = re.findall(r"^\| overload: .*?— p99, ms \| \*\*([\d.]+)\*\*", read(performance), re.M)
    assert the_number(r"still nothing is lost, and p99 is ([\d.]+) ms", sizing) == float(p99)
    microseconds = the_number(r"^\| new connections/s, .*?\| ([\d.]+) \|", sizing)
    seconds = the_number(r"15,000 new connections are ([\d.]+) s of\s+a whole core", sizing)
    assert seconds == pytest.approx(15_000 * microseconds / 1e6, abs=0.05)
