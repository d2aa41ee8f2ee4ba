"""An edge with default settings; tests of other ones make their own."""

import pytest

from tests.unit.websocket.edge_fixture import EdgeFixture


@pytest.fixture
def fixture() -> EdgeFixture:
    return EdgeFixture()
