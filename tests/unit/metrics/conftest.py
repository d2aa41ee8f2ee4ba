"""The plain world; tests with other settings make their own."""

import pytest

from tests.support.node import World


@pytest.fixture
def world() -> World:
    return World()
