r"""Lone surrogates in any text at any place of any JSON, against the standard library, which reads them.

Invariant: what is opaque means to its receivers what it meant to its sender; what joins the JSON of others
means the same with U+FFFD for each lone surrogate; and no text is refused for one, but names and ids are.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pusher_server.app import Member
from pusher_server.protocol import events, text
from pusher_server.protocol.errors import MalformedText, MessageRejected, SubscriptionRefused
from pusher_server.protocol.members import InvalidIdentity, decode_member, decode_user
from pusher_server.protocol.messages import ClientEvent, Subscribe, decode
from pusher_server.protocol.surrogates import substituted

#: Half of the letters are surrogates; a high one and a low one side by side are one letter to JSON.
letters = st.sampled_from("\ud83d\ude00\ud800\udfff") | st.characters()
texts = st.text(letters, max_size=8).map(
    lambda each: each.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
cut_texts = st.builds("{}x{}x{}".format, texts, st.sampled_from("\ud83d\ude00"), texts)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
gaps = st.sampled_from([(",", ":"), (", ", " : ")])


def written(value: Any, gap: tuple[str, str] = (",", ":")) -> bytes:
    """As JavaScript writes it: surrogates as escapes, all else as it is."""
    plain = json.dumps(value, ensure_ascii=False, separators=gap)
    return plain.encode("utf-8", "backslashreplace")


def readable(value: Any) -> Any:
    """The same value as others are to read it."""
    match value:
        case str():
            return substituted(value)
        case list():
            return [readable(each) for each in value]
        case dict():
            return {substituted(name): readable(each) for name, each in value.items()}
    return value


@given(value=values, gap=gaps, extra=texts)
def test_data_of_a_client_event_means_the_same(
    value: Any, gap: tuple[str, str], extra: str
) -> None:
    raw = written(value, gap)
    payload = b'{"event":"client-x","channel":"private-x","data":%b,%b:1}' % (raw, written(extra))
    if extra in ("event", "channel", "data"):
        return
    message = decode(payload)
    assert isinstance(message, ClientEvent)
    relayed = events.channel_event(message.event, message.channel, message.data)
    inside = json.loads(relayed)["data"]
    assert isinstance(inside, str)
    if isinstance(value, str):
        assert message.data == raw
        assert inside == value
    else:
        assert json.loads(inside) == value
        assert inside.encode("utf-8", "surrogatepass") == written(json.loads(inside))


@given(value=texts)
def test_the_length_of_a_text_counts_a_surrogate_as_what_replaces_it(value: str) -> None:
    assert text.literal_length(written(value)) == len(substituted(value).encode())


@given(info=values, gap=gaps, raw=st.booleans())
def test_info_can_be_read_by_all_members(info: Any, gap: tuple[str, str], raw: bool) -> None:
    """Whether the backend wrote the surrogates as escapes or raw."""
    inside = (
        json.dumps(info, ensure_ascii=False, separators=gap) if raw else written(info, gap).decode()
    )
    member = decode_member(f'{{"user_id":"1","user_info":{inside}}}')
    assert decode_user(f'{{"id":"1","user_info":{inside}}}').as_member() == member
    frames = [
        events.presence_succeeded(
            "presence-x", [events.MemberEntry(member), events.MemberEntry(Member("2"))]
        ),
        events.member_added("presence-x", "1", member.info),
    ]
    listed, added = (json.loads(json.loads(frame.decode())["data"]) for frame in frames)
    assert listed["presence"]["hash"]["1"] == added["user_info"]
    assert json.dumps(listed, ensure_ascii=False).encode()
    if _has_distinct_names(info):
        assert added["user_info"] == readable(info)


def _has_distinct_names(value: Any) -> bool:
    """Names may become equal when their surrogates are replaced; then the last one wins, as everywhere."""
    match value:
        case list():
            return all(map(_has_distinct_names, value))
        case dict():
            return len({*map(substituted, value)}) == len(value) and all(
                map(_has_distinct_names, value.values())
            )
    return True


@given(name=cut_texts, raw=st.booleans())
def test_ids_are_refused_by_name(name: str, raw: bool) -> None:
    inside = json.dumps(name, ensure_ascii=False) if raw else written(name).decode()
    for decoder, field in ((decode_member, "user_id"), (decode_user, "id")):
        with pytest.raises(InvalidIdentity, match="has a lone surrogate"):
            decoder(f'{{"{field}":{inside}}}')
    watching = decode_user(f'{{"id":"1","watchlist":["a",{inside}]}}')
    assert (watching.watchlist, watching.unwatchable) == (("a",), (name,))


@given(name=cut_texts, channel=texts)
def test_names_of_events_are_refused_by_name(name: str, channel: str) -> None:
    event = written(f"client-{name}")
    with pytest.raises(MessageRejected, match="has a lone surrogate") as caught:
        decode(b'{"event":%b,"channel":%b,"data":1}' % (event, written(channel)))
    told = json.loads(events.error(caught.value.code, caught.value.message, caught.value.channel))
    assert told["channel"] == channel


@given(channel=texts, auth=texts, channel_data=texts)
def test_what_is_checked_against_a_signature_is_what_was_sent(
    channel: str, auth: str, channel_data: str
) -> None:
    fields = {"channel": channel, "auth": auth, "channel_data": channel_data}
    payload = b'{"event":"pusher:subscribe","data":%b}'
    expected = Subscribe(channel, auth, channel_data)
    assert decode(payload % written(fields)) == expected
    stringified = written(written(fields).decode())
    assert decode(payload % stringified) == expected


class Pair(msgspec.Struct):
    """Fields of any value, as in what clients say to the server."""

    a: Any = None
    b: Any = None


pairs = msgspec.json.Decoder(Pair)
#: Puts these anywhere into a document, or nothing.
spoils = st.sampled_from(
    [b"", b"NaN", b"-Infinity", b"1e999", b"1.5", b"\\x", b'"', b",", b"\xff", b"\t"]
)


def outcome(read: Callable[[msgspec.json.Decoder[Pair], bytes], Pair], document: bytes) -> Any:
    """The texts that were read, of others their types; or that it was refused."""
    try:
        found = read(pairs, document)
    except MalformedText:
        return "refused"
    return [each if isinstance(each, str) else type(each) for each in (found.a, found.b)]


@given(a=values, b=cut_texts, spoil=spoils, at=st.integers(0, 60))
@example(a=0, b="\ud83d", spoil=b"1e999", at=5)
def test_values_are_read_by_either_way_alike(a: Any, b: str, spoil: bytes, at: int) -> None:
    """One goes by a copy without surrogates, the other by the standard library."""
    document = written({"a": a, "b": b})
    document = document[:at] + spoil + document[at:]
    assert outcome(text.decode_values, document) == outcome(text.decode, document)


def test_a_number_is_no_name() -> None:
    """Also beside a text that makes the standard library read it."""
    with pytest.raises(SubscriptionRefused, match="must be a string"):
        decode(b'{"event":"pusher:subscribe","data":{"channel":123,"auth":"\\ud83d"}}')
