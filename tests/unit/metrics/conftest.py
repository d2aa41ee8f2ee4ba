"""The plain world; tests with other settings make their own."""

import pytest

from tests.support.node import NodeFixture


@pytest.fixture
def world() -> NodeFixture:
    return NodeFixture()
