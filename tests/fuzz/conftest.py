"""The process that everything is thrown at; its log must stay empty."""

from collections.abc import Iterator

import pytest

from tests.fuzz.fuzzed_server import FuzzedServer
from tests.support.inprocess import app
from tests.support.serving import RunningServer

#: So that requests captured years ago are still signed for now.
AGES = 10**12


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzedServer]:
    """The server with its two faithful clients."""
    settings = {
        "apps": [app(limits={"message_bytes": 4_096, "client_events_per_second": 0})],
        "http": {"timestamp_tolerance": AGES, "request_bytes": 100_000, "header_bytes": 8_192},
        "log": {"level": "warning"},
    }
    with RunningServer(tmp_path_factory.mktemp("fuzz"), settings) as server:
        running = FuzzedServer(server)
        yield running
        running.witness.close()
        running.backend.close()
