"""`pusher_server.migration.toml_text`: what is written is what is read."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from pusher_server.migration.toml_text import write_toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    TEXTS
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda values: st.lists(values, max_size=3),
    max_leaves=5,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
SETTINGS = st.dictionaries(NAMES, VALUES, max_size=4)


@given(
    st.dictionaries(st.sampled_from(["server", "http", "defaults"]), SETTINGS),
    SETTINGS,
    SETTINGS,
    st.lists(SETTINGS, max_size=2),
)
def test_it_is_read_back(
    table: dict[str, dict[str, object]],
    app: dict[str, object],
    limits: dict[str, object],
    webhooks: list[dict[str, object]],
) -> None:
    """Sections, an app with its limits, webhooks; names and texts of every character."""
    own = {name: value for name, value in app.items() if name not in ("limits", "webhooks")}
    whole = {
        **own,
        **({"limits": limits} if limits else {}),
        **({"webhooks": webhooks} if webhooks else {}),
    }
    parsed = tomllib.loads(write_toml(table, [whole], ["a heading"]))
    assert parsed.pop("apps") == [whole]
    assert parsed == {name: section for name, section in table.items() if section}


def test_secrets_are_hidden_unless_asked_for() -> None:
    """Of apps, of Redis, of webhooks, of URLs."""
    table = {
        "cluster": {"redis": {"url": "redis://u:hidden@h/0", "password": "hidden"}},
        "database": {"url": "mysql://u:hidden@h/d"},
        "operations": {"token": "hidden"},
    }
    apps = [
        {
            "id": "1",
            "secret": "hidden",
            "webhooks": [{"url": "https://x/hidden", "headers": {"a": "hidden"}}],
        }
    ]
    assert "hidden" not in write_toml(table, apps, [], reveal=False)
    assert write_toml(table, apps, []).count("hidden") == 7
