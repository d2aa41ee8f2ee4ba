"""Tables as operators really have them: other types, twins, slips. What is wrong with a row ends there."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from pusher_server.app import Webhook
from pusher_server.apps.database.cache import CachedApps
from pusher_server.apps.database.editing import AppEditor, EditRefused
from pusher_server.apps.database.runtime import check
from pusher_server.config import published_secrets
from pusher_server.errors import ConfigError
from tests.support.app_tables import KINDS, PRESETS, AppTable, made
from tests.support.databases import MariaServer, PostgresServer


@pytest.fixture(params=KINDS)
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AppTable]:
    """Our table, empty, in each database."""
    kind = request.param
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with made(kind, "own", tmp_path, server) as found:
        yield found


def row(app_id: str, key: str, **more: object) -> dict[str, object]:
    """A row of our table."""
    return {"id": app_id, "key": key, "secret": "hush-hush", **more}


async def test_rows_whose_credentials_have_something_around_them_are_named_at_the_start(
    table: AppTable, caplog: pytest.LogCaptureFixture
) -> None:
    """No client's right key would ever find them. A healthy row and blanks at the end are no news."""
    await table.insert(
        [
            row("1", "good"),
            row("2", '"quoted"'),
            row("3", "blank") | {"secret": " hush-hush"},
            row("4", "line-end") | {"secret": "hush-hush\n"},
            row("'5'", "id"),
            row("6", "padded   "),
            row("7", "old", previous_key="'older", previous_secret="hush-hush"),
        ]
    )
    await check(table.settings)
    lines = [line for line in caplog.messages if "is refused" in line]
    assert sorted(re.findall(r"app (\S+), column '(\w+)'", "\n".join(lines))) == [
        ("\"'5'\"", "id"),
        ("'2'", "key"),
        ("'3'", "secret"),
        ("'4'", "secret"),
        ("'7'", "previous_key"),
    ]
    assert "hush-hush" not in caplog.text


async def test_a_bad_row_is_said_once_and_the_others_are_served(
    table: AppTable, caplog: pytest.LogCaptureFixture
) -> None:
    """Negative limit, broken JSON, no secret, a key that no URL carries."""
    await table.insert(
        [
            row("1", "good"),
            row("2", "negative", max_connections=-7),
            row("3", "broken", webhooks='[{"url":'),
            row("4", "empty") | {"secret": ""},
            row("5", "two words"),
            row("6", "also-good", webhooks='[{"url": "http://x"}]', max_connections=-1),
        ]
    )
    async with table.store() as store:
        for _ in range(3):
            found = await store.all()
        usable = {each.id: each.app for each in found if each.app is not None}
        assert sorted(usable) == ["1", "3", "6"]
        assert usable["6"].limits.connections == 0
        assert usable["6"].webhooks == (Webhook(url="http://x"),)
        assert usable["3"].webhooks == ()
        apps = CachedApps(store, time.monotonic, unknown_seconds=1)
        assert await apps.by_key("negative") is None
        assert await apps.by_key("good") is not None
    said = [record.getMessage() for record in caplog.records]
    assert [re.split(r" is refused: | webhook: ", line)[1].partition(":")[0] for line in said] == [
        "app '2', column 'max_connections'",
        "app '3', column 'webhooks'",
        "app '4', column 'secret'",
        "app '5', column 'key'",
    ]
    assert "hush-hush" not in caplog.text


async def test_a_published_secret_is_refused_where_others_reach_us(
    table: AppTable, caplog: pytest.LogCaptureFixture
) -> None:
    """As one in a file ends the start."""
    await table.insert([row("1", "k") | {"secret": "app-secret"}])
    async with table.store(published=published_secrets()) as store:
        assert [each.app for each in await store.all()] == [None]
    assert "app '1', column 'secret': is the published example's" in caplog.text


async def test_a_mended_row_is_taken(table: AppTable) -> None:
    """And a row that goes wrong again is said again."""
    await table.insert([row("1", "k", max_connections=-7)])
    async with table.store() as store:
        assert [each.app for each in await store.find(ids=["1"])] == [None]
        await table.update("1", "max_connections", 7)
        (found,) = await store.find(keys=["k"])
        assert found.app is not None
        assert found.app.limits.connections == 7


async def test_a_key_of_two_rows_belongs_to_the_first_id(
    table: AppTable, caplog: pytest.LogCaptureFixture
) -> None:
    """One row's key may be another's previous one; no index sees that."""
    await table.insert(
        [row("b", "twin"), row("a", "new", previous_key="twin", previous_secret="s")]
    )
    async with table.store() as store:
        apps = CachedApps(store, time.monotonic, unknown_seconds=1)
        assert await apps.by_id("b") is not None
        found = await apps.by_key("twin")
        assert found is not None
        assert found.id == "a"
    assert caplog.text.count("the key 'twin' is in the rows of the apps 'a', 'b'") == 1


async def test_an_id_of_two_rows_counts_once(
    postgres: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """laravel-websockets' table allows it. Whatever is asked for, the same row is the answer."""
    async with made("postgres", "laravel-websockets", tmp_path, postgres) as table:
        twin: dict[str, object] = {"id": "1", "secret": "s", "name": "", "allowed_origins": ""}
        await table.insert([{**twin, "key": "second"}, {**twin, "key": "first"}])
        async with table.store() as store:
            apps = CachedApps(store, time.monotonic, unknown_seconds=1)
            by_id = await apps.by_id("1")
            assert by_id is not None
            assert by_id.keys[0].key == "first"
            assert await apps.by_key("second") is None
            assert await apps.by_key("first") == by_id
    assert caplog.text.count("the id '1' stands in two rows") == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_ids_may_be_numbers_and_texts_padded(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """An integer id, a CHAR key and secret, soketi's other columns left out."""
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with made(kind, "soketi", tmp_path, server, table="tenants") as table:
        await table.execute("DROP TABLE {table}")
        await table.execute(
            "CREATE TABLE {table} (id integer PRIMARY KEY, {key} char(40), secret char(40))"
        )
        await table.insert([{"id": 7, "key": "k", "secret": "s"}])
        async with table.store() as store:
            apps = CachedApps(store, time.monotonic, unknown_seconds=1)
            by_id, by_key, none = await asyncio.gather(
                apps.by_id("7"), apps.by_key("k"), apps.by_id("7x")
            )
            assert by_id == by_key
            assert none is None
            assert by_id is not None
            assert (by_id.id, by_id.keys[0].key, by_id.keys[0].secret) == ("7", "k", "s")


async def test_numbers_that_sqlite_makes_of_texts(tmp_path: Path) -> None:
    """laravel-websockets declares STRING, which SQLite takes for numbers."""
    async with made("sqlite", "laravel-websockets", tmp_path, None) as table:
        await table.insert([{"id": "12345", "key": "67890", "secret": "13579", "name": "1"}])
        async with table.store() as store:
            (found,) = await store.find(keys=["67890"])
            assert found.app is not None
            assert found.app.id == "12345"
            assert found.app.keys[0].secret == "13579"
            assert await store.find(ids=["12345"]) == [found]


async def test_a_row_may_hold_bits(mariadb: MariaServer, tmp_path: Path) -> None:
    """MySQL's BIT(1), and texts compared without regard to case."""
    async with made("mariadb", "soketi", tmp_path, mariadb) as table:
        await table.execute("DROP TABLE {table}")
        await table.execute(
            "CREATE TABLE {table} (id varchar(20), {key} varchar(20), secret varchar(20), enabled bit(1))"
        )
        await table.insert([{"id": "A", "key": "K", "secret": "s", "enabled": 0}])
        async with table.store() as store:
            (found,) = await store.find(keys=["K"])
            assert found.app is not None
            assert not found.app.enabled
            apps = CachedApps(store, time.monotonic, unknown_seconds=1)
            assert await apps.by_key("k") is None
            assert await apps.by_key("K") is not None


async def test_a_table_in_another_schema(postgres: PostgresServer, tmp_path: Path) -> None:
    """With a name that has to be quoted; created, read and announced there."""
    async with made("postgres", "own", tmp_path, postgres, announced=False) as table:
        await table.execute('CREATE SCHEMA "Tenants"')
        settings = structs.replace(table.settings, table="Tenants.Push Apps")
        async with AppTable("postgres", settings, table.engine).store() as store:
            editor = AppEditor(store)
            assert await editor.create() == [
                "created the table Tenants.Push Apps",
                "the database announces changes (trigger)",
            ]
            await editor.add({"id": "1", "key": "k", "secret": "s"})
            assert [each.id for each in await store.find(keys=["k"])] == ["1"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_missing_column_is_named(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that must be there, one that the operator named, and one that is merely not there."""
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with made(kind, "soketi", tmp_path, server) as table:
        await table.execute("ALTER TABLE {table} DROP COLUMN max_event_batch_size")
        async with table.store() as store:
            assert await store.find(ids=["1"]) == []
        assert "has no column max_event_batch_size: [defaults] apply instead" in caplog.text
        await table.execute("ALTER TABLE {table} DROP COLUMN secret")
        async with table.store() as store:
            with pytest.raises(ConfigError, match="has no column 'secret'; name the one it has"):
                await store.find(ids=["1"])
    async with (
        made(kind, "soketi", tmp_path, server, announced=False, columns={"name": "title"}) as table,
        table.store() as store,
    ):
        with pytest.raises(ConfigError, match=r"database\.columns\.name: .* no column 'title'"):
            await store.find(ids=["1"])


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_table_is_written_to(
    kind: str, preset: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Added, changed, taken back, removed; columns that must not be NULL are filled."""
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with made(kind, preset, tmp_path, server) as table, table.store() as store:
        editor = AppEditor(store)
        await editor.create()
        await editor.add({"id": "1", "key": "k", "secret": "s", "limits.connections": 5})
        with pytest.raises(EditRefused, match="there is an app '1' already"):
            await editor.add({"id": "1", "key": "k2", "secret": "s"})
        with pytest.raises(EditRefused, match="app '1' has that key already"):
            await editor.add({"id": "2", "key": "k", "secret": "s"})
        await editor.change("1", {"client_events": "off", "limits.connections": 6})
        (found,) = await store.find(ids=["1"])
        assert found.app is not None
        assert found.app.client_events == "off"
        assert found.app.limits.connections == 6
        if preset == "own":
            await editor.rotate("1", "new", "t")
            assert [each.id for each in await store.find(keys=["new", "k"])] == ["1"]
        else:
            with pytest.raises(EditRefused, match="has one key per app"):
                await editor.rotate("1", "new", "t")
        if preset == "laravel-websockets":
            with pytest.raises(EditRefused, match="has no column for `enabled`"):
                await editor.change("1", {"enabled": False})
        else:
            await editor.change("1", {"enabled": False})
            (found,) = await store.find(ids=["1"])
            assert found.app is not None
            assert not found.app.enabled
        with pytest.raises(EditRefused, match="app '1' has no key 'unheard-of'"):
            await editor.remove_key("1", "unheard-of")
        if preset == "soketi":
            with pytest.raises(EditRefused, match=r"event_data_bytes: .* units of 1024 bytes"):
                await editor.change("1", {"limits.event_data_bytes": 1_000})
        await editor.remove("1")
        assert await store.all() == []
        with pytest.raises(EditRefused, match="there is no app '1'"):
            await editor.remove("1")


async def test_a_table_with_two_more_columns_rotates(mariadb: MariaServer, tmp_path: Path) -> None:
    """As the refusal says: added by the operator, and named in the settings."""
    more = {
        "extra": "old_key varchar(255)",
        "columns": {"previous_key": "old_key", "previous_secret": "old_secret"},
    }
    async with made("mariadb", "soketi", tmp_path, mariadb, **more) as table:
        await table.execute("ALTER TABLE {table} ADD COLUMN old_secret varchar(255)")
        async with table.store() as store:
            editor = AppEditor(store)
            await editor.add({"id": "1", "key": "k", "secret": "s"})
            await editor.rotate("1", "new", "t")
            (found,) = await store.find(keys=["k"])
            assert found.app is not None
            assert [pair.key for pair in found.app.keys] == ["new", "k"]


#: What no setting can be, as a statement that puts it into the row "bad", by database.
STRANGE = {
    "sqlite": [
        "UPDATE {table} SET max_connections = '6e666666666'",
        "UPDATE {table} SET max_connections = 9e999",
        "UPDATE {table} SET max_connections = x'ff00'",
        "UPDATE {table} SET secret = CAST(x'68757368ff' AS TEXT)",
        "UPDATE {table} SET enabled = 'perhaps'",
        "UPDATE {table} SET secret = x'68ff'",
    ],
    "postgres": [
        "ALTER TABLE {table} ALTER max_connections TYPE text;"
        " UPDATE {table} SET max_connections = '6e666666666'",
        "ALTER TABLE {table} ALTER max_connections TYPE numeric;"
        " UPDATE {table} SET max_connections = 'NaN'",
        "ALTER TABLE {table} ALTER max_connections TYPE float8;"
        " UPDATE {table} SET max_connections = 'Infinity'",
        "ALTER TABLE {table} ALTER secret TYPE bytea USING secret::bytea; UPDATE {table} SET secret = '\\xff'",
    ],
    "mariadb": [
        "ALTER TABLE {table} MODIFY max_connections text;"
        " UPDATE {table} SET max_connections = '6e666666666'",
        "ALTER TABLE {table} MODIFY max_connections double; UPDATE {table} SET max_connections = 1e300",
        "ALTER TABLE {table} MODIFY secret varbinary(255); UPDATE {table} SET secret = x'68ff'",
    ],
}


@pytest.mark.parametrize(
    ("kind", "statement"), [(kind, each) for kind, them in STRANGE.items() for each in them]
)
async def test_what_no_setting_can_be_concerns_its_row_only(
    kind: str,
    statement: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once, however often the table is read, without a traceback and without the secret."""
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with made(kind, "own", tmp_path, server) as table:
        await table.insert([row("bad", "k1"), row("good", "k2")])
        for part in statement.split("; "):
            await table.execute(part + (" WHERE id = 'bad'" if part.startswith("UPDATE") else ""))
        async with table.store() as store:
            for _ in range(3):
                found = {each.id: each.app for each in await store.all()}
                assert found["bad"] is None
                assert found["good"] is not None
                assert [each.app for each in await store.find(keys=["k1"])] == [None]
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1
    assert "app 'bad', column 'max_connections'" in said[0].getMessage() or any(
        f"app 'bad', column '{name}'" in said[0].getMessage() for name in ("secret", "enabled")
    )
    assert said[0].exc_info is None
    assert "hush" not in caplog.text
