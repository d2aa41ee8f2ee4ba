"""What a tenant is, and what it may not be."""

import msgspec
import pytest

from pusher_server.app import STRICT_LIMITS, App, AppKey, AppLimits


def app(**fields: object) -> App:
    return msgspec.convert({"id": "1", "keys": [{"key": "k", "secret": "s"}], **fields}, App)


def test_the_defaults_are_those_of_the_design() -> None:
    """DESIGN §16.17: generous where Pusher is not, unless Strict."""
    limits = AppLimits()
    assert (limits.event_data_bytes, limits.presence_members) == (102_400, 0)
    assert (limits.presence_member_bytes, limits.user_id_length) == (16_384, 200)
    strict = AppLimits(**STRICT_LIMITS)
    assert (strict.event_data_bytes, strict.presence_members) == (10_240, 100)
    assert (strict.presence_member_bytes, strict.user_id_length) == (1_024, 128)


def test_a_negative_limit_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match="watchlist is -1; write 0 for 'no limit'"):
        AppLimits(watchlist=-1)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": ""}, "id is empty"),
        ({"keys": []}, "needs a key and a secret"),
        ({"keys": [{"key": "", "secret": "s"}]}, "needs a key and a secret"),
        ({"keys": [{"key": "k", "secret": ""}]}, "needs a key and a secret"),
        ({"activity_timeout": 0}, "activity_timeout is 0"),
        ({"authorization_timeout": -5}, "authorization_timeout is -5"),
        ({"cache_ttl": -5}, "cache_ttl is -5"),
        ({"allowed_origins": ["https://app.example.com"]}, "host only"),
        ({"allowed_origins": ["localhost:3000"]}, "host only"),
        ({"allowed_origins": ["[::1]"]}, "host only"),
        ({"allowed_origins": ["bücher.de"]}, "host only"),
        ({"over_quota_code": 4001}, "over_quota_code"),
        ({"client_events": "some"}, "client_events"),
    ],
)
def test_an_app_that_cannot_work_is_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        app(**fields)


def test_a_secret_is_never_shown() -> None:
    assert "hush" not in repr(App(id="1", keys=(AppKey(key="k", secret="hush"),)))


def test_every_key_has_its_own_secret() -> None:
    two = app(keys=[{"key": "new", "secret": "s1"}, {"key": "old", "secret": "s2"}])
    assert (two.secret_of("new"), two.secret_of("old"), two.secret_of("x")) == ("s1", "s2", None)
