"""Scripts have the name that a Redis server gives them."""

import pytest

from pusher_server.redis.scripts import Script, read_lua


def test_the_name_is_the_sha_of_the_text() -> None:
    """The example of Redis's documentation of EVALSHA."""
    assert Script("return 1").sha == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    assert Script("return 1").text == b"return 1"


def test_texts_are_read_from_the_package_that_uses_them() -> None:
    assert "redis.call" in read_lua("pusher_server.cluster.redis", "store")
    assert "redis.call" in read_lua("pusher_server.webhooks.outbox.redis", "append")
    with pytest.raises(FileNotFoundError):
        read_lua("pusher_server.cluster.redis", "append")
