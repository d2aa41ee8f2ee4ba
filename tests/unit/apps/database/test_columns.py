"""`pusher_server.apps.database.columns`: what drivers give and operators write, as settings and back."""

import json
from decimal import Decimal

import pytest

from pusher_server.apps.database.columns import Kind, reads, writes

DEEP = "is nested more than 512 levels deep"


@pytest.mark.parametrize(
    ("kind", "value", "setting"),
    [
        (Kind.TEXT, 7, "7"),
        (Kind.TEXT, b"shop", "shop"),
        (Kind.NAME, "key  ", "key"),
        (Kind.SWITCH, True, True),
        (Kind.SWITCH, 0, False),
        (Kind.SWITCH, b"\x01", True),
        (Kind.SWITCH, b"0", False),
        (Kind.SWITCH, "TRUE", True),
        (Kind.SWITCH, Decimal(1), True),
        (Kind.NUMBER, "120", 120),
        (Kind.NUMBER, Decimal("120.0"), 120),
        (Kind.LIMIT, -1, 0),
        (Kind.LIMIT, 0, 0),
        (Kind.LIMIT, 5, 5),
        (Kind.KILOBYTES, -1, 0),
        (Kind.KILOBYTES, 2, 2_048),
        (Kind.KILOBYTES, Decimal("0.5"), 512),
        (Kind.LIST, "", []),
        (Kind.LIST, "a.example, b.example,", ["a.example", "b.example"]),
        (Kind.LIST, '["a.example"]', ["a.example"]),
        (Kind.CLIENT_EVENTS, 1, "members"),
        (Kind.CLIENT_EVENTS, 0, "off"),
        (Kind.AUTHENTICATION, 1, 30),
        (Kind.AUTHENTICATION, 0, 0),
        (Kind.JSON, '[{"url": "x"}]', [{"url": "x"}]),
        (Kind.JSON, [1], [1]),
        (Kind.JSON, " ", None),
    ],
)
def test_a_value_means_a_setting(kind: Kind, value: object, setting: object) -> None:
    """In whatever form the driver has it."""
    found = reads(kind, value)
    assert found == setting
    assert type(found) is type(setting)


def test_json_is_nested_as_deeply_as_may_be() -> None:
    """The same in every form that a driver gives."""
    deep = "[" * 512 + "]" * 512
    for value in (deep, deep.encode(), memoryview(deep.encode()), bytearray(deep.encode())):
        assert reads(Kind.JSON, value) == json.loads(deep)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Kind.SWITCH, 2, "is '2'; write true or false"),
        (Kind.SWITCH, "", "write true or false"),
        (Kind.NUMBER, "1.5", "write a whole number"),
        (Kind.NUMBER, "many", "is 'many'; write a number"),
        (Kind.NUMBER, "NaN", "write a number"),
        (Kind.NUMBER, "1e400", "write a number"),
        (Kind.LIMIT, -2, "is '-2'; write 0 or -1 for 'no limit', NULL for the default"),
        (Kind.KILOBYTES, -3, "write 0 or -1"),
        (Kind.LIST, "[1]", "is no list of texts"),
        (Kind.LIST, "[", "not valid JSON"),
        (Kind.JSON, "[{", "not valid JSON"),
        *((Kind.JSON, "[" * depth + "]" * depth, DEEP) for depth in (513, 1_200, 3_000, 100_000)),
        (Kind.JSON, b'["[", {"a":' * 300 + b"1" + b"}]" * 300, DEEP),
        (Kind.JSON, "[" * 600, DEEP),
        (Kind.LIST, "[" * 600 + "]" * 600, DEEP),
    ],
)
def test_nonsense_is_refused_in_words(kind: Kind, value: object, said: str) -> None:
    """They say what to write, and quote no more than a few characters."""
    with pytest.raises(ValueError, match=r"^is ") as refused:
        reads(kind, value)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (Kind.TEXT, "shop"),
        (Kind.SWITCH, False),
        (Kind.NUMBER, 7),
        (Kind.LIMIT, 0),
        (Kind.KILOBYTES, 10_240),
        (Kind.LIST, ["a.example", "b.example"]),
        (Kind.CLIENT_EVENTS, "off"),
        (Kind.AUTHENTICATION, 30),
        (Kind.AUTHENTICATION, 0),
    ],
)
def test_what_is_written_reads_as_the_same(kind: Kind, setting: object) -> None:
    """There and back."""
    assert reads(kind, writes(kind, setting)) == setting


@pytest.mark.parametrize(
    ("kind", "setting", "said"),
    [
        (Kind.KILOBYTES, 1_000, "units of 1024 bytes"),
        (Kind.CLIENT_EVENTS, "all", "'members' and 'off' only"),
        (Kind.AUTHENTICATION, 10, "0 and 30 only"),
    ],
)
def test_what_a_table_cannot_say_is_refused(kind: Kind, setting: object, said: str) -> None:
    """It would come back as something else."""
    with pytest.raises(ValueError, match=said):
        writes(kind, setting)
