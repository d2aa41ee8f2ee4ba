"""Names that are nearly the same, and how Laravel writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.diagnosis.channel_names import (
    PREFIXES,
    folded,
    is_doubled,
    laravel,
    parts_of,
    variants,
)
from pusher_server.protocol.channel_name import kind_of

NAMES = st.text("ab-._=@,;AB12", min_size=1, max_size=12)


@given(NAMES, st.sampled_from(PREFIXES))
def test_variants_of_a_name_are_few_and_have_its_core(core: str, prefix: str) -> None:
    name = prefix + core
    near = variants(name)
    assert name not in near
    assert len(near) == len(set(near)) <= 11
    assert {parts_of(variant).core for variant in near} == {parts_of(name).core}
    assert {folded(variant) for variant in near} == {folded(name)}


def test_the_prefixes_are_those_of_the_protocol() -> None:
    assert [kind_of(f"{prefix}x") for prefix in PREFIXES] == list(PREFIXES)


@pytest.mark.parametrize(
    ("one", "other", "is_near"),
    [
        ("session.42", "private-Session_42", True),
        ("a:b", "a.b", True),
        ("session.42", "session.43", False),
        ("session.42", "session42", False),
        ("a.b", "a.b.", False),
    ],
)
def test_names_are_near_that_share_a_folded_text(one: str, other: str, is_near: bool) -> None:
    assert (folded(one) == folded(other)) is is_near


@pytest.mark.parametrize(
    ("name", "prefixes", "core"),
    [
        ("a", (), "a"),
        ("private-a", ("private-",), "a"),
        ("private-private-a", ("private-", "private-"), "a"),
        ("private-encrypted-cache-a", ("private-encrypted-cache-",), "a"),
        ("presence-cache-a", ("presence-cache-",), "a"),
        ("private-", (), "private-"),
        ("private-presence-", ("private-",), "presence-"),
        ("#server-to-user-7", (), "#server-to-user-7"),
        ("privateers", (), "privateers"),
    ],
)
def test_a_name_has_prefixes_and_a_core(name: str, prefixes: tuple[str, ...], core: str) -> None:
    assert parts_of(name) == (prefixes, core)


@pytest.mark.parametrize(
    ("name", "is_twice"),
    [
        ("private-private-a", True),
        ("presence-private-a", True),
        ("private-a", False),
        ("private-cache-a", False),
        ("a", False),
    ],
)
def test_a_prefix_that_a_library_added_twice(name: str, is_twice: bool) -> None:
    assert is_doubled(name) is is_twice


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a", ("Channel", "Echo.channel", "a")),
        ("cache-a", ("Channel", "Echo.channel", "cache-a")),
        ("private-a", ("PrivateChannel", "Echo.private", "a")),
        ("private-cache-a", ("PrivateChannel", "Echo.private", "cache-a")),
        ("presence-a", ("PresenceChannel", "Echo.join", "a")),
        ("private-encrypted-a", ("EncryptedPrivateChannel", "Echo.encryptedPrivate", "a")),
    ],
)
def test_how_laravel_writes_a_channel(name: str, written: tuple[str, str, str]) -> None:
    found = laravel(name)
    assert (found.channel_class, found.method, found.name) == written
