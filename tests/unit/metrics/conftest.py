"""A node with default settings; tests of other ones make their own."""

import pytest

from tests.support.node import NodeFixture


@pytest.fixture
def fixture() -> NodeFixture:
    return NodeFixture()
