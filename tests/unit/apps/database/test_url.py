"""`pusher_server.apps.database.url`: from the URL to a store, and the one line for what is wrong with it."""

import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from pusher_server.apps.database.url import open_store
from pusher_server.config import DatabaseSettings
from pusher_server.errors import ConfigError


def opened(url: str, **options: Any) -> Any:
    """A store for this URL; nothing is connected."""
    return open_store(DatabaseSettings(url=url), {}, **options)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgres://u:p@h:5433/d", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg"),
        ("mysql://u:p@h/d", "mysql+aiomysql"),
        ("mariadb://u:p@h/d", "mysql+aiomysql"),
    ],
)
def test_a_url_as_everybody_writes_it_gets_our_driver(url: str, driver: str) -> None:
    assert opened(url).engine.url.drivername == driver


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "is no database URL; write it as postgresql://"),
        ("postgresql://u:hush@h:port/d", "is no database URL"),
        ("oracle://u:hush@h/d", "'oracle' is no database that we know"),
        (
            "postgresql+psycopg2://u:hush@h/d",
            "the driver 'psycopg2' is not used here; write postgre",
        ),
        ("postgresql://u:hush@h", "names no database"),
        ("sqlite://", "names no database"),
        ("sqlite:///:memory:", "each connection would have a database of its own; name a file"),
        (
            "sqlite:////nowhere/apps.db",
            "there is no file /nowhere/apps.db; `pusher-server apps init`",
        ),
        ("mysql://u:hush@h/d?ssl_ca=/nowhere.pem", "ssl_ca cannot be used: No such file"),
    ],
)
def test_a_wrong_url_is_one_line_without_the_password(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        opened(url)
    assert str(refused.value).startswith("database.url: ")
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("database", ["postgresql", "mysql", "mariadb", "postgres"])
@pytest.mark.parametrize(
    ("rest", "character"),
    [
        ("u:hush@hush@h/d", "'@'"),
        ("u@corp:hush@h/d", "'@'"),
        ("u:@hush@h:5432/d?sslmode=require", "'@'"),
        ("u:hush#hush@h/d", "'#'"),
        ("u:hush@h/d#", "'#'"),
    ],
)
def test_what_is_not_percent_encoded_is_named(database: str, rest: str, character: str) -> None:
    with pytest.raises(ConfigError) as refused:
        opened(f"{database}://{rest}")
    assert f"has a {character} that is not percent-encoded" in refused.value.problem
    assert "%40 for @, %23 for #" in refused.value.problem
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("rest", "password"),
    [
        ("u:p%40%23ss@h/d", "p@#ss"),
        ("u:p@h/d?ssl_ca=", "p"),
        ("u:p?ss@h/d", "p?ss"),
        ("h/d", None),
    ],
)
def test_what_is_percent_encoded_or_needs_it_not_is_read(rest: str, password: str | None) -> None:
    assert opened(f"postgresql://{rest}").engine.url.password == password


def test_a_cut_url_names_percent_encoding() -> None:
    """A `#` begins a comment in files of variables, so that the rest of the URL is not there."""
    with pytest.raises(ConfigError, match="percent-encoding"):
        opened("postgresql://u:hush")


def test_a_file_may_have_such_characters_in_its_name(tmp_path: Path) -> None:
    assert opened(f"sqlite:///{tmp_path}/a@b#c.db", must_exist=False).engine is not None


def test_a_file_that_is_to_be_created_needs_its_directory(tmp_path: Path) -> None:
    assert opened(f"sqlite:///{tmp_path}/new.db", must_exist=False).engine is not None
    with pytest.raises(ConfigError, match="there is no directory"):
        opened(f"sqlite:///{tmp_path}/no/new.db", must_exist=False)


@pytest.mark.parametrize("missing", ["sqlalchemy.ext.asyncio", "asyncpg"])
def test_without_the_extra_it_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None in `sys.modules` is what a module that is not installed looks like to `import`."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=r"pip install 'pusher-server\[sql\]'"):
        opened("postgresql://u:p@h/d")


def test_the_sslmode_of_other_libraries_is_understood() -> None:
    url = opened("postgresql://u:p@h/d?sslmode=require&target_session_attrs=any").engine.url
    assert dict(url.query) == {"target_session_attrs": "any"}


def test_tls_to_mysql_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    made: list[ssl.SSLContext] = []
    real = ssl.create_default_context

    def create(**options: Any) -> ssl.SSLContext:
        made.append(real(**options))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", create)
    assert not opened(f"mysql://u:p@h/d?ssl_ca={authority}").engine.url.query
    assert made[0].verify_mode == ssl.CERT_REQUIRED
    assert made[0].check_hostname


def test_settings_show_no_password() -> None:
    assert "hush" not in repr(DatabaseSettings(url="postgresql://u:hush@h/d"))
