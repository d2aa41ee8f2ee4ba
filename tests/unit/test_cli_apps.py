"""`pusher-server apps`: the same commands on a database and on a file, which is not edited."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pusher_server.cli.main import main
from pusher_server.config import load

FILE = """\
# Mine.
[defaults]
cache_ttl = 60

[[apps]]
id = "1"
key = "k"
secret = "hush"
enabled = true  # for now

[apps.limits]
connections = 5

[[apps]]
id = "2"
keys = [{ key = "new", secret = "hush" }, { key = "old", secret = "hush" }]
limits.connections = 7

[[apps.webhooks]]
url = "https://me:hush@example.com/hook?token=hush"
batch = true

[apps.webhooks.headers]
name = "hush"

[apps.webhooks.filter]
channel_name_starts_with = "presence-"

[log]
level = "info"
"""

Command = Callable[..., Result]


@pytest.fixture
def in_file(tmp_path: Path) -> Command:
    """`pusher-server apps …` with the apps in a file, which stays as it is."""
    file = tmp_path / "pusher.toml"
    file.write_text(FILE)

    def run(*arguments: str, status: int = 0, stdin: str = "") -> Result:
        found = CliRunner().invoke(main, ["apps", *arguments, "--config", str(file)], input=stdin)
        assert found.exit_code == status, found.output
        assert file.read_text() == FILE
        return found

    return run


@pytest.fixture
def in_database(tmp_path: Path) -> Command:
    """`pusher-server apps …` with the apps in a new SQLite file."""
    file = tmp_path / "pusher.toml"
    file.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/apps.db"\n')

    def run(*arguments: str, status: int = 0, stdin: str | bytes = "") -> Result:
        found = CliRunner().invoke(main, ["apps", *arguments, "--config", str(file)], input=stdin)
        assert found.exit_code == status, found.output
        return found

    run("init")
    return run


def shown(run: Command, app_id: str) -> dict[str, object]:
    """What `show --json --reveal` says."""
    found: dict[str, object] = json.loads(run("show", app_id, "--json", "--reveal").stdout)
    return found


def test_init_creates_and_then_has_nothing_to_do(in_database: Command) -> None:
    assert in_database("init").output == "the table pusher_apps is complete\n"
    assert in_database("list").output == ""
    assert in_database("list", "--json").output == "[]\n"


def test_a_table_of_an_older_version_gets_its_new_columns(
    in_database: Command, tmp_path: Path
) -> None:
    """And serves before it has them."""
    import sqlite3

    in_database("add", "7")
    connection = sqlite3.connect(tmp_path / "apps.db")
    connection.execute("ALTER TABLE pusher_apps DROP COLUMN max_watchlist")
    connection.close()
    assert in_database("list").stdout.startswith("7: key ")
    in_database("set", "7", "limits.watchlist=3", status=1)
    assert in_database("init").output.endswith("added the column max_watchlist\n")
    in_database("set", "7", "limits.watchlist=3")
    assert shown(in_database, "7")["limits"]["watchlist"] == 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (['"7"'], "", "ID has a quote at its beginning"),
        (["7", "--key", " k"], "", "--key has a blank"),
        (["7", "--key", "k\n"], "", "--key has a line end"),
        (["7", "--secret-stdin"], "'hush'\n", "the secret on standard input has a quote"),
        (["7", "--secret-stdin"], "hush \r\n", "the secret on standard input has a blank"),
    ],
)
@pytest.mark.parametrize("kind", ["in_file", "in_database"])
def test_credentials_with_quotes_or_blanks_around_them_are_refused(
    request: pytest.FixtureRequest, kind: str, arguments: list[str], stdin: str, said: str
) -> None:
    run: Command = request.getfixturevalue(kind)
    refused = run("add", *arguments, status=1, stdin=stdin).output
    assert said in refused
    assert "hush" not in refused


def test_an_app_is_added_with_new_credentials(in_database: Command) -> None:
    """The secret is in the database and not on the screen."""
    printed = in_database(
        "add", "7", "name=kiosk", "client_events=off", "limits.connections=100",
        "allowed_origins=a.example,*.b.example", "strict=true",
    )  # fmt: skip
    app = shown(in_database, "7")
    assert app["name"] == "kiosk"
    assert app["client_events"] == "off"
    assert app["strict"] is True
    assert app["allowed_origins"] == ["a.example", "*.b.example"]
    assert app["limits"]["connections"] == 100  # type: ignore[index]
    assert app["limits"]["event_data_bytes"] == 10_240  # type: ignore[index]  # because of strict
    (pair,) = app["keys"]  # type: ignore[misc]
    assert len(pair["key"]) == 20
    assert len(pair["secret"]) == 40
    assert pair["key"] in printed.output
    assert pair["secret"] not in printed.output


def test_an_app_is_moved_with_the_credentials_it_has(in_database: Command) -> None:
    in_database("add", "7", "--key", "k", "--secret-stdin", stdin="hush\n")
    assert shown(in_database, "7")["keys"] == [{"key": "k", "secret": "hush"}]


def test_a_secret_that_is_no_utf_8_is_one_line(in_database: Command) -> None:
    """Whatever the locale: it says how Python would read it."""
    found = in_database("add", "7", "--secret-stdin", stdin=b"hush\xff\n", status=1)
    assert found.output == "Error: the secret on standard input is not UTF-8 text\n"
    in_database("add", "7", "--secret-stdin", stdin="hüsch\n".encode())
    assert shown(in_database, "7")["keys"][0]["secret"] == "hüsch"  # type: ignore[index]


def test_settings_change_and_go_back_to_the_default(in_database: Command) -> None:
    in_database("add", "7")
    in_database("set", "7", "cache_ttl=5", "limits.batch_events=-1")
    app = shown(in_database, "7")
    assert (app["cache_ttl"], app["limits"]["batch_events"]) == (5, 0)  # type: ignore[index]
    in_database("set", "7", "cache_ttl=default", "limits.batch_events=default")
    app = shown(in_database, "7")
    assert (app["cache_ttl"], app["limits"]["batch_events"]) == (1_800, 10)  # type: ignore[index]


def test_an_app_is_disabled_and_enabled(in_database: Command) -> None:
    in_database("add", "7", "name=kiosk")
    in_database("disable", "7")
    assert in_database("list").stdout.rstrip().endswith(", disabled")
    assert json.loads(in_database("list", "--json").stdout)[0]["enabled"] is False
    in_database("enable", "7")
    assert shown(in_database, "7")["enabled"] is True


def test_a_rotation_keeps_the_old_key_until_it_is_removed(in_database: Command) -> None:
    in_database("add", "7", "--key", "k", "--secret-stdin", stdin="hush\n")
    printed = json.loads(in_database("rotate", "7", "--json").stdout)
    assert [list(pair) for pair in printed["keys"]] == [["key"], ["key"]]
    new, old = shown(in_database, "7")["keys"]  # type: ignore[misc]
    assert old == {"key": "k", "secret": "hush"}
    again = in_database("rotate", "7", status=1)
    assert "`pusher-server apps remove 7 --key k` first" in again.output
    current = in_database("remove", "7", "--key", new["key"], "--yes", status=1)
    assert "is the current key" in current.output
    in_database("remove", "7", "--key", "k", "--yes")
    assert shown(in_database, "7")["keys"] == [new]
    in_database("rotate", "7")


def test_an_app_is_removed_only_when_that_is_meant(in_database: Command) -> None:
    in_database("add", "7")
    in_database("remove", "7", stdin="n\n", status=1)
    assert in_database("list").stdout
    in_database("remove", "7", stdin="y\n")
    assert in_database("list").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "9"), "there is no app '9'"),
        (("disable", "9"), "there is no app '9'"),
        (("add", "7"), "there is an app '7' already"),
        (("add", "8", "--key", "k"), "app '7' has that key already"),
        (("add", "two words"), "column 'id': write 1 to 255 ASCII characters"),
        (("set", "7", "strct=true"), "no setting `strct`; did you mean `strict`?"),
        (("set", "7", "strict"), "'strict': write SETTING=VALUE"),
        (("set", "7", "strict=maybe"), "strict is 'maybe'; write true or false"),
        (("set", "7", "limits.connections=-5"), "limits.connections is '-5'; write 0 or -1"),
        (("set", "7", "client_events=some"), "expected one of members, all, off; got 'some'"),
        (("set", "7", "key=x"), "key cannot be set: `apps rotate` makes a new key"),
        (("remove", "7", "--key", "x", "--yes"), "app '7' has no key 'x'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    in_database: Command, arguments: tuple[str, ...], said: str
) -> None:
    """And nothing has changed."""
    in_database("add", "7", "--key", "k", "--secret-stdin", stdin="hush\n")
    before = shown(in_database, "7")
    refused = in_database(*arguments, status=1)
    assert said in refused.output
    assert refused.output.count("\n") == 1
    assert "hush" not in refused.output
    assert shown(in_database, "7") == before
    assert len(json.loads(in_database("list", "--json").stdout)) == 1


def test_secrets_of_webhooks_are_shown_only_if_asked_for(in_file: Command) -> None:
    """In JSON, too."""
    (hidden,) = json.loads(in_file("show", "2", "--json").stdout)["webhooks"]
    assert (hidden["url"], hidden["headers"]) == ("https://example.com/hook", {"name": "***"})
    (revealed,) = shown(in_file, "2")["webhooks"]  # type: ignore[misc]
    assert revealed["url"] == "https://me:hush@example.com/hook?token=hush"
    assert revealed["headers"] == {"name": "hush"}
    assert revealed["id"] == hidden["id"]


def test_webhooks_in_the_database_are_shown(in_database: Command, tmp_path: Path) -> None:
    """Those that can be used; the others are logged."""
    import sqlite3

    in_database("add", "7")
    connection = sqlite3.connect(tmp_path / "apps.db")
    column = '[{"url": "http://x/hook"}, {"url": "x"}]'
    connection.execute("UPDATE pusher_apps SET webhooks = ?", (column,))
    connection.commit()
    connection.close()
    assert [each["url"] for each in shown(in_database, "7")["webhooks"]] == [  # type: ignore[attr-defined]
        "http://x/hook"
    ]
    assert "http://x/hook" in in_database("set", "7", "cache_ttl=5").output


def test_a_refused_row_is_named_and_the_others_are_listed(
    in_database: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import sqlite3

    in_database("add", "7")
    in_database("add", "8")
    with sqlite3.connect(tmp_path / "apps.db") as connection:
        connection.execute("UPDATE pusher_apps SET max_connections = -9 WHERE id = '7'")
    connection.close()
    assert in_database("list").stdout.startswith("8: ")
    assert "app '7', column 'max_connections': is '-9'" in caplog.text


def test_apps_of_a_file_are_shown_alike(in_file: Command) -> None:
    assert in_file("list").output == "1: key k\n2: key new, old\n"
    assert json.loads(in_file("list", "--json").output)[1]["keys"] == ["new", "old"]
    printed = in_file("show", "1").output
    assert "limits.connections: 5\n" in printed
    assert "cache_ttl: 60\n" in printed
    assert "hush" not in printed
    assert "secret 1: hush\n" in in_file("show", "1", "--reveal").output
    printed = in_file("show", "2").output
    assert "webhooks[0].filter.channel_name_starts_with: presence-\n" in printed
    assert "webhooks[0].url: https://example.com/hook\n" in printed
    assert "webhooks[0].headers.name: ***\n" in printed
    assert "hush" not in printed
    assert "nothing has to be created" in in_file("init").output


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("disable", "1"), "Line 9: write `enabled = false` instead of `enabled = true  # for now`."),
        (("disable", "2"), "After line 14 write `enabled = false`."),
        (("set", "1", "strict=true"), "After line 5 write `strict = true`."),
        (("set", "1", "enabled=default"), "Line 9: delete it."),
        (("set", "1", "strict=default"), "`strict` is not set there."),
        (("set", "1", "limits.connections=6"), "Line 12: write `connections = 6` instead"),
        (("set", "1", "limits.watchlist=6"), "After line 11 write `watchlist = 6`."),
        (("set", "2", "limits.connections=6"), "Line 17: write `limits.connections = 6` instead"),
        (("set", "2", "name=kiosk"), 'After line 14 write `name = "kiosk"`.'),
        (("set", "2", "limits.watchlist=6"), "After line 14 write `limits.watchlist = 6`."),
        (("rotate", "2"), "in front of the other keys."),
        (("rotate", "1"), "Line 7: instead of `key` and `secret` write `keys = [{ key ="),
        (("remove", "1", "--yes"), "Delete lines 5 to 12."),
        (("remove", "2", "--yes"), "Delete lines 14 to 27."),
        (("remove", "2", "--key", "old", "--yes"), "Line 16: take the key old with its secret out"),
        (("add", "3", "name=kiosk"), '[[apps]]\nid = "3"\n'),
    ],
)  # fmt: skip
def test_what_to_change_in_a_file_is_said_by_its_line(
    in_file: Command, arguments: tuple[str, ...], advice: str
) -> None:
    """The file is a person's; status 1 because nothing was done."""
    said = in_file(*arguments, status=1).output
    assert advice in said
    assert "SIGHUP" in said
    assert "hush" not in said


def test_what_is_to_be_added_to_a_file_is_a_configuration(in_file: Command, tmp_path: Path) -> None:
    said = in_file("add", "3", "name=kiosk", "limits.connections=4", "--reveal", status=1).output
    block = said.partition("At its end write:\n\n")[2].partition("\n\n")[0]
    file = tmp_path / "with.toml"
    file.write_text(FILE + block)
    app = load(file, {}, {}).apps[-1]
    assert (app.id, app.name, app.limits.connections) == ("3", "kiosk", 4)


def test_without_a_file_and_a_database_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["apps", "list"])
    assert found.exit_code == 2
    assert "there is no file with apps and no database.url" in found.output


def test_apps_of_a_variable_are_changed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_SERVER__APPS", '[{"id": "1", "key": "k", "secret": "hush"}]')
    result = CliRunner().invoke(main, ["apps", "list"])
    assert result.exit_code == 2
    assert "PUSHER_SERVER__APPS: has the apps; change them there" in result.output
    assert "hush" not in result.output
