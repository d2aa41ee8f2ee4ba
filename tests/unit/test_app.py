"""What a tenant is, and what it may not be."""

from typing import get_args

import msgspec
import pytest

from pusher_server.app import STRICT_LIMITS, App, AppKey, AppLimits, EventType, Webhook


def app(**fields: object) -> App:
    return msgspec.convert({"id": "1", "keys": [{"key": "k", "secret": "s"}], **fields}, App)


def test_the_defaults_are_those_of_the_design() -> None:
    """Generous where Pusher is not, unless Strict (docs/decisions.md#defaults-and-strict)."""
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


def webhook(**fields: object) -> Webhook:
    return msgspec.convert({"url": "https://example.com/hook", **fields}, Webhook)


def test_the_events_of_webhooks_are_those_of_the_protocol() -> None:
    """Those of docs/protocol/webhooks.md#events."""
    assert get_args(EventType) == (
        "channel_occupied",
        "channel_vacated",
        "member_added",
        "member_removed",
        "client_event",
        "cache_miss",
        "subscription_count",
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "https://example.com:8443/a/b?c=d#e",
        "HTTPS://user:p%40ss@my_host.internal./hook",
        "http://127.0.0.1:8000/",
        "http://[::1]:8000/",
        "http://xn--bcher-kva.example/",
    ],
)
def test_a_url_that_can_be_asked(url: str) -> None:
    assert webhook(url=url).url == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "url is empty"),
        ("example.com/hook", "url is not http"),
        ("ftp://example.com", "url is not http"),
        ("//hooks.example.com", "url is not http"),
        ("http:///path", "url has no usable host"),
        ("http://:80/", "url has no usable host"),
        ("http://a..b/", "url has no usable host"),
        ("http://-a/", "url has no usable host"),
        (f"http://{'a' * 64}/", "url has no usable host"),
        (f"http://{'a.' * 127}/", "url has no usable host"),
        ("http://a\\b/", "url has no usable host"),
        ("http://999.1.1.1/", "url has no usable host"),
        ("http://example.com:0/", "url has no usable host"),
        ("http://example.com:65536/", "url is malformed"),
        ("http://example.com:port/", "url is malformed"),
        ("http://[::1/", "url is malformed"),
        ("http://[::1]x/", "url has no usable host"),
        ("http://example.com/a b", "url has a blank or a control"),
        ("http://example.com/\r\nX: y", "url has a blank or a control"),
        ("http://example.com/\x7f", "url has a blank or a control"),
        ("http://bücher.example/", "url has characters beyond ASCII"),
        ("http://example.com/" + "a" * 2_048, "url is longer than 2048"),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused(url: str, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem) as refused:
        webhook(url=url)
    assert not url or url not in str(refused.value)


@pytest.mark.parametrize("value", ["", "x", "Bearer a.b-c_d=", "two words", "tab\tinside"])
def test_a_header_that_http_allows(value: str) -> None:
    assert webhook(headers={"X-My_Header!": value}).headers == {"X-My_Header!": value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\nb"),
        ("X", "a\r"),
        ("X", " a"),
        ("X", "a\t"),
        ("X", "é"),
        ("X", "a\0b"),
        ("X Y", "a"),
        ("X:", "a"),
        ("", "a"),
        ("Ü", "a"),
        ("X\n", "a"),
        ("content-type", "text/plain"),
        ("Content-Length", "5"),
        ("HOST", "x"),
        ("X-Pusher-Key", "x"),
        ("x-pusher-signature", "x"),
        ("X-Pusher-Server-Event-Ids", "x"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(name: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="headers has "):
        webhook(headers={name: value})


def test_a_webhook_is_named_by_its_url() -> None:
    """Two with the same URL are one target, whatever else they say."""
    assert webhook().id == webhook(batch=True).id == "19f1352238b9"
    assert webhook(url="https://example.com/hook/").id != webhook().id


def test_the_secrets_of_a_webhook_are_never_shown() -> None:
    """User, password and token in its URL, values of its headers."""
    hidden = webhook(
        url="https://me:hush@example.com:8443/a?token=hush#hush", headers={"Authorization": "hush"}
    )
    assert hidden.shown_url == "https://example.com:8443/a"
    assert "hush" not in repr(app(webhooks=[msgspec.to_builtins(hidden)]))
    assert "Authorization" in repr(hidden)
