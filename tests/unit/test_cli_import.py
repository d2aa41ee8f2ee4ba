"""`pusher-server import`: the file it writes, the table it prints, its refusals."""

import json
import os
import sqlite3
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pusher_server.cli import import_peer
from pusher_server.cli.main import main

SOKETI = '{"appManager.array.apps": [{"id": "1", "key": "shop-key", "secret": "shop-secret"}]}'
SOCKUDO = """
[[app_manager.array.apps]]
id = "1"
key = "shop-key"
secret = "shop-secret"
enabled = true
"""
REVERB = """<?php return ['servers' => ['reverb' => ['port' => Port::of(1)]], 'apps' => ['apps' => [[
    'app_id' => '1', 'key' => 'shop-key', 'secret' => 'shop-secret', 'allowed_origins' => ['a.example'],
    'max_message_size' => 5_000]]]];"""
WEBSOCKETS = """<?php return ['dashboard' => [], 'apps' => [['id' => '1', 'key' => 'shop-key',
    'secret' => 'shop-secret', 'enable_client_messages' => true]]];"""
PUSHER = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=shop-key\nPUSHER_APP_SECRET=shop-secret\n"


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with a file of every server, and no variables of any."""
    monkeypatch.chdir(tmp_path)
    beginnings = ("PUSHER_", "SOKETI_", "REVERB_", "SOCKUDO_", "REDIS_", "DB_", "HOST", "PORT")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(beginnings)}
    monkeypatch.setattr(os, "environ", environ)
    files = {
        "soketi.json": SOKETI,
        "sockudo.toml": SOCKUDO,
        "reverb.php": REVERB,
        "websockets.php": WEBSOCKETS,
        ".env": PUSHER,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
        (tmp_path / name).chmod(0o600)


def call(*arguments: str, stdin: str | None = None) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["import", *arguments], input=stdin, catch_exceptions=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("soketi", "soketi.json"),
        ("sockudo", "sockudo.toml"),
        ("reverb", "reverb.php"),
        ("laravel-websockets", "websockets.php"),
        ("pusher", ".env"),
        ("soketi.json",),
        ("reverb.php",),
    ],
)
def test_the_result_passes_check_config(arguments: tuple[str, ...]) -> None:
    """It is readable by its owner only, and has the four parts of the table."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    for heading in (
        "taken over (",
        "changed, and why (",
        "not possible, and what to do (",
        "unsafe before (",
    ):
        assert heading in result.output
    assert "shop-secret" not in result.output
    file = Path("pusher-server.toml")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert tomllib.loads(file.read_text("utf-8"))["apps"][0]["secret"] == "shop-secret"
    checked = CliRunner().invoke(main, ["check-config"], catch_exceptions=False)
    assert checked.exit_code == 0
    assert "app 1: key shop-key" in checked.output


def test_a_dry_run_writes_nothing_and_shows_the_file() -> None:
    """Without secrets, unless they are asked for."""
    result = call("soketi", "soketi.json", "--dry-run")
    assert 'secret = "***"' in result.output
    assert not Path("pusher-server.toml").exists()
    assert 'secret = "shop-secret"' in call("soketi", "soketi.json", "--dry-run", "--reveal").output


def test_nothing_is_overwritten() -> None:
    """Without `--force`; a link that leads nowhere is not followed either."""
    Path("pusher-server.toml").write_text("mine")
    Path("link.toml").symlink_to("elsewhere.toml")
    for arguments in ((), ("--out", "link.toml")):
        result = call("soketi", "soketi.json", *arguments)
        assert result.exit_code == 2
        assert result.output.count("\n") == 1
        assert "exists; --force replaces it" in result.output
    assert Path("pusher-server.toml").read_text() == "mine"
    assert not Path("elsewhere.toml").exists()
    Path("pusher-server.toml").chmod(0o644)
    assert call("soketi", "soketi.json", "--force").exit_code == 0
    assert stat.S_IMODE(Path("pusher-server.toml").stat().st_mode) == 0o600
    assert "shop-key" in Path("pusher-server.toml").read_text()
    assert [path.name for path in Path().iterdir() if path.name.startswith(".import")] == []


def test_a_computed_value_is_left_out_by_name_or_answered() -> None:
    """Where nobody can be asked."""
    assert "--answer servers.reverb.port=VALUE" in " ".join(
        call("reverb.php", "--dry-run").output.split()
    )
    result = call("reverb.php", "--dry-run", "--answer", "servers.reverb.port=7007")
    assert "server.port = 7007" in result.output


def test_somebody_at_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """And an empty line leaves it out."""
    monkeypatch.setattr(import_peer, "_is_interactive", lambda: True)
    result = call("reverb.php", "--dry-run", stdin="7007\n")
    assert "servers.reverb.port is computed in reverb.php, line 1 (`Port::of(1)`)" in result.output
    assert "server.port = 7007" in result.output
    assert "was left out" in " ".join(call("reverb.php", "--dry-run", stdin="\n").output.split())


def test_an_answer_that_nothing_asks_for_is_refused() -> None:
    """It would be lost."""
    result = call("soketi.json", "--answer", "x=1")
    assert result.exit_code == 2
    assert "--answer x: nothing asks for it" in result.output
    assert call("soketi.json", "--answer", "x").exit_code == 2


@pytest.mark.parametrize("arguments", [("x" * 5_000,), ("soketi", "x" * 5_000), ("reverb.php/x",)])
def test_a_path_that_is_none_is_one_sentence(arguments: tuple[str, ...]) -> None:
    """Too long, or below a file."""
    result = call(*arguments, "--dry-run")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert len(result.output.splitlines()[0]) < 300


def test_two_apps_with_one_key_are_one_sentence() -> None:
    """That names both."""
    app = '{"id": "%s", "key": "k", "secret": "s"}'
    Path("x.json").write_text(f'{{"appManager.array.apps": [{app % 1}, {app % 2}]}}')
    result = call("soketi", "x.json")
    assert result.exit_code == 2
    assert (
        result.output
        == "pusher-server: apps[1].key: 'k' is already a key of apps[0]; choose another\n"
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\0\1\2", b"\xff\xfe", b"[" * 100_000, b"x" * 2_000_000, b"[1]", b"{}"]
)
def test_a_file_that_is_none_is_one_sentence(content: bytes) -> None:
    """Empty, half, binary, not UTF-8, nested, huge, and of another form."""
    Path("x.json").write_bytes(content)
    result = call("soketi", "x.json")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert result.output.startswith("pusher-server: x.json: ")
    assert len(result.output) < 200


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_file_and_nothing_waits_for_its_writer() -> None:
    """The test ends, so the command did."""
    os.mkfifo("pipe.json")
    for arguments in (("soketi", "pipe.json"), ("pipe.json",)):
        result = call(*arguments)
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert "pipe.json: is no file" in result.output


def make_table(columns: str) -> None:
    """A table of laravel-websockets' in SQLite."""
    with sqlite3.connect("apps.sqlite") as connection:
        connection.execute(f"CREATE TABLE apps ({columns})")
        names = [column.split()[0] for column in columns.split(", ")]
        values = [name if name in ("id", "key", "secret") else None for name in names]
        marks = ", ".join("?" for _ in names)
        connection.execute(f"INSERT INTO apps VALUES ({marks})", values)
    connection.close()


def test_a_table_stays_where_it_is() -> None:
    """And its apps are counted."""
    make_table("id TEXT, key TEXT, secret TEXT, name TEXT, capacity INTEGER, allowed_origins TEXT")
    result = call("laravel-websockets", "apps.sqlite")
    assert result.exit_code == 0, result.output
    assert "1 app" in result.output
    checked = CliRunner().invoke(main, ["apps", "list"], catch_exceptions=False)
    assert checked.output == "id: key key\n"


@pytest.mark.parametrize(
    ("peer", "table", "column", "value", "words"),
    [
        ("laravel-websockets", "apps", "capacity", 0, "0 lets nobody connect there"),
        ("laravel-websockets", "apps", "capacity", -1, "-1 lets nobody connect there"),
        ("laravel-websockets", "apps", "capacity", None, ""),
        ("laravel-websockets", "apps", "capacity", 5, ""),
        ("soketi", "apps", "max_read_req_per_sec", 0, "0 refuses every one there"),
        ("soketi", "apps", "max_read_req_per_sec", -1, ""),
        ("soketi", "apps", "max_connections", 0, ""),
        ("soketi", "apps", "max_event_payload_in_kb", -1, "-1 lets nothing through there"),
    ],
)
def test_a_limit_of_a_table_that_closes_something_there_is_named(
    peer: str, table: str, column: str, value: int | None, words: str
) -> None:
    """Because the table's limits of 0 and -1 are none here."""
    with sqlite3.connect("x.db") as connection:
        connection.execute(f"CREATE TABLE {table} (id, key, secret, {column})")
        connection.execute(f"INSERT INTO {table} VALUES ('7', 'k', 's', ?)", [value])
    connection.close()
    url = f"sqlite:///{Path('x.db').absolute()}"
    printed = " ".join(call(peer, url, "--dry-run").output.split())
    assert "1 app can be used now" in printed
    assert (f"app 7: {column} {words}" in printed) if words else (f"app 7: {column}" not in printed)


def test_sockudos_table_is_read_with_its_columns() -> None:
    """After the schema of its migrations; origins are JSON there."""
    rates = (
        "max_client_events_per_second, max_backend_events_per_second, max_read_requests_per_second"
    )
    switches = "enabled, enable_client_messages, allowed_origins, enable_watchlist_events"
    columns = f"id, key, secret, {switches}, {rates}"
    with sqlite3.connect("sockudo.db") as connection:
        connection.execute(f"CREATE TABLE applications ({columns})")
        connection.execute(
            "INSERT INTO applications VALUES ('1', 'k', 's', 1, 1, '[\"shop.example\"]', 1, 7, NULL, NULL)"
        )
    connection.close()
    result = call("sockudo", f"sqlite:///{Path('sockudo.db').absolute()}")
    assert result.exit_code == 0, result.output
    shown = CliRunner().invoke(main, ["apps", "show", "1", "--json"], catch_exceptions=False)
    app = json.loads(shown.output)
    assert app["limits"]["client_events_per_second"] == 7
    assert app["allowed_origins"] == ["shop.example"]
    assert (app["watchlist"], app["client_events"]) == (True, "members")


def test_a_table_without_a_column_is_one_sentence() -> None:
    """That names the column."""
    make_table("id TEXT, key TEXT")
    result = call("laravel-websockets", "apps.sqlite")
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "secret" in result.output


def test_a_database_that_is_none_is_one_sentence() -> None:
    """Half a file, and a few bytes of one: there is nothing to wait for."""
    make_table("id TEXT, key TEXT, secret TEXT")
    whole = Path("apps.sqlite").read_bytes()
    for content in (whole[:3_000], whole[:16]):
        Path("apps.sqlite").write_bytes(content)
        result = call("laravel-websockets", "apps.sqlite")
        assert result.exit_code == 2, result.output
        assert result.output.count("\n") == 1
        assert not Path("pusher-server.toml").exists()


def test_apps_of_a_table_with_one_key_are_named() -> None:
    """Only one of them can be reached."""
    with sqlite3.connect("x.db") as connection:
        connection.execute("CREATE TABLE apps (id, key, secret)")
        rows = [("1", "k", "s1"), ("2", "k", "s2"), ("3", "other", "s3")]
        connection.executemany("INSERT INTO apps VALUES (?, ?, ?)", rows)
    connection.close()
    printed = " ".join(call("laravel-websockets", "x.db", "--dry-run").output.split())
    assert "app 2: key 'k' is the key of app 1, too: give it its own" in printed
    assert "app 3: key" not in printed


def test_files_that_others_can_read_were_unsafe() -> None:
    """With the command that closes them."""
    Path("soketi.json").chmod(0o644)
    assert "chmod o= soketi.json" in " ".join(call("soketi.json", "--dry-run").output.split())


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("no/such/x.toml", "there is no folder"),
        ("soketi.json/x.toml", "there is no folder"),
        (".", "is a directory; name a file"),
        ("/proc/x.toml", "cannot be written"),
        ("x" * 5_000, "File name too long"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_sentence(out: str, words: str) -> None:
    """With the file's name, and the way on."""
    result = call("soketi.json", "--out", out)
    assert result.exit_code == 2
    assert f"{out[:80]}: " in result.stderr
    assert words in result.stderr
    assert "name a" in result.stderr


@pytest.mark.parametrize(
    ("peer", "source", "out"),
    [
        ("soketi", "soketi.json", "soketi.json"),
        ("soketi", "soketi.json", "link.json"),
        ("pusher", ".env", ".env"),
        ("laravel-websockets", "apps.sqlite", "apps.sqlite"),
        ("laravel-websockets", "sqlite:///apps.sqlite", "apps.sqlite"),
    ],
)
def test_the_file_that_is_imported_is_not_replaced(peer: str, source: str, out: str) -> None:
    """Not with --force either: it is the way back."""
    make_table("id TEXT, key TEXT, secret TEXT, capacity INTEGER")
    Path("link.json").symlink_to("soketi.json")
    before = Path(out).read_bytes()
    result = call(peer, source, "--out", out, "--force")
    assert result.exit_code == 2
    assert result.output == f"pusher-server: {out}: is what is imported; name another --out FILE\n"
    assert Path(out).read_bytes() == before


def test_a_variable_that_is_no_text_is_one_sentence() -> None:
    """The process may have any bytes in its variables."""
    os.environ["SOKETI_DEFAULT_APP_SECRET"] = os.fsdecode(b"hidden-\xff")
    result = call("soketi.json")
    assert result.output == (
        "pusher-server: SOKETI_DEFAULT_APP_SECRET: is not UTF-8 text; write it as UTF-8\n"
    )
    os.environ["SOKETI_DEFAULT_APP_WEBHOOKS"] = os.fsdecode(b'[{"url": "https://a.example/\xff"}]')
    assert call("soketi.json").output.count("\n") == 1
