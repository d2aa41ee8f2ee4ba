"""Things to throw: texts that are nearly JSON, bytes that are nearly something."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.fuzzed_server import GOLDEN
from tests.support.inprocess import KEY

CHANNELS = [
    "c", "private-c", "presence-c", "cache-c", "private-cache-c", "presence-cache-c",
    "private-encrypted-c", "private-encrypted-cache-c", "#server-to-user-1", "#", "private-",
    "private-witness", "", "a b", "x" * 300,
]  # fmt: skip
EVENTS = [
    "pusher:subscribe", "pusher:unsubscribe", "pusher:signin", "pusher:ping", "pusher:pong",
    "pusher:error", "pusher_internal:member_added", "client-x", "client-", "my-event", "",
]  # fmt: skip
NAMES = ["event", "data", "channel", "auth", "channel_data", "user_data", "user_id", "id",
         "user_info", "watchlist", "name", "channels", "batch", "socket_id", "info"]  # fmt: skip

#: Raw JSON, or what only looks like it.
HOSTILE = [
    "NaN", "-Infinity", "1e999999999", "-0", "0.1e-400", "9" * 400, "9" * 4_500, "01", "+1", "1.",
    '"\\ud800"', '"\\udc00\\ud800"', '"a\\uD83D"', '{"\\ud83d":"\\\\\\ude00"}', "[" * 2_000,
    '"\\u0000"', '"\\x"', "'x'", "undefined", "{}{}",
    '{"a":' * 1_500, '"', "\ufeff{}", "nul", "true ", "1e99999999999999999999", '"\u2028"', "[1,]",
]  # fmt: skip

letters = st.characters(codec="utf-8")
texts = st.one_of(
    st.text(letters, max_size=20),
    st.sampled_from([*CHANNELS, *EVENTS, KEY, f"{KEY}:", f"{KEY}:{'0' * 64}", "1.2", "{}", "[]"]),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)


def rendered(value: Any) -> st.SearchStrategy[str]:
    """JSON text of a value."""
    return st.just(json.dumps(value, ensure_ascii=False))


def _object(pairs: list[tuple[str, str]]) -> str:
    """Names may repeat."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}"


#: JSON text of any shape, with hostile pieces anywhere.
json_texts: st.SearchStrategy[str] = st.recursive(
    st.one_of(scalars.flatmap(rendered), st.sampled_from(HOSTILE)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), texts), inner), max_size=5).map(
            _object
        ),
        inner.map(lambda text: json.dumps(text, ensure_ascii=False)),  # stringified once more
    ),
    max_leaves=8,
)


def fields(*required: str) -> st.SearchStrategy[str]:
    """An object with these names, most of the time."""
    pair = st.tuples(st.one_of(st.sampled_from(required), st.sampled_from(NAMES)), json_texts)
    return st.lists(pair, max_size=6).map(_object)


#: Like messages of clients.
messages = st.one_of(
    json_texts,
    st.builds(
        lambda event, data, rest: _object([("event", json.dumps(event)), ("data", data), *rest]),
        st.sampled_from(EVENTS),
        st.one_of(fields("channel", "auth", "channel_data", "user_data"), json_texts),
        st.lists(
            st.tuples(
                st.sampled_from(["channel", "event", "data", "user_id"]),
                st.one_of(st.sampled_from(CHANNELS).map(json.dumps), json_texts),
            ),
            max_size=2,
        ),
    ),
).map(lambda text: text.encode("utf-8", "surrogatepass"))


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of these, with some bytes changed, cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        match draw(st.sampled_from(["change", "cut", "double", "insert", "hostile"])):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del data[at:end]
            case "double":
                data[at:at] = data[at:end]
            case "insert":
                data[at:at] = draw(st.binary(max_size=6))
            case _:
                data[at:end] = draw(st.sampled_from(HOSTILE)).encode()[:1_000]
    return bytes(data)


client_frames = [frame.encode() for frame in GOLDEN["client_frames"]["frames"]]


@st.composite
def cut(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> list[bytes]:
    """The bytes in some segments."""
    whole = draw(data)
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True) if b > a]
