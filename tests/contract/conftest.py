"""Redis servers that several contract suites share."""

from collections.abc import Iterator

import pytest

from tests.contract.stores import end_redis


@pytest.fixture(scope="session", autouse=True)
def _end_of_redis() -> Iterator[None]:
    yield
    end_redis()
