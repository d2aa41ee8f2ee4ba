"""What every AppProvider promises (`interfaces.AppProvider`): the file, and three tables in three databases.

A further implementation is one more entry in `STORES`: what it has to answer, and how it is made.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from pusher_server.app import STRICT_LIMITS, App, AppKey, AppLimits, Webhook
from pusher_server.apps.database.cache import CachedApps
from pusher_server.apps.static import StaticApps
from pusher_server.interfaces import AppProvider
from tests.support.app_tables import KINDS, PRESETS, AppTable, made

#: What a file or our own table can say: everything.
APPS = (
    App(
        id="1",
        name="shop",
        keys=(AppKey(key="new", secret="s1"), AppKey(key="old", secret="s2")),
        allowed_origins=("example.com", "*.example.org"),
        strict=True,
        over_quota_code=4004,  # of `strict`
        client_events="off",
        cache_ttl=7,
        watchlist=True,
        limits=AppLimits(**{**STRICT_LIMITS, "connections": 5, "presence_members": 3}),
        webhooks=(
            Webhook(url="http://127.0.0.1/hook", headers={"X-Tenant": "1"}, batch=True),
            Webhook(url="https://example.com/", event_types=("member_added",), verify=False),
        ),
    ),
    App(id="2", keys=(AppKey(key="other", secret="s3"),), enabled=False),
)

#: soketi's table: one key, sizes in kilobytes, -1 is no limit, NULL as the server has it.
SOKETI_APPS = (
    App(
        id="1",
        keys=(AppKey(key="new", secret="s1"),),
        client_events="off",
        authorization_timeout=30,
        limits=AppLimits(
            connections=200,
            backend_events_per_second=0,
            client_events_per_second=7,
            reads_per_second=0,
            presence_members=3,
            presence_member_bytes=2_048,
            channel_name_length=50,
            event_channels=4,
            event_name_length=60,
            event_data_bytes=10_240,
            batch_events=5,
        ),
        webhooks=(Webhook(url="http://127.0.0.1/hook"),),
    ),
    App(
        id="2",
        keys=(AppKey(key="other", secret="s3"),),
        enabled=False,
        limits=AppLimits(client_events_per_second=0),
    ),
)

#: laravel-websockets' table knows no switch; the operator has added one and named it in the settings.
LARAVEL_APPS = (
    App(
        id="1",
        name="shop",
        keys=(AppKey(key="new", secret="s1"),),
        allowed_origins=("example.com", "*.example.org"),
        limits=AppLimits(connections=5),
    ),
    App(
        id="2",
        name="other",
        keys=(AppKey(key="other", secret="s3"),),
        enabled=False,
        client_events="off",
    ),
)

OUR_WEBHOOKS = """[
    {"url": "http://127.0.0.1/hook", "headers": {"X-Tenant": "1"}, "batch": true},
    {"url": "https://example.com/", "event_types": ["member_added"], "verify": false}
]"""

SOKETI_ROWS: list[dict[str, object]] = [
    {
        **{"id": "1", "key": "new", "secret": "s1", "enabled": 1, "enable_client_messages": 0},
        **{"max_connections": 200, "max_backend_events_per_sec": -1, "max_read_req_per_sec": 0},
        **{"max_client_events_per_sec": 7, "webhooks": '[{"url": "http://127.0.0.1/hook"}]'},
        **{"max_presence_members_per_channel": 3, "max_presence_member_size_in_kb": 2},
        **{"max_channel_name_length": 50, "max_event_channels_at_once": 4},
        **{"max_event_name_length": 60, "max_event_payload_in_kb": 10, "max_event_batch_size": 5},
        "enable_user_authentication": 1,
    },
    {
        **{"id": "2", "key": "other", "secret": "s3", "enabled": 0, "enable_client_messages": 1},
        **{"max_connections": -1, "max_backend_events_per_sec": -1, "max_read_req_per_sec": -1},
        "max_client_events_per_sec": -1,
    },
]


class Store(NamedTuple):
    """A provider and what it has."""

    provider: AppProvider
    apps: tuple[App, ...]


@asynccontextmanager
async def from_file(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[Store]:
    """`[[apps]]`."""
    yield Store(StaticApps(APPS), APPS)


async def fill(table: AppTable) -> tuple[App, ...]:
    """Put the apps into it as its own software would; returns them."""
    match table.settings.preset:
        case "soketi":
            await table.insert(SOKETI_ROWS)
            return SOKETI_APPS
        case "laravel-websockets":
            on, off = table.switch(True), table.switch(False)
            shop: dict[str, object] = {"id": "1", "key": "new", "secret": "s1", "name": "shop"}
            shop |= {"capacity": 5, "allowed_origins": "example.com,*.example.org", "active": on}
            shop |= {"enable_client_messages": on, "enable_statistics": on}
            other: dict[str, object] = {"id": "2", "key": "other", "secret": "s3", "name": "other"}
            other |= {"allowed_origins": "", "enable_client_messages": off, "active": off}
            await table.insert([shop, other])
            return LARAVEL_APPS
        case _:
            on = table.switch(True)
            shop = {"id": "1", "key": "new", "secret": "s1", "name": "shop", "strict": on}
            shop |= {"previous_key": "old", "previous_secret": "s2", "client_events": "off"}
            shop |= {"allowed_origins": "example.com, *.example.org", "cache_ttl": 7}
            shop |= {"watchlist": on, "max_connections": 5, "max_presence_members": 3}
            shop |= {"webhooks": OUR_WEBHOOKS}
            other = {"id": "2", "key": "other", "secret": "s3", "enabled": table.switch(False)}
            await table.insert([shop, other])
            return APPS


def from_table(kind: str, preset: str):  # type: ignore[no-untyped-def]  # a fixture's parameter
    """A table of this preset in this database, behind the memory that the server puts before it."""

    @asynccontextmanager
    async def make(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[Store]:
        server = None if kind == "sqlite" else request.getfixturevalue(kind)
        lacks = preset == "laravel-websockets"
        columns = {"enabled": "active"} if lacks else {}
        extra = "active {boolean}" if lacks else ""
        async with made(kind, preset, directory, server, extra=extra, columns=columns) as table:
            apps = await fill(table)
            async with table.store() as store:
                yield Store(CachedApps(store, time.monotonic, unknown_seconds=1.0), apps)

    return make


STORES = [pytest.param(from_file, id="file")] + [
    pytest.param(from_table(kind, preset), id=f"{kind}-{preset}")
    for kind in KINDS
    for preset in PRESETS
]


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each implementation with its apps."""
    async with request.param(request, tmp_path) as made_store:
        yield made_store


async def test_every_key_finds_its_app_whole(store: Store) -> None:
    for app in store.apps:
        for pair in app.keys:
            assert await store.provider.by_key(pair.key) == app
            assert await store.provider.by_key(pair.key) == app  # from memory


async def test_an_id_finds_its_app_whole(store: Store) -> None:
    assert [await store.provider.by_id(each.id) for each in store.apps] == list(store.apps)


async def test_an_app_that_is_switched_off_is_found(store: Store) -> None:
    """Whoever asks must be able to say 4003 instead of 4001."""
    found = await store.provider.by_key("other")
    assert found is not None
    assert not found.enabled


async def test_what_nobody_has_finds_nothing(store: Store) -> None:
    """Neither other cases and blanks, which MySQL takes for equal, nor what a driver could stumble on."""
    await store.provider.by_key("new")
    keys = ("", "NEW", "new ", "1", "s1", "' OR 1=1 --", "\x00", "é" * 300, "n_w", "%", "ñew")
    ids = ("", "3", "new", "01", "1 ", "1.0", "é" * 300, "%", "\\", "\ud800", "1\n")
    asked = [*map(store.provider.by_key, keys), *map(store.provider.by_id, ids)]
    assert await asyncio.gather(*asked) == [None] * len(asked)


async def test_a_store_that_answers_is_ready_and_has_no_problem(store: Store) -> None:
    await store.provider.by_key("new")
    assert store.provider.ready
    assert store.provider.problem is None
