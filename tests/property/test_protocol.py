"""The pure protocol: names, JSON texts, presence lists, close frames, each against an independent reading."""

import json
import string
import unicodedata
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pusher_server.app import Member
from pusher_server.protocol import events, text
from pusher_server.protocol.channel_name import parse_channel_name
from pusher_server.protocol.errors import InvalidChannelName, MalformedText
from pusher_server.protocol.frames import close_frame
from tests.support.frames import server_frames

ALLOWED = set(string.ascii_letters + string.digits + "_-=@,.;")

words = st.lists(
    st.sampled_from(["private", "presence", "encrypted", "cache", "x"])
    | st.text(alphabet="aZ09_-=@,.;", max_size=4),
    max_size=5,
).map("-".join)
intruders = st.sampled_from(
    ["\n", "\x00", "\x7f", "\x85", "\u2028", " ", ":", "#"]
) | st.characters(codec="utf-8")

#: Names of the grammar, with at most one character that may not belong there.
names = st.builds(
    lambda prefix, name, at, intruder: prefix + name[:at] + intruder + name[at:],
    st.sampled_from(["", "", "#server-to-user-", "#", "private-encrypted-cache-"]),
    words,
    st.integers(0, 12),
    st.sampled_from(["", "\n"]) | intruders,
)


def classify(name: str, max_length: int, lenient: bool) -> dict[str, Any] | None:
    """docs/protocol/channels.md#names, read word by word; None for what is no name."""
    if name == "" or (max_length and len(name) > max_length):
        return None
    kind: dict[str, Any] = dict.fromkeys(
        ("requires_auth", "has_members", "remembers_last", "is_encrypted", "allows_client_events"),
        False,
    )
    kind["user_id"] = None
    if name.startswith("#"):
        head, mark, user_id = name.partition("#server-to-user-")
        if head or not mark or not user_id or not set(user_id) <= ALLOWED:
            return None
        return {**kind, "user_id": user_id}
    if lenient:
        if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name):
            return None
    elif not set(name) <= ALLOWED:
        return None
    # A word counts only when a dash follows it.
    *words, _ = name.split("-")
    if words[:1] in (["private"], ["presence"]):
        kind["requires_auth"] = kind["allows_client_events"] = True
        kind["has_members"] = words[0] == "presence"
        rest = words[1:]
        if not kind["has_members"] and rest[:1] == ["encrypted"]:
            kind["is_encrypted"] = True
            rest = rest[1:]
        kind["remembers_last"] = rest[:1] == ["cache"]
    else:
        kind["remembers_last"] = words[:1] == ["cache"]
    return kind


@settings(max_examples=8 * settings().max_examples)
@given(name=names, max_length=st.sampled_from([0, 5, 200]), lenient=st.booleans())
def test_a_name_is_what_an_independent_reading_says(
    name: str, max_length: int, lenient: bool
) -> None:
    expected = classify(name, max_length, lenient)
    try:
        parsed = parse_channel_name(name, max_length=max_length, lenient=lenient)
    except InvalidChannelName:
        assert expected is None
    else:
        assert parsed.text == name
        assert {field: getattr(parsed, field) for field in expected or {}} == expected


numbers = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.decimals(allow_nan=False, allow_infinity=False, places=6)
    | st.sampled_from([Decimal("1.10"), Decimal("1E+400"), Decimal("0E-7"), Decimal("-0.0")])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def write(value: Any, *, gap: str, ascii_only: bool) -> str:
    """JSON as a backend might write it, with spaces and escapes where they are allowed."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        items = [write(each, gap=gap, ascii_only=ascii_only) for each in value]
        return f"[{gap}{f'{gap},{gap}'.join(items)}{gap}]"
    if isinstance(value, dict):
        pairs = [
            f"{json.dumps(key, ensure_ascii=ascii_only)}{gap}:{gap}"
            f"{write(each, gap=gap, ascii_only=ascii_only)}"
            for key, each in value.items()
        ]
        return f"{{{gap}{f'{gap},{gap}'.join(pairs)}{gap}}}"
    return json.dumps(value, ensure_ascii=ascii_only)


def digits(value: Any) -> Any:
    """A value with every number as the digits it was written with, not only as its size."""
    if isinstance(value, Decimal):
        return ("number", value.as_tuple())
    if isinstance(value, list):
        return [digits(each) for each in value]
    if isinstance(value, dict):
        return {key: digits(each) for key, each in value.items()}
    return value


@given(value=values, gap=st.sampled_from(["", " ", "\n\t"]), ascii_only=st.booleans())
def test_a_string_literal_holds_the_same_value_compactly_and_exactly(
    value: Any, gap: str, ascii_only: bool
) -> None:
    raw = write(value, gap=gap, ascii_only=ascii_only)
    inside = json.loads(text.string_literal(raw.encode()))
    if isinstance(value, str):
        assert inside == value
        return
    assert digits(json.loads(inside, parse_float=Decimal)) == digits(
        json.loads(raw, parse_float=Decimal)
    )
    assert inside == write(json.loads(inside, parse_float=Decimal), gap="", ascii_only=False)


@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_a_literal_is_made_of_any_bytes_or_refused(raw: bytes) -> None:
    """What passes the check of a whole message becomes a literal that every client can read."""
    try:
        checked = text.exact(raw.decode())
    except (UnicodeDecodeError, MalformedText):
        return
    literal = text.string_literal(raw.strip(b" \t\r\n"))
    inside = json.loads(literal)
    assert isinstance(inside, str)
    assert inside == checked or text.exact(inside) == checked


@given(inside=st.text(max_size=50), ascii_only=st.booleans(), limit=st.integers(0, 120))
def test_a_literals_length_is_counted_in_bytes_of_its_text(
    inside: str, ascii_only: bool, limit: int
) -> None:
    literal = json.dumps(inside, ensure_ascii=ascii_only).encode()
    size = len(inside.encode())
    assert text.literal_length(literal) == size
    assert text.exceeds(literal, limit) is (0 < limit < size)


@given(members=st.dictionaries(st.text(min_size=1, max_size=8), st.none() | values, max_size=6))
def test_a_presence_list_has_every_member_in_order(members: dict[str, Any]) -> None:
    infos = {
        user_id: None if info is None else write(info, gap=" ", ascii_only=False)
        for user_id, info in members.items()
    }
    entries = [
        events.MemberEntry(Member(user_id, None if info is None else info.encode()))
        for user_id, info in infos.items()
    ]
    message = json.loads(events.presence_succeeded("presence-x", entries))
    assert message["event"] == "pusher_internal:subscription_succeeded"
    assert message["channel"] == "presence-x"
    presence = json.loads(message["data"], parse_float=Decimal)["presence"]
    assert presence["ids"] == list(members)
    assert list(presence["hash"]) == list(members)
    assert presence["hash"] == {
        user_id: None if info is None else json.loads(info, parse_float=Decimal)
        for user_id, info in infos.items()
    }
    assert presence["count"] == len(members)


@given(code=st.integers(1000, 4999), reason=st.text(max_size=200))
def test_a_close_reason_is_as_much_as_fits_between_characters(code: int, reason: str) -> None:
    (frame,) = server_frames(close_frame(code, reason))
    assert int.from_bytes(frame.payload[:2]) == code
    kept = frame.payload[2:].decode()
    assert reason.startswith(kept)
    assert len(kept.encode()) <= 123
    following = reason[len(kept) : len(kept) + 1]
    assert not following or len((kept + following).encode()) > 123
