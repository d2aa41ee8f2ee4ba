"""Names: the grammar, and which flags a prefix gives (docs/protocol/channels.md#kinds)."""

import pytest

from pusher_server.protocol import channel_name
from pusher_server.protocol.channel_name import ChannelName, parse_channel_name, user_channel
from pusher_server.protocol.errors import InvalidChannelName


def flags(name: ChannelName) -> str:
    """a = auth, m = members, l = remembers last, e = encrypted, c = client events."""
    return "".join(
        letter
        for letter, given in (
            ("a", name.requires_auth),
            ("m", name.has_members),
            ("l", name.remembers_last),
            ("e", name.is_encrypted),
            ("c", name.allows_client_events),
        )
        if given
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("private-encrypted-cache-x", "alec"),
        ("private-encrypted-x", "aec"),
        ("private-cache-x", "alc"),
        ("private-x", "ac"),
        ("presence-cache-x", "amlc"),
        ("presence-x", "amc"),
        ("cache-x", "l"),
        ("x", ""),
        # Anchored, and with the dash.
        ("my-private-x", ""),
        ("xpresence-", ""),
        ("privateers", ""),
        ("presence", ""),
        ("cached", ""),
        ("x-cache-y", ""),
        ("Private-x", ""),
        ("presence-encrypted-x", "amc"),
        ("private-", "ac"),
        ("presence-", "amc"),
        ("private-encrypted-", "aec"),
        ("private-encrypted-cache-", "alec"),
        ("private-encrypted", "ac"),
    ],
)
def test_the_prefix_decides_what_a_channel_is(text: str, expected: str) -> None:
    name = parse_channel_name(text)
    assert (name.text, flags(name), name.user_id) == (text, expected, None)


def test_every_allowed_character_is_allowed() -> None:
    text = "azAZ09_-=@,.;"
    assert parse_channel_name(text).text == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "a:b", "a/b", "a#b", "ä", "a\n", "a\x00", "#", "#x", "#server-to-user-"],
)
def test_names_outside_the_grammar_are_refused(text: str) -> None:
    with pytest.raises(InvalidChannelName):
        parse_channel_name(text)


def test_a_user_channel_names_its_user() -> None:
    name = parse_channel_name("#server-to-user-12345")
    assert (name.user_id, flags(name)) == ("12345", "")


@pytest.mark.parametrize("text", ["#server-to-user-a b", "#server-to-user-a\n", "#server-to-use-1"])
def test_a_user_channel_needs_an_id_of_the_grammar(text: str) -> None:
    with pytest.raises(InvalidChannelName):
        parse_channel_name(text, lenient=True)


def test_the_length_is_limited_in_characters() -> None:
    assert parse_channel_name("x" * 200)
    with pytest.raises(InvalidChannelName, match="longer than 200 characters"):
        parse_channel_name("x" * 201)
    assert parse_channel_name("é" * 200, lenient=True)
    with pytest.raises(InvalidChannelName):
        parse_channel_name("abcd", max_length=3)


def test_a_length_of_0_is_no_limit() -> None:
    assert parse_channel_name("x" * 10_000, max_length=0)


@pytest.mark.parametrize("text", ["orders:1", "room/5", "a b", "größe", "a#b", "private-a:b"])
def test_lenient_takes_any_printable_text(text: str) -> None:
    assert parse_channel_name(text, lenient=True).text == text
    with pytest.raises(InvalidChannelName):
        parse_channel_name(text)


@pytest.mark.parametrize(
    "text", ["", "a\n", "a\x00b", "\x7f", "a\x85b", "a\u2028b", "a\u2029b", "#x"]
)
def test_lenient_still_refuses_control_characters_and_reserved_names(text: str) -> None:
    with pytest.raises(InvalidChannelName):
        parse_channel_name(text, lenient=True)


def test_a_lenient_name_keeps_its_kind() -> None:
    assert flags(parse_channel_name("private-orders:1", lenient=True)) == "ac"


def test_a_refusal_shows_the_name_but_not_all_of_a_long_one() -> None:
    with pytest.raises(InvalidChannelName) as caught:
        parse_channel_name("a b" * 500, max_length=0)
    assert "'a b" in caught.value.message
    assert len(caught.value.message) < 250


def test_a_signed_in_user_has_a_channel_whatever_the_id() -> None:
    assert user_channel("a b") == ChannelName("#server-to-user-a b", user_id="a b")
    assert user_channel("7") == parse_channel_name("#server-to-user-7")


def test_long_names_are_not_remembered() -> None:
    """Clients choose them; thousands of 100 kB would stay in memory."""
    before = channel_name._parse.cache_info().currsize
    for i in range(20):
        assert parse_channel_name(f"private-{i}-{'x' * 1_000}", max_length=0).requires_auth
    assert channel_name._parse.cache_info().currsize == before


@pytest.mark.parametrize("lenient", [False, True])
def test_a_lone_surrogate_is_in_no_name(lenient: bool) -> None:
    """Names become addresses in stores, paths and log lines: UTF-8 all of them."""
    for name in ("c\ud83d", "\ude00", "#server-to-user-\ud83d"):
        with pytest.raises(InvalidChannelName, match="lone surrogate"):
            parse_channel_name(name, lenient=lenient)
    assert parse_channel_name("room 😀", lenient=True).text == "room 😀"
