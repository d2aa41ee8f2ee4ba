"""`pusher_server.apps.database.schemas`: rows of the three presets as apps, and what is refused."""

from typing import Any

import msgspec
import pytest

from pusher_server.app import App, AppKey, AppLimits, Webhook, WebhookFilter
from pusher_server.apps.database.schemas import (
    Layout,
    RowRefused,
    is_valid_key,
    layout,
    plain_kinds,
)
from pusher_server.config import DatabaseSettings
from pusher_server.errors import ConfigError

ROW: dict[str, object] = {"id": "1", "key": "k", "secret": "s"}


def preset(name: str, **settings: Any) -> Layout:
    """A layout as the settings make it."""
    return layout(DatabaseSettings(url="sqlite:///x", preset=name, **settings))  # type: ignore[arg-type]


def refusal(table: Layout, **values: object) -> str:
    """What is said about a row that has these values, too."""
    with pytest.raises(RowRefused) as refused:
        table.read({**ROW, **values}, {})
    return str(refused.value)


@pytest.mark.parametrize("name", ["own", "soketi", "laravel-websockets"])
def test_a_row_of_nulls_is_an_app_with_the_servers_defaults(name: str) -> None:
    """As if its columns were not there."""
    table = preset(name)
    nulls = {column.name: None for column in table.columns.values()}
    defaults = {"client_events": "off", "limits": {"connections": 9}}
    found = table.read({**nulls, **ROW}, defaults)
    assert found.app == App(
        id="1",
        keys=(AppKey(key="k", secret="s"),),
        client_events="off",
        limits=AppLimits(connections=9),
    )
    assert table.read(ROW, defaults) == found


def test_our_table_has_a_column_for_every_setting() -> None:
    """Called as in `[[apps]]`, limits with `max_` in front."""
    columns = {column.name for column in preset("own").columns.values()}
    names = {field.name for field in msgspec.structs.fields(App)} - {"keys", "limits"}
    names |= {f"max_{field.name}" for field in msgspec.structs.fields(AppLimits)}
    assert columns >= names
    extra = {"key", "secret", "previous_key", "previous_secret"}
    assert columns - names - extra == set()


def test_two_keys_are_there_while_a_rotation_lasts() -> None:
    """The newest signs, so it comes first."""
    app = preset("own").read({**ROW, "previous_key": "old", "previous_secret": "o"}, {}).app
    assert [pair.key for pair in app.keys] == ["k", "old"]
    assert app.secret_of("old") == "o"


def test_strict_brings_its_limits_below_those_of_the_row() -> None:
    """As in a config file."""
    app = preset("own").read({**ROW, "strict": True, "max_presence_members": 7}, {}).app
    assert app.limits.presence_members == 7
    assert app.limits.event_data_bytes == 10_240


@pytest.mark.parametrize("name", ["own", "soketi"])
def test_webhooks_are_part_of_the_app(name: str) -> None:
    """With soketi's names, which are ours."""
    column = """[{"url": "https://example.com/hook", "headers": {"X-Tenant": "7"}, "lambda_function": null,
        "event_types": ["channel_occupied", "member_added"],
        "filter": {"channel_name_starts_with": "presence-"}}]"""
    found = preset(name).read({**ROW, "webhooks": column}, {})
    assert found.app.webhooks == (
        Webhook(
            url="https://example.com/hook",
            headers={"X-Tenant": "7"},
            event_types=("channel_occupied", "member_added"),
            filter=WebhookFilter(channel_name_starts_with="presence-"),
        ),
    )
    assert found.left_out == ()


@pytest.mark.parametrize("column", [None, "", "null"])
def test_without_webhooks_of_its_own_an_app_has_the_defaults(column: object) -> None:
    """And none with an empty list."""
    defaults = {"webhooks": [{"url": "http://x"}]}
    assert preset("own").read({**ROW, "webhooks": column}, defaults).app.webhooks == (
        Webhook(url="http://x"),
    )
    assert preset("own").read({**ROW, "webhooks": "[]"}, defaults).app.webhooks == ()


def test_the_column_of_webhooks_can_be_called_otherwise() -> None:
    """Its lines name it."""
    table = preset("own", columns={"webhooks": "hooks"})
    found = table.read({**ROW, "hooks": '[{"url": "http://x"}, 7]'}, {})
    assert found.app.webhooks == (Webhook(url="http://x"),)
    assert found.left_out == (
        "app '1', column 'hooks': webhooks[1]: expected an object with a `url`; this webhook is left out",
    )


def test_the_operator_renames_columns() -> None:
    """Dotted or as a table; what the column holds stays as the preset has it."""
    table = preset(
        "soketi",
        table="tenants",
        columns={
            "key": "app_key",
            "limits": {"event_data_bytes": "kb"},
            "limits.connections": "quota",
            "previous_key": "k2",
            "previous_secret": "s2",
        },
    )
    assert table.table == "tenants"
    app = table.read(
        {"id": 1, "app_key": "a", "secret": "s", "kb": 3, "quota": 4, "k2": "b", "s2": "t"}, {}
    ).app
    assert app.limits.event_data_bytes == 3_072
    assert app.limits.connections == 4
    assert [pair.key for pair in app.keys] == ["a", "b"]
    assert set(table.required) >= {"id", "key", "secret", "previous_key", "limits.connections"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"kye": "x"}, "database.columns.kye: apps have no such setting; did you mean `key`?"),
        ({"limits": {"nothing": "x"}}, "database.columns.limits.nothing: apps have no such"),
    ],
)
def test_a_column_for_no_setting_is_a_mistake(columns: dict[str, Any], said: str) -> None:
    """Named, with what was probably meant."""
    with pytest.raises(ConfigError) as refused:
        preset("own", columns=columns)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_connections": -5}, "app '1', column 'max_connections': is '-5'; write 0 or -1"),
        ({"max_batch_events": "x"}, "app '1', column 'max_batch_events': is 'x'; write a number"),
        ({"enabled": "maybe"}, "app '1', column 'enabled': is 'maybe'; write true or false"),
        ({"client_events": "some"}, "app '1', column 'client_events': expected one of members"),
        ({"cache_ttl": -1}, "app '1', column 'cache_ttl': cache_ttl is -1"),
        (
            {"allowed_origins": "https://x"},
            "app '1', column 'allowed_origins': allowed_origins has",
        ),
        ({"secret": ""}, "app '1', column 'secret': is empty"),
        ({"key": None}, "app '1', column 'key': is empty"),
        ({"key": "two words"}, "app '1', column 'key': write 1 to 255 ASCII characters"),
        ({"previous_key": "é"}, "app '1', column 'previous_key': write 1 to 255 ASCII"),
        ({"id": ""}, "app '', column 'id': is empty"),
        ({"key": '"k"'}, "app '1', column 'key': has a quote at its beginning"),
        ({"secret": "hush'"}, "app '1', column 'secret': has a quote at its end"),
        ({"secret": " hush"}, "app '1', column 'secret': has a blank"),
        ({"secret": "hush\r\n"}, "app '1', column 'secret': has a line end"),
        (
            {"previous_secret": "\ufeffhush"},
            "app '1', column 'previous_secret': has a blank or an inv",
        ),
    ],
)
def test_a_bad_row_is_named_with_its_column(values: dict[str, object], said: str) -> None:
    """One line for the log."""
    line = refusal(preset("own"), **values)
    assert line.startswith(said)
    assert "\n" not in line


def test_a_refused_row_shows_no_secret() -> None:
    """Whatever else is wrong with it."""
    assert "hush-hush" not in refusal(preset("own"), secret="hush-hush", key="a b")


@pytest.mark.parametrize("text", ["", "é", "a b", "\x00", "a\n", "x" * 256, "\ud800"])
def test_what_no_row_can_have_is_not_asked_for(text: str) -> None:
    """Databases disagree on such texts."""
    assert not is_valid_key(text)


def test_every_kind_of_setting_has_a_form() -> None:
    """A new field of `App` shows up here, or takes more than one column."""
    fields = {field.name for field in msgspec.structs.fields(App)}
    assert fields - set(plain_kinds()) <= {"keys", "limits"}
