"""Where the outbox is; what the settings cannot do is told as any outage of it."""

from pathlib import Path

import pytest

from pusher_server.config import WebhookSettings
from pusher_server.config.redis import RedisSettings
from pusher_server.webhooks.outbox.interface import OutboxUnavailable
from pusher_server.webhooks.outbox.opening import RedisOpening, look_into, opening

GONE = RedisSettings(url="rediss://:s3cr3t@h", ca_certificate="/no/ca.pem")


async def test_a_certificate_that_has_gone_since_the_start_is_an_outage() -> None:
    """Events wait in memory meanwhile; a ConfigError would end the task that delivers."""
    with pytest.raises(OutboxUnavailable, match=r"cluster\.redis\.ca_certificate: /no/ca\.pem"):
        await RedisOpening(GONE, WebhookSettings()).open()


def test_it_is_told_to_those_who_only_look() -> None:
    with pytest.raises(OutboxUnavailable, match=r"cluster\.redis\.ca_certificate: /no/ca\.pem"):
        look_into(Path("unused"), GONE, WebhookSettings())


def test_nodes_that_share_a_redis_share_the_outbox_in_it(tmp_path: Path) -> None:
    settings = WebhookSettings()
    assert opening(tmp_path / "o", GONE, settings, "me").place == "Redis at h:6379"
    in_file = opening(tmp_path / "o", RedisSettings(), settings, "me")
    assert in_file.place == str(tmp_path / "o")
    assert look_into(tmp_path / "o", RedisSettings(), settings) is None
