"""`pusher_server.migration.environment`: another server's variables as ours, for `serve --env-style`."""

import pytest

from pusher_server.app import Webhook
from pusher_server.config import Config, load
from pusher_server.errors import ConfigError
from pusher_server.migration.environment import foreign_notice, translate

SOKETI = {
    "SOKETI_DEFAULT_APP_ID": "1",
    "SOKETI_DEFAULT_APP_KEY": "k",
    "SOKETI_DEFAULT_APP_SECRET": "s" * 20,
}
REVERB = {"REVERB_APP_ID": "2", "REVERB_APP_KEY": "k", "REVERB_APP_SECRET": "s" * 20}


def loaded(style: str, environ: dict[str, str]) -> Config:
    """The configuration of a start with this style and these variables."""
    variables, _ = translate(style, environ)
    return load(None, {**environ, **variables}, {})


def test_soketi() -> None:
    """Everything that its variables say, webhooks and limits too."""
    config = loaded(
        "soketi",
        {
            **SOKETI,
            "SOKETI_PORT": "7001",
            "SOKETI_DEFAULT_APP_MAX_CONNS": "9",
            "SOKETI_DEFAULT_APP_WEBHOOKS": '[{"url": "https://a.example/h", "event_types": ["member_added"]}]',
            "SOKETI_CHANNEL_CACHE_TTL": "60",
            "SOKETI_ADAPTER_DRIVER": "redis",
            "SOKETI_DB_REDIS_PASSWORD": "p, ass",
        },
    )
    (app,) = config.apps
    assert config.server.port == 7_001
    assert (app.id, app.limits.connections, app.cache_ttl) == ("1", 9, 60)
    assert app.webhooks == (Webhook(url="https://a.example/h", event_types=("member_added",)),)
    assert config.cluster.redis.password == "p, ass"


def test_soketis_apps_in_a_database() -> None:
    """Then there is no app in the variables."""
    config = loaded("soketi", {"SOKETI_APP_MANAGER_DRIVER": "mysql", "SOKETI_DB_MYSQL_HOST": "db"})
    assert config.database.url == "mysql://root:password@db:3306/main"
    assert config.apps == ()


def test_reverb() -> None:
    """As its published configuration reads them."""
    config = loaded(
        "reverb", {**REVERB, "REVERB_SERVER_PORT": "9000", "REVERB_APP_MAX_CONNECTIONS": "5"}
    )
    (app,) = config.apps
    assert (config.server.host, config.server.port) == ("0.0.0.0", 9_000)
    assert (app.id, app.limits.connections, app.lenient_channel_names) == ("2", 5, True)


def test_ours_win() -> None:
    """A variable of ours stays as it is."""
    environ = {**SOKETI, "SOKETI_PORT": "7001", "PUSHER_SERVER__SERVER__PORT": "8001"}
    assert loaded("soketi", environ).server.port == 8_001
    assert loaded("soketi", {**SOKETI, "PUSHER_SERVER__DATABASE__URL": "sqlite:////a"}).apps == ()


@pytest.mark.parametrize("style", ["soketi", "reverb"])
@pytest.mark.parametrize(
    "ours",
    [
        {"PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "k7", "PUSHER_APP_SECRET": "s" * 20},
        {"PUSHER_SERVER__APPS": '[{"id": "7", "key": "k7", "secret": "ssssssssssssssssssss"}]'},
    ],
    ids=["app", "apps"],
)
def test_an_app_of_ours_stands_in_for_theirs(style: str, ours: dict[str, str]) -> None:
    """Which then needs no credentials, and no database."""
    theirs = {"SOKETI_PORT": "7001", "REVERB_SERVER_PORT": "7001"}
    for more in ({}, {**SOKETI, **REVERB}, {"SOKETI_APP_MANAGER_DRIVER": "mysql"}):
        config = loaded(style, {**theirs, **more, **ours})
        assert config.server.port == 7_001
        assert [app.id for app in config.apps] == ["7"]
        assert not config.database.url


def test_credentials_that_everybody_knows_do_not_start() -> None:
    """soketi's own image would; a container that is open to all is no replacement."""
    with pytest.raises(ConfigError, match="SOKETI_DEFAULT_APP_SECRET: is not set"):
        translate("soketi", {"SOKETI_DEFAULT_APP_ID": "1"})


def test_a_certificate_that_is_not_here_does_not_start() -> None:
    """Without it clients would be served in plain text."""
    with pytest.raises(ConfigError, match="SOKETI_SSL_CERT: names a file that is not here"):
        translate("soketi", {**SOKETI, "SOKETI_SSL_CERT": "/nowhere/a.pem"})


@pytest.mark.parametrize("missing", sorted(REVERB))
def test_a_missing_variable_is_named(missing: str) -> None:
    """With the option that needs it."""
    environ = {name: value for name, value in REVERB.items() if name != missing}
    with pytest.raises(
        ConfigError, match=f"^{missing}: is not set, and --env-style reverb needs it"
    ):
        translate("reverb", environ)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (["SOKETI_PORT"], "start with --env-style soketi, or run `pusher-server import soketi`"),
        (["REVERB_APP_ID", "REVERB_APP_KEY"], "REVERB_APP_ID and 1 more: variables of reverb"),
        (["PUSHER_SERVER__SERVER__HOST", "SOKETI_PORT"], "SOKETI_PORT: variables of soketi"),
        (["SOCKUDO_DEFAULT_APP_ID"], "is set; run `pusher-server import sockudo`"),
    ],
)
def test_foreign_variables_and_none_of_ours_are_one_line(environ: list[str], words: str) -> None:
    """That names one of them and the way on."""
    notice = foreign_notice(dict.fromkeys(environ, "hidden"))
    assert notice is not None
    assert words in notice
    assert "\n" not in notice
    assert "hidden" not in notice


def test_nothing_is_said_beside_ours() -> None:
    """Nor without foreign ones."""
    assert foreign_notice({"SOKETI_PORT": "1", "PUSHER_APP_KEY": "k"}) is None
    assert foreign_notice({"SOKETI_PORT": "1", "PUSHER_SERVER__LOG__LEVEL": "info"}) is None
    assert foreign_notice({"PATH": "/bin", "PORT": "1"}) is None
