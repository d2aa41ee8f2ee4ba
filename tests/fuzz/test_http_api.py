"""Whatever query and body a backend sends, signed well or not: one answer below 500, a line of text or a
JSON object; nothing of ours in the log, and the next client is served.
"""

import gzip
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzzed_server import GOLDEN, FuzzedServer, many
from tests.fuzz.strategies import CHANNELS, fields, json_texts, mutated
from tests.support import wire
from tests.support.inprocess import APP_ID, KEY, SECRET
from tests.support.signing import request_signature, unsigned_query

POSTS = ["/events", "/batch_events", "/channels/c/events", "/users/1/terminate_connections"]
GETS = ["/channels", "/channels/c", "/channels/presence-c", "/channels/presence-c/users",
        "/channels/cache-c", "/channels/c/stats", "/connections"]  # fmt: skip

#: What is said on the paths for load balancers, which a wounded target may become.
UNSIGNED = (b"OK", b"Pong!")

event_texts = fields("name", "channels", "channel", "data", "socket_id", "info")
good = [vector["body"].encode() for vector in GOLDEN["http"]["vectors"] if vector["body"]]
bodies = st.one_of(
    json_texts.map(str.encode),
    event_texts.map(str.encode),
    st.lists(event_texts, max_size=3).map(
        lambda items: f'{{"batch":[{",".join(items)}]}}'.encode()
    ),
    st.builds(
        lambda data, channel: (
            f'{{"name":"e","channel":{json.dumps(channel)},"data":{data}}}'.encode()
        ),
        json_texts,
        st.sampled_from(CHANNELS),
    ),
    mutated(good),
    st.binary(max_size=80),
)
parameters = st.lists(
    st.tuples(
        st.sampled_from(["info", "filter_by_prefix", "name", "channel", "channels[]", "data",
                         "socket_id", "with_user_info", "auth_key", "body_md5", "", "é", "[", "a[b"]),
        st.one_of(
            st.sampled_from(["user_count", "subscription_count,cache", "presence-", "c", "1.2", ""]),
            st.text(st.characters(codec="utf-8"), max_size=10),
        ),
    ),
    max_size=3,
)  # fmt: skip


def query_text(pairs: list[tuple[str, str]], *, plus: bool = False) -> str:
    """As a library writes it, or not quite."""
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    return text.replace("%20", "+") if plus else text


def one_answer(world: FuzzedServer, request: bytes) -> int:
    """Send a complete request; the status."""
    line = world.line()
    try:
        line.send(request)
        status, body = line.answer()
        assert status < 500, body
        if status == 200:
            assert body in UNSIGNED or isinstance(json.loads(body), dict)
        elif status != 202:
            assert body.endswith(b"\n")
            assert body.count(b"\n") == 1
            body.decode()
    finally:
        line.close()
    return status


def request(
    method: str, path: str, body: bytes, query: str, signature: str, **headers: str
) -> bytes:
    """One request of the API."""
    target = f"{path}?{query}&auth_signature={signature}"
    return wire.request(target, method=method, body=body, **headers)


def base_query(body: bytes, extra: str) -> str:
    """What every library sends."""
    return unsigned_query(KEY, body, extra, now=1_353_088_179)


@many
@given(path=st.sampled_from(POSTS), body=bodies, zipped=st.booleans(), extra=parameters)
def test_signed_posts(
    world: FuzzedServer, path: str, body: bytes, zipped: bool, extra: list[tuple[str, str]]
) -> None:
    """Past the signature, everything is still only text."""
    headers = {"Content_Encoding": "gzip"} if zipped else {}
    body = gzip.compress(body, mtime=0) if zipped else body
    full = f"/apps/{APP_ID}{path}"
    query = base_query(body, query_text(extra))
    signature = request_signature(SECRET, "POST", full, query)
    status = one_answer(world, request("POST", full, body, query, signature, **headers))
    assert status in (200, 202, 400, 401, 413), status
    world.is_well()


@many
@given(path=st.sampled_from(GETS), extra=parameters, plus=st.booleans())
def test_signed_gets(
    world: FuzzedServer, path: str, extra: list[tuple[str, str]], plus: bool
) -> None:
    """Any parameters."""
    full = f"/apps/{APP_ID}{path}"
    query = base_query(b"", query_text(extra, plus=plus))
    signature = request_signature(SECRET, "GET", full, query)
    assert one_answer(world, request("GET", full, b"", query, signature)) in (200, 400, 401)
    world.is_well()


@many
@given(
    method=st.sampled_from(["GET", "POST"]),
    name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    tail=st.sampled_from(["", "/users", "/stats", "/events", "/", "//"]),
)
def test_signed_names_in_the_path(world: FuzzedServer, method: str, name: str, tail: str) -> None:
    """Channel names of any letters, percent-encoded."""
    full = f"/apps/{APP_ID}/channels/{quote(name, safe='')}{tail}"
    query = base_query(b"", "")
    signature = request_signature(SECRET, method, full, query)
    status = one_answer(world, request(method, full, b"", query, signature))
    assert status in (200, 202, 400, 404, 405), status
    world.is_well()


vectors = [
    f"{vector['path']}?{vector['query_as_sent']}".encode() for vector in GOLDEN["http"]["vectors"]
]
printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


@many
@given(target=mutated(vectors), body=bodies, method=st.sampled_from(["GET", "POST"]))
def test_captured_requests_with_wounds(
    world: FuzzedServer, target: bytes, body: bytes, method: str
) -> None:
    """Signatures that nearly hold."""
    clean = "".join(chr(byte) for byte in target if 0x20 < byte < 0x7F)
    text = clean if clean.startswith("/") else f"/{clean}"
    status = one_answer(world, wire.request(text, method=method, body=body))
    # 426: a letter is all that makes a WebSocket's path of a path of the API.
    assert status in (200, 202, 400, 401, 403, 404, 405, 413, 415, 426), status
    world.is_well()


@many
@given(query=st.text(printable, max_size=80), body=bodies)
def test_unsigned_queries(world: FuzzedServer, query: str, body: bytes) -> None:
    """Nothing signed gets nowhere."""
    target = f"/apps/{APP_ID}/events?{query}"
    assert one_answer(world, wire.request(target, method="POST", body=body)) in (400, 401)
    world.is_well()
