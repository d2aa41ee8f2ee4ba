"""The application server that the official clients authorise with."""

from collections.abc import Iterator

import pytest

from tests.conformance.official.app_server import AppServer, running_app_server
from tests.conformance.target import Target
from tests.support.serving import RunningServer


@pytest.fixture
def app_server(target: Target) -> Iterator[AppServer]:
    """For the server under test."""
    with running_app_server(target) as server:
        yield server


@pytest.fixture
def spare_app_server(spare: RunningServer, spare_target: Target) -> Iterator[AppServer]:
    """For the server that a test restarts."""
    assert spare.port == spare_target.port
    with running_app_server(spare_target) as server:
        yield server
