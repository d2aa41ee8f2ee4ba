"""The settings as connections use them: secrets, addresses, files."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pusher_server.config.redis import RedisSettings
from pusher_server.errors import ConfigError
from pusher_server.redis.access import RedisAccess, peer_of
from pusher_server.resolving import Resolver

SECRET = "s3cr3t-in-no-repr"


def test_no_secret_is_in_a_repr() -> None:
    settings = RedisSettings(
        url=f"redis://user:{SECRET}@h", sentinel_password=SECRET, password=SECRET
    )
    access = RedisAccess(settings)
    for each in (access, access.login, access.sentinel_login, vars(access)):
        assert SECRET not in repr(each)
    assert access.login.arguments == ("AUTH", "user", SECRET)


def test_the_time_is_what_the_settings_say_unless_the_caller_says_otherwise() -> None:
    settings = RedisSettings(url="redis://h", connect_timeout=3.0)
    assert RedisAccess(settings).timeout == 3.0
    assert RedisAccess(settings, timeout=0.5).timeout == 0.5


def test_a_url_may_be_left_out_beside_sentinels() -> None:
    settings = RedisSettings(sentinels=("a", "b"), sentinel_master="m")
    access = RedisAccess(settings)
    assert (access.addresses, access.database, access.tls) == ((), 0, None)
    assert peer_of(settings) == "Redis 'm'"


@pytest.mark.parametrize(
    ("settings", "peer"),
    [
        (RedisSettings(url=f"redis://:{SECRET}@h:1/3"), "Redis at h:1"),
        (RedisSettings(url=f"unix://:{SECRET}@/run/redis.sock"), "Redis at /run/redis.sock"),
        (RedisSettings(url=f"redis://:{SECRET}@a,b", cluster=True), "a Redis Cluster"),
    ],
)
def test_operators_call_it_by_its_address(settings: RedisSettings, peer: str) -> None:
    assert peer_of(settings) == peer


def test_files_that_cannot_be_used_are_a_wrong_setting(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(ConfigError) as raised:
        RedisAccess(RedisSettings(url="rediss://h", ca_certificate=missing))
    assert raised.value.setting == "cluster.redis.ca_certificate"
    with pytest.raises(ConfigError) as raised:
        RedisAccess(RedisSettings(url="rediss://h", certificate=missing, key=missing))
    assert raised.value.setting == "cluster.redis.certificate"


def access_by(addresses: Sequence[str]) -> RedisAccess:
    resolver = Resolver(lambda host: addresses, found_for=0.0)
    return RedisAccess(RedisSettings(url="redis://h"), resolver=resolver)


async def test_the_addresses_of_a_name_are_tried_in_turn() -> None:
    tried: list[str] = []

    async def connect(address: str) -> str:
        tried.append(address)
        if address == "192.0.2.1":
            raise ConnectionRefusedError("first")
        return f"to {address}"

    access = access_by(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    assert await access.reach("h", connect) == "to 192.0.2.2"
    assert tried == ["192.0.2.1", "192.0.2.2"]


async def test_the_last_problem_is_raised_when_no_address_will_do() -> None:
    async def connect(address: str) -> str:
        raise OSError(f"not {address}")

    with pytest.raises(OSError, match=r"not 192\.0\.2\.2"):
        await access_by(["192.0.2.1", "192.0.2.2"]).reach("h", connect)
    with pytest.raises(OSError, match="cannot be resolved"):
        await access_by([]).reach("h", connect)
