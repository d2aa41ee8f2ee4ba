"""Redis that is not there from the first start on: served all the same, and a warning says so."""

import logging
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.inprocess import KEY, serving
from tests.support.serving import free_port
from tests.support.waiting import eventually


async def test_a_redis_that_was_never_there_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    settings = {
        "cluster": {"start_timeout": 0.05, "redis": {"url": f"redis://:hush@127.0.0.1:{port}"}}
    }
    async with serving(tmp_path, settings) as inside:
        async with wire.connected(inside.address, KEY) as client:
            await client.expect_alive()
        words = f"Redis at 127.0.0.1:{port} is away: "
        await eventually(lambda: words in caplog.text)
        levels = [r.levelno for r in caplog.records if words in r.getMessage()]
        assert levels == [logging.WARNING]
        assert "hush" not in caplog.text
