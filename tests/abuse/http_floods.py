"""Floods of HTTP by somebody without a secret."""

from collections.abc import Iterator

from tests.abuse.flood import APP_ID, AT_A_TIME, KEY, Flood, Manner, repeated
from tests.support.wire import QUERY, request, upgrade

_EVENTS = f"/apps/{APP_ID}/events"
_QUERY = (
    f"?auth_key={KEY}&auth_timestamp=1700000000&auth_version=1.0&body_md5={'0' * 32}"
    f"&auth_signature={'0' * 64}"
)
_EVENT = b'{"name":"x","channel":"x","data":"{}"}'
#: Slow connections that one stranger keeps.
_SLOW = 200


def _post(target: str, body: bytes = _EVENT, **headers: str) -> bytes:
    return request(target, method="POST", body=body, Content_Type="application/json", **headers)


def _chunked_head(target: str) -> bytes:
    return request(target, method="POST", Transfer_Encoding="chunked")


def http_floods() -> Iterator[Flood]:
    """All of them."""
    unsigned, get = _post(_EVENTS), request("/")
    yield Flood("POST /events", "pipelined, unsigned, answers read", repeated(unsigned))
    yield Flood("POST /events, unread", "answers are not read", repeated(unsigned), reads=False)
    yield Flood(
        "POST, wrong signature", "pipelined, answers read", repeated(_post(_EVENTS + _QUERY))
    )
    yield Flood(
        "POST, unknown app",
        "pipelined, answers read",
        repeated(_post("/apps/nobody/events" + _QUERY)),
    )
    yield Flood(
        "POST, gzip",
        "the long way: an encoded body",
        repeated(_post(_EVENTS, Content_Encoding="gzip")),
    )
    yield Flood("GET /", "pipelined, answers read", repeated(get))
    yield Flood("GET /, unread", "answers are not read", repeated(get), reads=False)
    yield Flood(
        "GET channels", "wrong signature", repeated(request(f"/apps/{APP_ID}/channels{_QUERY}"))
    )
    yield Flood("not found", "GET of a path that is none", repeated(request("/nothing")))
    yield Flood(
        "HTTP/2 offered",
        "GET / that offers h2c",
        repeated(
            request("/", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="")
        ),
    )
    yield Flood(
        "Expect",
        "POST that waits for 100 Continue",
        repeated(_post(_EVENTS, Expect="100-continue")),
    )
    yield from _head_floods()
    yield from _body_floods()
    yield from _upgrade_floods()


def _head_floods() -> Iterator[Flood]:
    begun = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    yield Flood("headers, fast", "header lines without end", repeated(b"a: b\r\n"), head=begun)
    yield Flood("long header", "one header without end", repeated(b"a"), head=begun + b"a: ")
    yield Flood("empty lines", "line breaks instead of a request", repeated(b"\r\n"))
    yield Flood(
        "headers, slow",
        f"{_SLOW} connections, a byte now and then",
        begun + b"a: " + b"b" * 4_000,
        Manner.DRIBBLE,
        connections=_SLOW,
    )
    many = b"".join(b"h%d: v\r\n" % number for number in range(90))
    yield Flood("many headers", "GET / with 90 headers", repeated(begun + many + b"\r\n"))


def _body_floods() -> Iterator[Flood]:
    head = _chunked_head(_EVENTS)
    yield Flood("1-byte chunks", "a body without end", repeated(b"1\r\na\r\n"), head=head)
    extended = b"1;" + b"e" * 200 + b"\r\na\r\n"
    yield Flood(
        "chunk extensions", "200 bytes for each of the body's", repeated(extended), head=head
    )
    yield Flood("trailers", "without end", repeated(b"t: t\r\n"), head=head + b"1\r\na\r\n0\r\n")
    large = request(_EVENTS, method="POST", Content_Length="10000000")
    yield Flood("large bodies", "10 MB each, unsigned", large + b"x" * 10_000_000)
    yield Flood(
        "small chunked bodies", "POST in 1-byte chunks, pipelined",
        repeated(head + b"".join(b"1\r\n%c\r\n" % each for each in _EVENT) + b"0\r\n\r\n"),
    )  # fmt: skip


def _upgrade_floods() -> Iterator[Flood]:
    unknown = upgrade(f"/app/nobody{QUERY}")
    yield Flood(
        "upgrades, unknown key", "each refused with 4001", unknown, Manner.CHURN, waits=True
    )
    wrong = upgrade(f"/app/{KEY}{QUERY}", Sec_WebSocket_Version="8")
    yield Flood(
        "upgrades, wrong version",
        "each refused with 426",
        wrong,
        Manner.CHURN,
        waits=True,
        connections=AT_A_TIME,
    )
    long = upgrade(f"/app/{KEY}{QUERY}" + "&a=b" * 15_000)
    yield Flood("upgrades, long query", "60 kB of parameters", long, Manner.CHURN, waits=True)
    good = upgrade(f"/app/{KEY}{QUERY}")
    yield Flood(
        "WebSocket connects",
        "established and cut",
        good,
        Manner.CHURN,
        waits=True,
        connections=AT_A_TIME,
    )
