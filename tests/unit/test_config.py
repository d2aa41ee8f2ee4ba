"""`pusher_server.config`: what is read from where, who wins, and how mistakes are told."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from pusher_server.app import App, AppLimits, Webhook
from pusher_server.config import Config, PublishedCredentials, ServerSettings, example_text, load
from pusher_server.errors import ConfigError

APP = '[[apps]]\nid = "shop"\nkey = "shop-key"\nsecret = "shop-secret"\n'
CREDENTIALS = {"PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "k7", "PUSHER_APP_SECRET": "s7"}

Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Load a configuration from its text."""

    def load_text(
        text: str,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Config:
        file = tmp_path / "test.toml"
        file.write_text(text, encoding="utf-8")
        return load(file, environ or {}, overrides or {})

    return load_text


def complete_example() -> dict[str, object]:
    """The example with its commented-out settings of `[defaults.limits]` switched on."""
    return tomllib.loads(re.sub(r"^# (\w+ = \d+)$", r"\1", example_text(), flags=re.MULTILINE))


class TestExample:
    """`config.example.toml` is the documentation of the settings."""

    def test_it_equals_the_built_in_defaults(self) -> None:
        assert msgspec.structs.replace(load(None, {}, {}), apps=(), defaults={}) == Config()

    def test_its_app_has_the_built_in_defaults(self) -> None:
        (app,) = load(None, {}, {}).apps
        assert app == App(id=app.id, keys=app.keys)

    def test_every_setting_appears_in_it_with_its_default(self) -> None:
        tree = complete_example()
        config = msgspec.json.decode(msgspec.json.encode(Config()))
        sections = ("server", "websocket", "http", "operations", "log", "cluster", "webhooks")
        defaults = msgspec.json.decode(msgspec.json.encode(load(None, {}, {}).apps[0]))
        for own in ("id", "keys", "name"):
            del defaults[own]
        assert {name: tree[name] for name in sections} == {name: config[name] for name in sections}
        assert tree["defaults"] == defaults

    def test_every_setting_has_a_comment(self) -> None:
        """Directly above it, or above a group of settings without a blank line between."""
        undocumented = []
        for block in example_text().split("\n\n"):
            lines = block.splitlines()
            settings = [line for line in lines if re.match(r"(# )?\w+ = ", line)]
            if settings and not any(line.startswith("# ") for line in lines):
                undocumented.append(settings[0])
        assert undocumented == []

    def test_it_is_the_text_that_lies_at_the_top_of_the_project(self) -> None:
        top = Path(__file__).parents[2] / "config.example.toml"
        assert example_text() == top.read_text("utf-8")

    def test_copied_as_it_is_a_strict_app_gets_pushers_limits(self, read: Read) -> None:
        text = example_text().replace('\nname = ""', "\nstrict = true")
        assert read(text).apps[0].over_quota_code == 4004
        assert read(text).apps[0].limits == AppLimits(
            event_data_bytes=10_240,
            presence_members=100,
            presence_member_bytes=1_024,
            user_id_length=128,
        )


class TestOrderOfSources:
    """Defaults, file, environment, command line: later ones win."""

    def test_a_file_changes_only_what_it_names(self, read: Read) -> None:
        server = read(f"[server]\nport = 7001\n{APP}").server
        assert server == ServerSettings(port=7001)

    def test_the_environment_wins_over_the_file(self, read: Read) -> None:
        environ = {"PUSHER_SERVER__SERVER__PORT": "7002"}
        assert read(f"[server]\nport = 7001\n{APP}", environ).server.port == 7002

    def test_the_command_line_wins_over_the_environment(self, read: Read) -> None:
        environ = {"PUSHER_SERVER__SERVER__PORT": "7002"}
        config = read(APP, environ, {"server.port": 7003, "server.host": None})
        assert config.server.port == 7003
        assert config.overrides == {"server.port": 7003}

    def test_variables_reach_nested_tables_lists_and_booleans(self, read: Read) -> None:
        config = read(
            APP,
            {
                "PUSHER_SERVER__SERVER__TLS__CERTIFICATE": "c.pem",
                "PUSHER_SERVER__SERVER__TLS__KEY": "k.pem",
                "PUSHER_SERVER__SERVER__TRUSTED_PROXIES": "10.0.0.0/8, ::1",
                "PUSHER_SERVER__HTTP__CORS": "true",
                "PUSHER_SERVER__DEFAULTS__OVER_QUOTA_CODE": "4004",
                "PUSHER_SERVER__DEFAULTS__LIMITS__CONNECTIONS": "9",
            },
        )
        assert config.server.tls.certificate == "c.pem"
        assert config.server.trusted_proxies == ("10.0.0.0/8", "::1")
        assert config.http.cors is True
        assert config.apps[0].over_quota_code == 4004
        assert config.apps[0].limits.connections == 9

    def test_other_variables_are_not_read(self, read: Read) -> None:
        environ = {"PUSHER_HOST": "example.com", "REVERB_SERVER_PORT": "1", "PORT": "2"}
        assert read(APP, environ | {"OTHER": "\udcff"}) == read(APP)

    @pytest.mark.parametrize(
        "variable", ["PUSHER_SERVER__SERVER__HOST", "PUSHER_APP_KEY", "PUSHER_SERVER__\udcff"]
    )
    def test_bytes_that_are_no_utf_8_are_refused_by_name(self, read: Read, variable: str) -> None:
        """Python hands them on as lone surrogates, which break the first frame or log line they get into."""
        with pytest.raises(ConfigError, match="not UTF-8 text; write it as UTF-8") as caught:
            read(APP, {variable: "a\udcff"})
        assert caught.value.setting == variable.replace("\udcff", r"\udcff")


class TestApps:
    """The `[[apps]]` tables."""

    def test_an_app_inherits_the_defaults_and_overrides_them(self, read: Read) -> None:
        text = (
            '[defaults]\nclient_events = "off"\ncache_ttl = 60\n'
            "[defaults.limits]\nconnections = 5\nwatchlist = 6\n"
            f"{APP}cache_ttl = 61\n[apps.limits]\nconnections = 7\n"
        )
        (app,) = read(text).apps
        assert (app.client_events, app.cache_ttl) == ("off", 61)
        assert app.limits == AppLimits(connections=7, watchlist=6)

    def test_strict_limits_stand_below_what_is_written(self, read: Read) -> None:
        text = f"[defaults.limits]\nevent_data_bytes = 20\n{APP}strict = true\n"
        (app,) = read(text).apps
        assert (app.limits.event_data_bytes, app.limits.presence_members) == (20, 100)

    def test_a_strict_app_is_full_with_pushers_code_unless_another_is_written(
        self, read: Read
    ) -> None:
        code = "over_quota_code = 4100\n"
        texts = [
            APP,
            f"{APP}strict = true\n",
            f"{APP}strict = true\n{code}",
            f"[defaults]\nstrict = true\n{code}{APP}",
        ]
        assert [read(text).apps[0].over_quota_code for text in texts] == [4100, 4004, 4100, 4100]

    def test_several_keys_keep_their_order(self, read: Read) -> None:
        pairs = '{ key = "new", secret = "a" }, { key = "old", secret = "b" }'
        (app,) = read(f'[[apps]]\nid = "x"\nkeys = [{pairs}]\n').apps
        assert [pair.key for pair in app.keys] == ["new", "old"]

    def test_webhooks_of_its_own_replace_the_defaults(self, read: Read) -> None:
        defaults = '[[defaults.webhooks]]\nurl = "https://example.com/all"\n'
        (app,) = read(defaults + APP).apps
        assert app.webhooks == (Webhook(url="https://example.com/all"),)
        (app,) = read(defaults + HOOK + GOOD_URL + HOOK_2 + 'url = "http://x"\n').apps
        assert [each.url for each in app.webhooks] == ["https://example.com/hook", "http://x"]
        (app,) = read(defaults + APP + "webhooks = []\n").apps
        assert app.webhooks == ()

    def test_a_byte_order_mark_is_no_error(self, read: Read) -> None:
        assert read("\ufeff" + APP).apps[0].id == "shop"


class TestAppFromTheEnvironment:
    """`PUSHER_APP_ID`, `_KEY`, `_SECRET`: all three together or not at all."""

    def test_it_replaces_the_embedded_app(self) -> None:
        config = load(None, CREDENTIALS, {})
        assert [(app.id, app.keys[0].key, app.keys[0].secret) for app in config.apps] == [
            ("7", "k7", "s7")
        ]
        assert config.apps_from == "environment"
        assert config.notices == ()

    @pytest.mark.parametrize("left_out", CREDENTIALS)
    def test_two_of_three_are_ignored_and_that_is_said(self, left_out: str) -> None:
        config = load(None, CREDENTIALS | {left_out: ""}, {})
        assert config.apps_from == "embedded"
        (notice,) = config.notices
        assert notice.endswith(f"also needs {left_out}")
        assert all(name in notice for name in CREDENTIALS)

    def test_it_fills_a_file_without_apps(self, read: Read) -> None:
        config = read("[defaults]\nwatchlist = true\n", CREDENTIALS)
        assert (config.apps[0].id, config.apps[0].watchlist) == ("7", True)

    def test_it_does_not_replace_the_operators_own_apps(self, read: Read) -> None:
        config = read(APP, CREDENTIALS)
        assert [app.id for app in config.apps] == ["shop"]
        assert config.apps_from == "file"
        assert "ignored" in config.notices[0]


class TestPublishedCredentials:
    """The example's secret works on loopback only, wherever it was written."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_loopback_is_allowed(self, host: str) -> None:
        assert load(None, {}, {"server.host": host}).server.is_local

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com"])
    def test_anything_else_is_refused(self, host: str) -> None:
        with pytest.raises(PublishedCredentials, match=f"server.host is {re.escape(host)}"):
            load(None, {}, {"server.host": host})

    def test_a_unix_socket_is_local(self) -> None:
        load(None, {}, {"server.host": "0.0.0.0", "server.unix_socket": "/run/x.sock"})

    def test_a_copy_of_the_example_is_refused_too(self, read: Read) -> None:
        with pytest.raises(PublishedCredentials):
            read(example_text(), {}, {"server.host": "0.0.0.0"})

    def test_own_credentials_may_be_used_anywhere(self, read: Read) -> None:
        assert not read(APP, {}, {"server.host": "0.0.0.0"}).server.is_local
        assert not load(None, CREDENTIALS, {"server.host": "::"}).server.is_local


HOOK = APP + "[[apps.webhooks]]\n"
HOOK_2 = "[[apps.webhooks]]\n"
GOOD_URL = 'url = "https://example.com/hook"\n'

#: text, the setting that must be named, a part of what must be said about it
WRONG_FILES = [
    ("[server]\nprot = 1\n" + APP, "server.prot", "did you mean `server.port`?"),
    ("[sever]\nport = 1\n" + APP, "sever", "did you mean `server`?"),
    ("port = 1\n" + APP, "port", "did you mean `server.port`?"),
    ("[server]\nmax_connections = 1\n" + APP, "server.max_connections", "websocket.max_conn"),
    (
        "[server]\nxyzzy = 1\n" + APP,
        "server.xyzzy",
        "known here: backlog, connection_attempts_per_address",
    ),
    ("[server.tls]\ncertificat = 1\n" + APP, "server.tls.certificat", "tls.certificate`?"),
    (APP + "strcit = true\n", "apps[0].strcit", "did you mean `apps[0].strict`?"),
    (APP + "[apps.limits]\nconnection = 1\n", "apps[0].limits.connection", "connections`?"),
    ("[defaults.limits]\nfoo = 1\n" + APP, "defaults.limits.foo", "known here"),
    ('[server]\nport = "x"\n' + APP, "server.port", "a whole number, got text in quotes"),
    ("[server]\nport = 65536\n" + APP, "server.port", "<= 65535"),
    ("[server]\nbacklog = 0\n" + APP, "server.backlog", ">= 1"),
    ('[server]\nhost = ""\n' + APP, "server.host", "127.0.0.1"),
    ('[server]\nloop = "uv"\n' + APP, "server.loop", "one of auto, uvloop, asyncio; got 'uv'"),
    ('[server]\npath_prefix = "ws"\n' + APP, "server.path_prefix", "'/name'"),
    ('[server]\npath_prefix = "/ws/"\n' + APP, "server.path_prefix", "'/name'"),
    ('[server]\ntrusted_proxies = ["x"]\n' + APP, "server.trusted_proxies", "'10.0.0.0/8'"),
    ('[webhooks]\ndenied_networks = ["x"]\n' + APP, "webhooks.denied_networks", "'10.0.0.0/8'"),
    ('[server.tls]\nkey = "k"\n' + APP, "server.tls.certificate", "certificate is missing"),
    ('[server.tls]\ncertificate = "k"\n' + APP, "server.tls.key", "key is missing"),
    ("[http]\nkeep_alive = 0\n" + APP, "http.keep_alive", "> 0"),
    ("[http]\nbody_timeout = inf\n" + APP, "http.body_timeout", "<= 86400"),
    ("[http]\nbody_timeout = nan\n" + APP, "http.body_timeout", "> 0"),
    ("[log]\naccess = 3\n" + APP, "log.access", "true or false"),
    ("server = 3\n" + APP, "server", "[server]"),
    ("[server]\ntls = 3\n" + APP, "server.tls", "[server.tls]"),
    ('[defaults]\nid = "x"\n' + APP, "defaults.id", "[[apps]]"),
    ("[defaults]\nstrict = 3\n" + APP, "defaults.strict", "true or false"),
    ("", "apps", "has no app"),
    ('[apps]\nid = "x"\n', "apps", "[[apps]]"),
    ('[[apps]]\nkey = "k"\nsecret = "s"\n', "apps[0].id", "missing"),
    ('[[apps]]\nid = "x"\nkey = "k"\n', "apps[0].secret", "missing"),
    ('[[apps]]\nid = 3\nkey = "k"\nsecret = "s"\n', "apps[0].id", "text in quotes, got a whole"),
    (APP + "keys = []\n", "apps[0].key", "either `key` and `secret`, or `keys`"),
    ('[[apps]]\nid = "x"\nkeys = [{ key = "k" }]\n', "apps[0].keys[0]", "missing setting `secret`"),
    ('[[apps]]\nid = "x"\nkeys = []\n', "apps[0]", "needs a key and a secret"),
    (APP + "over_quota_code = 4000\n", "apps[0].over_quota_code", "one of 4004, 4100; got 4000"),
    (APP + "[apps.limits]\nconnections = -1\n", "apps[0].limits.connections", "write 0 for"),
    (HOOK + "ulr = 1\n", "apps[0].webhooks[0].ulr", "did you mean `apps[0].webhooks[0].url`?"),
    (HOOK + 'url = "ftp://x"\n', "apps[0].webhooks[0].url", "not http:// or https://"),
    (HOOK + GOOD_URL + HOOK_2, "apps[0].webhooks[1]", "missing setting `url`"),
    (HOOK + GOOD_URL + HOOK_2 + 'url = ""\n', "apps[0].webhooks[1].url", "url is empty"),
    (
        HOOK + GOOD_URL + 'event_types = ["member_added", "x"]\n',
        "apps[0].webhooks[0].event_types[1]",
        "expected one of channel_occupied, channel_vacated, member_added",
    ),
    (
        HOOK + GOOD_URL + 'headers = { Host = "x" }\n',
        "apps[0].webhooks[0].headers",
        "'Host', which the server sets itself",
    ),
    (HOOK + GOOD_URL + "headers = { A = 1 }\n", "apps[0].webhooks[0].headers[...]", "text in"),
    (
        HOOK + GOOD_URL + "[apps.webhooks.filter]\nstarts = 1\n",
        "apps[0].webhooks[0].filter.starts",
        "known here: channel_name_ends_with, channel_name_starts_with",
    ),
    (APP + "[apps.webhooks]\n" + GOOD_URL, "apps[0].webhooks", "write [[apps.webhooks]] above"),
    (APP + 'webhooks = ["http://x"]\n', "apps[0].webhooks[0]", "expected a table"),
    (APP + "[[defaults.webhooks]]\nulr = 1\n", "defaults.webhooks[0].ulr", "webhooks[0].url`?"),
    ("[[defaults.webhooks]]\nurl = 'x'\n" + APP, "defaults.webhooks[0].url", "not http://"),
    (
        "[webhooks]\nretry_first = 61\n" + APP,
        "webhooks.retry_longest",
        "less than retry_first (61)",
    ),
    ("[webhooks]\nretry_for = 300\n" + APP, "webhooks.retry_for", "<= 290"),
    ('[webhooks]\noutbox = "a\\u0000"\n' + APP, "webhooks.outbox", "zero byte; name a file"),
    (APP + APP, "apps[1].id", "'shop' is already the id of apps[0]"),
    (APP + APP.replace('"shop"', '"b"'), "apps[1].key", "'shop-key' is already a key of apps[0]"),
]


class TestMistakes:
    """Every mistake names the setting and the fix, in one line."""

    @pytest.mark.parametrize(("text", "setting", "said"), WRONG_FILES)
    def test_in_the_file(self, read: Read, text: str, setting: str, said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            read(text)
        assert caught.value.setting == setting
        assert said in caught.value.problem
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("variable", "value", "setting", "said"),
        [
            ("SERVER__PROT", "1", "PUSHER_SERVER__SERVER__PROT", "PUSHER_SERVER__SERVER__PORT?"),
            ("SERVER", "1", "PUSHER_SERVER__SERVER", "sets nothing"),
            ("SERVER__TLS", "1", "PUSHER_SERVER__SERVER__TLS", "sets nothing"),
            ("DEFAULTS__ID", "1", "PUSHER_SERVER__DEFAULTS__ID", "sets nothing"),
            ("APPS__0__ID", "1", "PUSHER_SERVER__APPS__0__ID", "list into PUSHER_SERVER__APPS"),
            ("QQ__WW", "1", "PUSHER_SERVER__QQ__WW", "default-config"),
            ("DEFAULTS__WEBHOOKS", "x", "PUSHER_SERVER__DEFAULTS__WEBHOOKS", "is not valid JSON"),
            ("SERVER__PORT", "x", "server.port", "the variable PUSHER_SERVER__SERVER__PORT"),
            ("DEFAULTS__LIMITS__WATCHLIST", "-1", "defaults.limits.watchlist", "the variable"),
        ],
    )
    def test_in_the_environment(
        self, read: Read, variable: str, value: str, setting: str, said: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            read(APP, {f"PUSHER_SERVER__{variable}": value})
        assert caught.value.setting == setting
        assert said in caught.value.problem

    @pytest.mark.parametrize("field", ["id", "key", "secret"])
    @pytest.mark.parametrize(
        "stray", ['"%s"', "'%s'", "`%s", "%s\n", " %s", "%s\t", "\ufeff%s", "“%s”"]
    )
    def test_a_credential_with_something_around_it_is_refused_in_the_file(
        self, read: Read, field: str, stray: str
    ) -> None:
        app = {"id": "shop", "key": "shop-key", "secret": "hush-hush"}
        app[field] = stray % app[field]
        table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in app.items())
        with pytest.raises(ConfigError) as caught:
            read(f"[[apps]]\n{table}\n")
        assert caught.value.setting == f"apps[0].{field}"
        assert "its beginning" in caught.value.problem or "its end" in caught.value.problem
        assert "hush-hush" not in str(caught.value)

    def test_a_credential_in_a_list_of_keys_is_refused_with_its_place(self, read: Read) -> None:
        keys = '[{ key = "new", secret = "hush" }, { key = "old", secret = "hush " }]'
        with pytest.raises(ConfigError) as caught:
            read(f'[[apps]]\nid = "1"\nkeys = {keys}\n')
        assert caught.value.setting == "apps[0].keys[1].secret"

    @pytest.mark.parametrize("variable", CREDENTIALS)
    @pytest.mark.parametrize("stray", ['"%s"', "%s\r", " %s"])
    def test_a_credential_with_something_around_it_is_refused_in_the_environment(
        self, variable: str, stray: str
    ) -> None:
        """Docker's --env-file keeps quotes."""
        with pytest.raises(ConfigError) as caught:
            load(None, {**CREDENTIALS, variable: stray % CREDENTIALS[variable]}, {})
        assert caught.value.setting == variable

    @pytest.mark.parametrize("token", ['"hush"', "'hush'", "hush "])
    def test_a_token_with_something_around_it_is_refused(self, read: Read, token: str) -> None:
        with pytest.raises(ConfigError, match=r"operations\.token: token has a") as caught:
            read(APP, {"PUSHER_SERVER__OPERATIONS__TOKEN": token})
        assert "hush" not in str(caught.value)

    def test_quotes_and_blanks_inside_are_ones_own_business(self, read: Read) -> None:
        (app,) = read('[[apps]]\nid = "1"\nkey = "k"\nsecret = "a \'b\' c"\n').apps
        assert app.keys[0].secret == "a 'b' c"

    def test_on_the_command_line(self, read: Read) -> None:
        with pytest.raises(ConfigError, match=r"^server\.port: .*from the command line"):
            read(APP, {}, {"server.port": 99_999})

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"nope\.toml: no such file; `pusher-server default-c"
        ):
            load(tmp_path / "nope.toml", {}, {})

    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
            load(tmp_path, {}, {})

    def test_bad_toml_is_told_with_its_line(self, read: Read) -> None:
        with pytest.raises(ConfigError, match=r"test\.toml: not valid TOML: .*line 2"):
            read("[server]\nport =\n")

    def test_text_in_another_encoding(self, tmp_path: Path) -> None:
        file = tmp_path / "latin.toml"
        file.write_bytes(b"# caf\xe9\n")
        with pytest.raises(ConfigError, match="not UTF-8"):
            load(file, {}, {})

    def test_secrets_are_not_in_messages_or_in_a_repr(self, read: Read) -> None:
        text = '[server.tls]\ncertificate = "c"\nkey = "k"\nkey_password = "hush-hush"\n' + APP
        shown = repr(read(text))
        assert "shop-key" in shown
        assert "shop-secret" not in shown
        assert "hush-hush" not in shown
        with pytest.raises(ConfigError) as caught:
            read(APP + APP)
        assert "shop-secret" not in str(caught.value)

    def test_secrets_of_webhooks_are_not_shown(self, read: Read) -> None:
        hook = 'url = "https://me:hush@example.com/?token=hush"\nheaders = { A = "hush" }\n'
        shown = repr(read(f"[[defaults.webhooks]]\n{hook}{HOOK}{hook}"))
        assert "https://example.com/" in shown
        assert "hush" not in shown
