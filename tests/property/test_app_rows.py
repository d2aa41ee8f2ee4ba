"""Rows of the apps' table, whatever stands in them: an app, or one line that names app and column."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pusher_server.apps.database.columns import Kind, reads
from pusher_server.apps.database.schemas import Layout, RowRefused, layout
from pusher_server.config import DatabaseSettings

LAYOUTS = [
    layout(DatabaseSettings(url="sqlite:///x", preset=preset))  # type: ignore[arg-type]
    for preset in ("own", "soketi", "laravel-websockets")
]
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(),
    st.sampled_from(["6e666666666", "-6e666666666", "6e-666666666", "1e99999999999999999999"]),
    st.sampled_from(["9" * 10_000, "1" + "0" * 5_000, "sNaN", "Infinity", "-0", "1_0", "٣"]),
    st.sampled_from(
        [Decimal("sNaN"), Decimal("6e666666"), Decimal("-Infinity"), 2**400, -(2**400)]
    ),
)
TEXTS = st.one_of(st.text(), st.binary(), st.just("a\0b"), st.just("\ud800"), st.just(b"\xff"))
JSON = st.one_of(
    st.just('[{"url": "http://x/\\ud800"}]'),
    st.just("[" * 5_000),
    st.just('[{"url": NaN}]'),
    st.just(b'[{"url": "\xff"}]'),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
ANYTHING = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, JSON)


@given(kind=st.sampled_from(Kind), value=ANYTHING)
@example(kind=Kind.NUMBER, value="6e666666666")
@example(kind=Kind.LIMIT, value="6e666666666666666666666")
@example(kind=Kind.SWITCH, value=Decimal("sNaN"))
@example(kind=Kind.NAME, value=b"\xff")
@example(kind=Kind.LIST, value='["\\ud800"]')
def test_a_value_is_read_or_refused(kind: Kind, value: object) -> None:
    """By ValueError only; its line is short and can be written anywhere."""
    refusal: ValueError | None = None
    try:
        reads(kind, value)
    except ValueError as error:
        refusal = error
    assert not isinstance(refusal, UnicodeError)
    assert len(str(refusal).encode()) < 500


@given(data=st.data(), which=st.sampled_from(LAYOUTS))
def test_a_row_is_an_app_or_is_refused(data: st.DataObject, which: Layout) -> None:
    """One column at a time holds what it should not, and the rest is right."""
    right: dict[str, object] = {"id": "1", "key": "k", "secret": "s"}
    columns = [column.name for column in which.columns.values()]
    strange = data.draw(st.dictionaries(st.sampled_from(columns), ANYTHING, max_size=3))
    lines: list[str] = []
    try:
        lines += which.read({**right, **strange}, {}).left_out
    except RowRefused as refused:
        lines.append(str(refused))
    for line in lines:
        assert "column '" in line
        line.encode()


@pytest.mark.parametrize("value", [b"\xff", b"caf\xe9", "\ud800"])
def test_what_is_no_text_is_no_secret(value: object) -> None:
    """A replaced character would be another secret, and every signature wrong without a reason."""
    with pytest.raises(RowRefused, match="column 'secret'") as refused:
        LAYOUTS[0].read({"id": "1", "key": "k", "secret": value}, {})
    assert "caf" not in str(refused.value)
