"""A Redis, two nodes on it, and a client for their APIs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.cluster.servers import Node, nodes_at
from tests.support.redis_servers import RedisServer


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    with RedisServer() as server:
        await asyncio.to_thread(server.start)
        yield server


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
async def pair(redis: RedisServer, tmp_path: Path) -> AsyncIterator[list[Node]]:
    """Two nodes on one Redis."""
    url = f"redis://{redis.address}/0"
    async with nodes_at(tmp_path, url, url) as nodes:
        yield nodes
