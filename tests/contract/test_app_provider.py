"""What every AppProvider promises (`interfaces.AppProvider`).

A further implementation is one more entry in `FACTORIES`: a coroutine function that stores these apps.
"""

from collections.abc import Iterable

import pytest

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.apps.static import StaticApps
from pusher_server.interfaces import AppProvider

APPS = (
    App(
        id="1",
        name="shop",
        keys=(AppKey(key="new", secret="s1"), AppKey(key="old", secret="s2")),
        allowed_origins=("example.com", "*.example.org"),
        strict=True,
        client_events="off",
        cache_ttl=7,
        limits=AppLimits(connections=5, presence_members=3),
    ),
    App(id="2", keys=(AppKey(key="other", secret="s3"),), enabled=False),
)


async def static(apps: Iterable[App]) -> AppProvider:
    return StaticApps(apps)


FACTORIES = [pytest.param(static, id="static")]


@pytest.fixture(params=FACTORIES)
async def provider(request: pytest.FixtureRequest) -> AppProvider:
    made: AppProvider = await request.param(APPS)
    return made


@pytest.mark.parametrize("key", ["new", "old"])
async def test_every_key_finds_its_app_whole(provider: AppProvider, key: str) -> None:
    assert await provider.by_key(key) == APPS[0]


async def test_an_id_finds_its_app_whole(provider: AppProvider) -> None:
    assert [await provider.by_id(each.id) for each in APPS] == list(APPS)


async def test_an_app_that_is_switched_off_is_found(provider: AppProvider) -> None:
    """Whoever asks must be able to say 4003 instead of 4001."""
    found = await provider.by_key("other")
    assert found is not None
    assert not found.enabled


@pytest.mark.parametrize(
    "unknown", ["", "NEW", "new ", "1", "s1", "' OR 1=1 --", "\x00", "é" * 300]
)
async def test_an_unknown_key_finds_nothing(provider: AppProvider, unknown: str) -> None:
    assert await provider.by_key(unknown) is None


@pytest.mark.parametrize("unknown", ["", "3", "new", "01", "1 ", "é" * 300])
async def test_an_unknown_id_finds_nothing(provider: AppProvider, unknown: str) -> None:
    assert await provider.by_id(unknown) is None
