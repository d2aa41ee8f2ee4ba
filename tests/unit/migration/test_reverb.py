"""`pusher_server.migration.reverb`: `config/reverb.php` and its variables; null, 0 and -1 as they are there."""

from typing import Any

import pytest

from pusher_server.errors import ConfigError
from pusher_server.migration import reverb
from pusher_server.migration.draft import Draft
from pusher_server.migration.findings import Question, Verdict, table
from pusher_server.migration.php import read_php
from pusher_server.migration.php_operators import Unknown
from tests.unit.migration.imported import app, findings, is_noted, setting

CREDENTIALS = {
    "REVERB_APP_ID": "1",
    "REVERB_APP_KEY": "shop-key",
    "REVERB_APP_SECRET": "shop-secret",
}


def read(**variables: str) -> Draft:
    """The draft for variables and no file."""
    return reverb.read(reverb.published({**CREDENTIALS, **variables}), ".env")


def read_app(**settings: Any) -> Draft:
    """The draft with other settings of the app."""
    tree: Any = reverb.published(CREDENTIALS)
    tree["apps"]["apps"][0].update(settings)
    for name in [name for name, value in settings.items() if value is ...]:
        del tree["apps"]["apps"][0][name]
    return reverb.read(tree, "reverb.php")


def test_its_published_configuration() -> None:
    """All that it sets, and the dangers of it."""
    draft = read()
    assert setting(draft, "server") == {"host": "0.0.0.0", "port": 8_080}
    assert setting(draft, "http.request_bytes") == 10_000
    assert app(draft) == {
        "id": "1",
        "key": "shop-key",
        "secret": "shop-secret",
        "lenient_channel_names": True,
        "terminate_presence_members": True,
        "allowed_origins": ["*"],
        "over_quota_code": 4_004,
        "activity_timeout": 30,
        "client_events": "members",
        "client_events_on_public_channels": True,
        "limits": {"connections": 0, "message_bytes": 10_000},
    }
    unsafe = {finding.source for finding in findings(draft, Verdict.UNSAFE)}
    assert unsafe == {
        "apps[0].allowed_origins",
        "apps[0].max_connections",
        "apps[0].accept_client_events_from",
        "apps[0].rate_limiting",
    }


@pytest.mark.parametrize(
    ("value", "connections", "enabled"),
    [
        (None, 0, None),
        ("500", 500, None),
        (7, 7, None),
        (0, None, False),
        ("0", None, False),
        (-1, None, False),
        ("", None, None),
    ],
)
def test_connections(value: object, connections: int | None, enabled: bool | None) -> None:
    """null is no limit; 0 and -1 let nobody connect there, and an empty text takes none."""
    draft = read_app(max_connections=value)
    assert app(draft)["limits"].get("connections") == connections
    assert app(draft).get("enabled") is enabled
    assert is_noted(draft, Verdict.IMPOSSIBLE, "max_connections") == (value == "")


@pytest.mark.parametrize(
    ("value", "size"),
    [(10_000, 10_000), ("500", 500), (0, 0), (-1, None), (None, None), ("x", None)],
)
def test_message_sizes(value: object, size: int | None) -> None:
    """0 is no limit for its WebSocket library; a negative one ends every connection there."""
    draft = read_app(max_message_size=value)
    assert app(draft)["limits"].get("message_bytes") == size
    assert is_noted(draft, Verdict.UNSAFE, "max_message_size") == (size == 0)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (["*"], ["*"]),
        (["a.example", "*"], ["*"]),
        (["a.example", "*.b.example"], ["a.example", "*.b.example"]),
        (["https://a.example:8443", "[::1]:3000"], ["a.example", "::1"]),
        ([], ["nobody.invalid"]),
        (["häuser.example"], ["nobody.invalid"]),
        ("a.example, b.example", ["a.example", "b.example"]),
    ],
)
def test_origins(origins: object, expected: list[str]) -> None:
    """An empty list lets nobody in there, and here everybody: so it becomes a host that nobody has."""
    assert app(read_app(allowed_origins=origins))["allowed_origins"] == expected


@pytest.mark.parametrize("origins", [[["a"]], 5, ...])
def test_a_list_of_origins_that_is_none_lets_nobody_in(origins: object) -> None:
    """Neither does Reverb; a missing one (`...`), too."""
    draft = read_app(allowed_origins=origins)
    assert app(draft)["allowed_origins"] == ["nobody.invalid"]
    assert is_noted(draft, Verdict.CHANGED, "allowed_origins")


@pytest.mark.parametrize(
    ("value", "events", "public"),
    [
        ("members", "members", True),
        ("all", "all", True),
        ("none", "off", None),
        (None, "all", True),
        (..., "all", True),
        (False, "off", None),
    ],
)
def test_client_events(value: object, events: str, public: bool | None) -> None:
    """A file from before the setting accepts all; anything unknown is off."""
    draft = read_app(accept_client_events_from=value)
    assert app(draft)["client_events"] == events
    assert app(draft).get("client_events_on_public_channels") is public


@pytest.mark.parametrize(
    ("rate", "events"),
    [
        ({"enabled": True, "max_attempts": 60, "decay_seconds": 60}, 1),
        ({"enabled": True, "max_attempts": "100", "decay_seconds": "30"}, 4),
        ({"enabled": True, "max_attempts": 10}, 10),
        ({"enabled": "1", "max_attempts": 60}, None),
        ({"enabled": False}, None),
        ({"enabled": True, "max_attempts": 0}, None),
        (..., None),
    ],
)
def test_rates(rate: object, events: int | None) -> None:
    """Only `true` switches them on there."""
    assert app(read_app(rate_limiting=rate))["limits"].get("client_events_per_second") == events


def test_redis() -> None:
    """`REDIS_URL` wins over the parts, and `tls://` is TLS."""
    draft = read(
        REVERB_SCALING_ENABLED="true", REDIS_HOST="r", REDIS_PASSWORD="hidden", REDIS_DB="3"
    )
    assert setting(draft, "cluster.redis") == {"url": "redis://r:6379/3", "password": "hidden"}
    assert "hidden" not in table(draft.findings)
    url = read(REVERB_SCALING_ENABLED="1", REDIS_URL="tls://u:p%40@h:1/2", REDIS_HOST="r")
    assert setting(url, "cluster.redis") == {
        "url": "rediss://h:1/2",
        "username": "u",
        "password": "p@",
    }
    assert setting(read(REDIS_URL="redis://h"), "cluster") is None


def test_a_computed_value_is_asked_for() -> None:
    """By its name, with its source; a secret's source is not shown."""
    source = """<?php return ['servers' => ['reverb' => ['port' => Port::of(1)]], 'apps' => ['apps' => [[
        'app_id' => '1', 'key' => 'k', 'secret' => decrypt('hidden'), 'allowed_origins' => Sites::hosts(),
        'activity_timeout' => 30, 'max_message_size' => 1_000]]]];"""
    asked_for: list[Question] = []

    def answer(question: Question) -> str | None:
        asked_for.append(question)
        return {
            "apps[0].secret": "the-secret",
            "apps[0].allowed_origins": "a.example, b.example",
        }.get(question.name)

    draft = reverb.read(read_php(source, "reverb.php", {}.get), "reverb.php", answer)
    assert [question.name for question in asked_for] == [
        "servers.reverb.port",
        "apps[0].secret",
        "apps[0].allowed_origins",
    ]
    assert [question.kind for question in asked_for] == ["text", "secret", "text"]
    assert "Port::of(1)" in asked_for[0].text
    assert not any("hidden" in question.text for question in asked_for)
    assert app(draft)["secret"] == "the-secret"
    assert app(draft)["allowed_origins"] == ["a.example", "b.example"]
    assert setting(draft, "server.port") == 8_080
    assert is_noted(draft, Verdict.CHANGED, "servers.reverb.(port)")
    (left_out,) = findings(draft, Verdict.IMPOSSIBLE, "port")
    assert "--answer servers.reverb.port=VALUE" in left_out.note


def test_nothing_is_said_of_what_is_computed() -> None:
    """A rate that is not known is not off, and an unknown limit is not "no limit"."""
    unknown = Unknown("config('x')", 3)
    draft = read_app(
        max_connections=unknown,
        activity_timeout=unknown,
        max_message_size=unknown,
        accept_client_events_from=unknown,
        rate_limiting={"enabled": unknown},
    )
    names = ("max_connections", "activity_timeout", "max_message_size", "from", "limiting.enabled")
    for name in names:
        (finding,) = [line for line in draft.findings if line.source.endswith(name)]
        assert finding.verdict is Verdict.IMPOSSIBLE
    assert not [finding for finding in draft.findings if finding.source == "apps[0].rate_limiting"]
    assert "limits" not in app(draft)
    assert "client_events" not in app(draft)


def test_nothing_computed_is_lost() -> None:
    """A table, a list with one such element, and what is inside an unknown table are named, too."""
    source = """<?php return ['servers' => ['reverb' => ['scaling' => config('x')]], 'apps' => ['apps' => [[
        'app_id' => '1', 'key' => 'k', 'secret' => 's', 'allowed_origins' => ['a.example', Sites::main()],
        'max_message_size' => 1, 'rate_limiting' => Rates::all()]]]];"""
    draft = reverb.read(read_php(source, "reverb.php", {}.get), "reverb.php")
    named = {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)}
    assert {
        "servers.reverb.scaling.enabled",
        "apps[0].allowed_origins",
        "apps[0].rate_limiting.enabled",
    } <= named
    assert "allowed_origins" not in app(draft)
    with pytest.raises(ConfigError, match=r"`apps\.apps` is computed in line 1"):
        reverb.read(
            read_php(
                "<?php return ['servers' => ['reverb' => ['port' => 1]], 'apps' => mine()];",
                "r",
                {}.get,
            ),
            "reverb.php",
        )


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"servers": {"reverb": {}}, "apps": {"apps": []}}, "has no app"),
        ({"servers": {}, "apps": {"apps": [{}]}}, "no `servers.reverb`"),
        ({"servers": {"reverb": {"port": "x"}}, "apps": {"apps": []}}, "is no port"),
        ({"servers": {"reverb": {}}, "apps": {"apps": "x"}}, "is no list of apps"),
        ({"servers": {"reverb": {}}, "apps": {"apps": [5]}}, "no table of settings"),
        (
            {
                "servers": {"reverb": {}},
                "apps": {"apps": [{"app_id": "1", "key": None, "secret": "s"}]},
            },
            "apps[0].key has no value: set REVERB_APP_KEY",
        ),
    ],
)
def test_half_a_file_is_one_sentence(tree: dict[str, Any], problem: str) -> None:
    """That names the file and what is missing."""
    with pytest.raises(ConfigError) as refused:
        reverb.read(tree, "reverb.php")
    assert problem in str(refused.value)


def test_an_app_provider_of_ones_own_is_named() -> None:
    """It is code, which nobody runs here."""
    tree: Any = reverb.published(CREDENTIALS)
    tree["apps"]["provider"] = "App\\Apps"
    assert is_noted(reverb.read(tree, "reverb.php"), Verdict.IMPOSSIBLE, "apps.provider")


def test_other_options_of_tls_are_named() -> None:
    """Each that says something."""
    tree: Any = reverb.published(CREDENTIALS)
    tree["servers"]["reverb"]["options"] = {
        "tls": {"verify_peer": True, "local_pk": None, "peer_name": ""}
    }
    draft = reverb.read(tree, "reverb.php")
    named = {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)}
    assert {name for name in named if ".options" in name} == {
        "servers.reverb.options.tls.verify_peer"
    }
