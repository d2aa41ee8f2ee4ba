"""Whatever bytes arrive where HTTP is expected: answers with a status below 500, then the end; nothing of
ours in the log, and the next client is served.
"""

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzzed_server import FuzzedServer, many
from tests.fuzz.strategies import cut, mutated
from tests.support import wire
from tests.support.frames import TEXT
from tests.support.inprocess import KEY

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")
BODY = b'{"name":"e","channel":"c","data":"{}"}'

originals = [
    wire.request("/up"),
    wire.request("/up", method="HEAD"),
    wire.request("/apps/3/channels?info=user_count&filter_by_prefix=presence-"),
    wire.request("/apps/3/events?auth_key=x", method="POST", body=BODY),
    wire.request("/apps/3/events", method="POST", Transfer_Encoding="chunked")
    + b"5\r\nabcde\r\n0\r\nX: y\r\n\r\n",
    wire.request("/apps/3/events", method="POST", body=BODY, Expect="100-continue"),
    wire.request("/apps/3/events", method="POST", body=BODY, Content_Encoding="gzip"),
    wire.request("/up", Connection="Upgrade", Upgrade="h2c"),
    wire.upgrade(f"/app/{KEY}{wire.QUERY}"),
    wire.upgrade(f"/app/{KEY}", Sec_WebSocket_Protocol="a, pusher-channels-protocol-7"),
    wire.upgrade("http://localhost/app/x"),
    wire.upgrade("//[/app/x"),
    wire.upgrade("/app/x", Origin="https://[::1", Cookie="a=b; c"),
    wire.request("/apps/3/channels/presence-%23%ff/users"),
    wire.request("//[::/up?%"),
]
tokens = st.sampled_from(
    ["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "PRI", "/", "*", "/up", "/apps/3/events", "//[",
     "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", ":", ": ", "\r\n", "\n", "\r\n\r\n", "Host", "Upgrade",
     "websocket", "h2c", "Connection", "close", "Content-Length", "Transfer-Encoding", "chunked",
     "Sec-WebSocket-Key", "Expect", "100-continue", "0", "-1", "5", "\x00", "\xff", " ", "\t", "?",
     "%", "&", "=", "#", "x" * 9_000]
).map(lambda token: token.encode("latin-1"))  # fmt: skip
streams = st.one_of(
    st.lists(mutated(originals), min_size=1, max_size=4).map(b"".join),
    st.lists(tokens, max_size=20).map(b"".join),
    st.binary(max_size=200),
)


def is_answered(world: FuzzedServer, segments: list[bytes]) -> None:
    """The client ends its side, the server the rest."""
    line = world.line()
    try:
        line.send(*segments)
        line.finish()
        said = line.to_the_end()
        statuses = [int(status) for status in STATUS.findall(said)]
        assert all(status < 500 for status in statuses), said
        assert not said or said.startswith(b"HTTP/1.1 "), said
        assert b"Internal error" not in said
    finally:
        line.close()
    world.is_well()


@many
@given(segments=cut(streams))
def test_any_bytes_on_a_new_connection(world: FuzzedServer, segments: list[bytes]) -> None:
    """Requests with wounds, heaps of tokens, noise."""
    is_answered(world, segments)


@many
@given(segments=cut(streams))
def test_any_bytes_after_a_good_request(world: FuzzedServer, segments: list[bytes]) -> None:
    """What a connection has behind it makes no difference."""
    is_answered(world, [wire.request("/ping"), *segments])


targets = st.one_of(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60).map("/".__add__),
    st.text("/[]@:?#%.\\", max_size=6).map("/".__add__),
    st.lists(
        st.sampled_from(
            ["app", "apps", "3", "channels", "events", "users", "", ".", "..", "%2e", "%2F", "[",
             "%", "%ff", "%00", "c", "presence-c", "terminate_connections", ";", "#", KEY]
        ),
        max_size=7,
    ).map(lambda parts: "/" + "/".join(parts)),
)  # fmt: skip
queries = st.text(st.sampled_from("protocol=7&?%+[]12.aféÿ"), max_size=40)


@many
@given(target=targets, query=queries, method=st.sampled_from(["GET", "POST", "HEAD", "DELETE"]))
def test_any_target(world: FuzzedServer, target: str, query: str, method: str) -> None:
    """A complete request gets exactly one answer, and one that is no fault of ours."""
    line = world.line()
    try:
        line.send(wire.request(f"{target}?{query}", method=method, Connection="close"))
        said = line.to_the_end()
        (status,) = STATUS.findall(said)
        assert int(status) < 500, said
    finally:
        line.close()
    world.is_well()


@many
@given(target=targets, query=queries, headers=st.dictionaries(
    st.sampled_from(["Origin", "X_Forwarded_For", "X_Forwarded_Proto", "Sec_WebSocket_Protocol",
                     "Sec_WebSocket_Key", "Sec_WebSocket_Version", "Sec_WebSocket_Extensions",
                     "Upgrade", "Connection", "Cookie"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"),
            max_size=20),
))  # fmt: skip
def test_any_upgrade(world: FuzzedServer, target: str, query: str, headers: dict[str, str]) -> None:
    """A WebSocket, a refusal in frames (400x), or an HTTP error below 500."""
    line = world.line()
    try:
        line.send(wire.upgrade(f"{target}?{query}", **headers))
        head = line.head()
        status = int(head.split(b" ", 2)[1])
        assert status < 500, head
        if status == 101:
            opcode, payload = line.frame()
            assert opcode == TEXT
            assert (b"connection_established" in payload) or (b'"code":400' in payload), payload
    finally:
        line.close()
    world.is_well()
