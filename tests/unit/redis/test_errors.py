"""Words for what goes wrong: the cause, what to do, and no secret."""

import ssl

import pytest
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from pusher_server.config.redis import RedisAddress
from pusher_server.redis.connection import why_failed
from pusher_server.redis.errors import why, why_no_connection, why_no_hello

SERVER = RedisAddress("redis.example", 6379)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("WRONGPASS invalid username-password pair", "username and password in [cluster.redis]"),
        ("NOAUTH Authentication required.", "set it in [cluster.redis]"),
        ("OOM command not allowed", "maxmemory"),
        ("NOPERM User weak has no permissions to run 'info'", "need: User weak has no permissions"),
        ("ERR something else", "Redis answered: ERR something else"),
        ("ERR " + "x" * 1_000, "Redis answered: ERR xxx"),
    ],
)
def test_an_error_of_redis_says_what_to_do(text: str, words: str) -> None:
    assert words in why(text)
    assert len(why(text)) <= 220


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ERR unknown command 'HELLO', with args: '3' 'AUTH' 'hush'", "does not know HELLO 3"),
        ("ERR max number of clients reached", "maxclients"),
        ("LOADING Redis is loading the dataset in memory", "still loading"),
        (
            "NOAUTH HELLO must be called with the client already authenticated",
            "asks for a password",
        ),
    ],
)
def test_an_answer_to_the_login_is_never_repeated(text: str, words: str) -> None:
    told = why_no_hello(text)
    assert words in told
    assert "hush" not in told


@pytest.mark.parametrize(
    ("error", "tls", "words"),
    [
        (TimeoutError(), False, "no answer from redis.example:6379 within 2 s"),
        (TimeoutError(), True, "within 2 s; does it speak TLS?"),
        (ConnectionRefusedError(111, "Connection refused"), False, "cannot connect to"),
        (ConnectionResetError(104, "reset"), True, "does not speak TLS as expected"),
        (ssl.SSLError(1, "wrong version number"), True, "does not speak TLS as expected"),
        (
            UnicodeError("label too long"),
            False,
            "cannot connect to redis.example:6379: UnicodeError",
        ),
    ],
)
def test_a_connection_that_fails_names_the_server(error: Exception, tls: bool, words: str) -> None:
    told = why_no_connection(error, SERVER, 2.0, tls=tls)
    assert words in told
    assert "redis.example:6379" in told


@pytest.mark.parametrize(
    ("error", "words"),
    [
        # redis-py takes the code off the errors that it knows, and leaves it on others.
        (AuthenticationError("invalid pair", status_code="WRONGPASS"), "refused the user name"),
        (OutOfMemoryError("command not allowed", status_code="OOM"), "maxmemory"),
        (NoPermissionError("no 'info'", status_code="NOPERM"), "does not permit"),
        (ResponseError("MISCONF Redis is configured to save"), "cannot save to its disk"),
        (RedisConnectionError("Connection closed by server."), "Connection closed by server."),
        (RedisConnectionError(), "ConnectionError"),
    ],
)
def test_errors_of_the_package_have_the_same_words(error: RedisError, words: str) -> None:
    assert words in why_failed(error)
