"""Settings that work and are risky are named, without secrets; ordinary ones are not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pusher_server.config import load
from pusher_server.config.risks import risks

SECRET = "hush-hush-hush-hush"
APP = f'[[apps]]\nid = "1"\nkey = "k"\nsecret = "{SECRET}"\n'

Lines = Callable[..., list[str]]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    """The lines about a configuration, whose file only its owner reads."""

    def of(text: str, mode: int = 0o600) -> list[str]:
        file = tmp_path / "test.toml"
        file.write_text(text)
        file.chmod(mode)
        found = [*risks(load(file, {}, {}), file)]
        assert "hush" not in "".join(found)
        assert all("\n" not in line for line in found)
        return found

    return of


@pytest.mark.parametrize(
    "text",
    [
        APP,
        f'[cluster.redis]\nurl = "redis://127.0.0.1:6379/0"\n{APP}',
        f'[cluster.redis]\nurl = "redis://localhost"\n{APP}',
        f'[cluster.redis]\nurl = "redis://[::1]:6379"\n{APP}',
        f'[cluster.redis]\nurl = "unix:///run/redis.sock"\n{APP}',
        f'[cluster.redis]\nurl = "rediss://:{SECRET}@redis:6379/0"\n{APP}',
        f'[cluster.redis]\nurl = "rediss://redis"\ncertificate = "c"\nkey = "k"\n{APP}',
        f'[operations]\nhost = "0.0.0.0"\ntoken = "{SECRET}"\n{APP}',
        f'[operations]\nhost = "0.0.0.0"\nenabled = false\n{APP}',
        f'[server]\ntrusted_proxies = ["10.0.0.0/8"]\n{APP}',
        '[database]\nurl = "postgresql://u:hush@localhost/d"\n',
        '[database]\nurl = "postgresql://u:hush@db/d?sslmode=verify-full"\n',
        '[database]\nurl = "mysql://u:hush@db/d?ssl=true"\n',
        '[database]\nurl = "sqlite:////nowhere/apps.db"\n',
    ],
)
def test_an_ordinary_configuration_has_none(lines: Lines, text: str) -> None:
    assert lines(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f'[cluster.redis]\nurl = "redis://10.0.0.5:6379"\n{APP}',
            ("10.0.0.5:6379 is another machine", "a password and TLS (rediss://) are missing"),
        ),
        (
            f'[cluster.redis]\nurl = "redis://:{SECRET}@redis"\n{APP}',
            ("and TLS (rediss://) is missing",),
        ),
        (f'[cluster.redis]\nurl = "rediss://redis"\n{APP}', ("and a password is missing",)),
        (
            '[cluster.redis]\nsentinels = ["10.0.0.7:26379"]\nsentinel_master = "m"\n' + APP,
            ("10.0.0.7:26379 is another machine",),
        ),
        (
            f'[cluster.redis]\nurl = "redis://127.0.0.1,10.0.0.5"\ncluster = true\n{APP}',
            ("10.0.0.5:6379 is another machine",),
        ),
        (
            f'[cluster.redis]\nurl = "rediss://:{SECRET}@redis"\nverify = false\n{APP}',
            ("cluster.redis.verify is false",),
        ),
        (
            f'[cluster.redis]\nurl = "redis://localhost"\npassword = "\'hush\'"\n{APP}',
            ("cluster.redis.password has a quote at its beginning",),
        ),
        (
            f'[cluster.redis]\nurl = "redis://localhost"\nusername = "u"\npassword = "hush\\n"\n{APP}',
            ("cluster.redis.password has a line end at its end",),
        ),
        (f'[operations]\nhost = "0.0.0.0"\n{APP}', ("0.0.0.0 without operations.token",)),
        (f'[operations]\nhost = "::"\ntoken = "x"\n{APP}', ("operations.token has 1 character",)),
        (APP.replace(SECRET, "s"), ("app '1'", "key 'k' has 1 character")),
        (APP.replace(SECRET, "1234567"), ("has 7 characters",)),
        (APP.replace(SECRET, "k"), ("same as the id or a key",)),
        (
            '[[apps]]\nid = "long-enough-id"\n'
            f'keys = [{{key = "new", secret = "{SECRET}"}}, {{key = "old", secret = "long-enough-id"}}]',
            ("same as the id or a key",),
        ),
        (
            f'{APP}[[apps.webhooks]]\nurl = "https://me:hush@x.example/h"\nverify = false\n',
            ("verify = false for https://x.example/h",),
        ),
        (f'[server]\ntrusted_proxies = ["::/0"]\n{APP}', ("server.trusted_proxies has ::/0",)),
        (
            '[database]\nurl = "postgresql://u:hush@db/d"\n',
            ("database.url: db is another machine",),
        ),
        ('[database]\nurl = "mysql://u:hush@10.0.0.9/d"\n', ("10.0.0.9 is another machine",)),
        (
            '[database]\nurl = "postgresql://u:hush@db/d?sslmode=prefer"\n',
            ("TLS is not required",),
        ),
    ],
)
def test_each_risk_is_one_line(lines: Lines, text: str, words: tuple[str, ...]) -> None:
    (line,) = lines(text)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("mode", "verbs"),
    [
        (0o600, None),
        (0o640, None),
        (0o660, None),
        (0o644, "read"),
        (0o602, "written"),
        (0o666, "read and written"),
    ],
)
def test_a_config_that_others_can_read_or_write(lines: Lines, mode: int, verbs: str | None) -> None:
    found = lines(APP, mode)
    assert bool(found) == bool(verbs)
    assert all(f"can be {verbs} by every user" in line for line in found)


@pytest.mark.parametrize(("mode", "count"), [(0o644, 0), (0o646, 1)])
def test_a_config_without_secrets_may_be_read_but_not_written(
    tmp_path: Path, mode: int, count: int
) -> None:
    """Its credentials come from the environment."""
    file = tmp_path / "test.toml"
    file.write_text("[server]\nport = 7001\n")
    file.chmod(mode)
    environ = {"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k", "PUSHER_APP_SECRET": SECRET}
    written = [line for line in risks(load(file, environ, {}), file) if "can be written" in line]
    assert len([*risks(load(file, environ, {}), file)]) == len(written) == count


def test_private_keys_and_the_databases_file_are_looked_at_too(
    lines: Lines, tmp_path: Path
) -> None:
    for name in ("key.pem", "apps.db"):
        (tmp_path / name).touch(mode=0o644)
        (tmp_path / name).chmod(0o644)
    text = (
        f'[server.tls]\ncertificate = "c"\nkey = "{tmp_path}/key.pem"\n'
        f'[database]\nurl = "sqlite:///{tmp_path}/apps.db"\n'
    )
    found = lines(text)
    assert [line.partition(":")[0] for line in found] == ["server.tls.key", "database.url"]
