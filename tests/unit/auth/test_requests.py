"""Signed API calls: golden vectors, the order of the checks, all readings of a request.

See docs/protocol/signatures.md#api and docs/protocol/signatures.md#api-readings.
"""

import hashlib
from itertools import chain, product
from typing import Any
from urllib.parse import quote

import pytest

from pusher_server.app import App, AppKey
from pusher_server.auth.query import readings
from pusher_server.auth.requests import (
    Query,
    TimestampExpired,
    authorized_app,
    parse_query,
    string_to_sign,
    verify,
)
from pusher_server.auth.signatures import sign
from pusher_server.errors import AuthenticationError
from tests.unit.auth.golden import APP, KEY, NOW, SECRET, VECTORS, rejects

BODY = b'{"name":"e"}'
MD5 = hashlib.md5(BODY).hexdigest()
OTHER = App(id="9", keys=(AppKey(key="other", secret="s"),))


def check(vector: dict[str, Any], now: float) -> None:
    """What the API does with a request: find the app, then verify."""
    query = parse_query(vector["query_as_sent"].encode())
    key = query.key
    owner = APP if APP.secret_of(key) else None
    named = APP if vector["path"].startswith("/apps/3/") else owner
    app = authorized_app(key, named, owner)
    body = (vector["body"] or "").encode()
    verify(app, vector["method"], vector["path"].encode(), query, body, now)


@pytest.mark.parametrize("vector", VECTORS["http"]["vectors"], ids=lambda v: v["signature"][:8])
def test_h1_golden_vectors_are_accepted(vector: dict[str, Any]) -> None:
    """H1: what Node, Python and PHP send."""
    check(vector, NOW)


@pytest.mark.parametrize("vector", VECTORS["http"]["vectors"], ids=lambda v: v["signature"][:8])
def test_golden_string_to_sign(vector: dict[str, Any]) -> None:
    """The ordinary reading is the library's own, no other one is needed."""
    pairs = parse_query(vector["query_as_sent"].encode()).pairs
    text = string_to_sign(vector["method"], vector["path"].encode(), pairs)
    assert text.decode() == vector["string_to_sign"]


@pytest.mark.parametrize("vector", VECTORS["edge"]["accept"], ids=lambda v: v["why"])
def test_h1_edge_vectors_are_accepted(vector: dict[str, Any]) -> None:
    """H1: 599 s, and parameters in any order."""
    check(vector, vector["clock_now"])


@pytest.mark.parametrize("vector", rejects("http"), ids=lambda v: v["why"])
def test_h2_edge_vectors_are_rejected(vector: dict[str, Any]) -> None:
    """H2: each with its status."""
    with pytest.raises(AuthenticationError) as caught:
        check(vector, vector["clock_now"])
    assert caught.value.status == vector["status"]


def signed(
    method: str = "POST",
    path: str = "/apps/3/events",
    *,
    own: str = "",
    signed_own: str | None = None,
    secret: str = SECRET,
    standard: dict[str, str | None] | None = None,
) -> bytes:
    """A query: the standard parameters (None leaves one out) and `own` ones as they are sent.

    `signed_own` is the text that the library signs for them; it sorts after the standard ones.
    """
    values: dict[str, str | None] = {
        "auth_key": KEY,
        "auth_timestamp": str(NOW),
        "auth_version": "1.0",
        "body_md5": MD5 if method == "POST" else None,
    }
    parts = [f"{k}={v}" for k, v in (values | (standard or {})).items() if v is not None]
    said = [*parts, own if signed_own is None else signed_own]
    text = f"{method}\n{path}\n" + "&".join(part for part in said if part)
    signature = sign(secret, text.encode())
    return "&".join([*parts, f"auth_signature={signature}", *([own] if own else [])]).encode()


def accept(
    raw: bytes, method: str = "POST", path: str = "/apps/3/events", prefix: str = ""
) -> Query:
    body = BODY if method == "POST" else b""
    return verify(APP, method, path.encode(), parse_query(raw), body, NOW, prefix=prefix)


def refusal(raw: bytes, body: bytes = BODY, now: float = NOW) -> str:
    with pytest.raises(AuthenticationError) as caught:
        verify(APP, "POST", b"/apps/3/events", parse_query(raw), body, now)
    assert caught.value.status == 401
    return caught.value.message


def test_key_is_checked_first() -> None:
    """Missing, unknown, and of another app: each has its text and status."""
    with pytest.raises(AuthenticationError, match=r"^Missing parameter: auth_key$") as missing:
        _ = parse_query(b"auth_version=1.0").key
    with pytest.raises(AuthenticationError, match=r"^Unknown auth_key$") as unknown:
        authorized_app("nobody", APP, None)
    with pytest.raises(AuthenticationError, match=r"^Not authorized for that app$") as foreign:
        authorized_app("other", APP, OTHER)
    with pytest.raises(AuthenticationError, match=r"^Not authorized for that app$"):
        authorized_app("other", None, OTHER)
    assert [e.value.status for e in (missing, unknown, foreign)] == [401, 401, 400]
    assert authorized_app(KEY, APP, None) is APP


def test_verify_checks_the_key_itself() -> None:
    """Whoever forgets the look-up gets no further."""
    with pytest.raises(AuthenticationError, match="Unknown auth_key"):
        verify(OTHER, "POST", b"/apps/9/events", parse_query(signed()), BODY, NOW)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"auth_version": None}, "Version required"),
        ({"auth_version": "1.1"}, "Version not supported"),
        ({"auth_version": ""}, "Version not supported"),
        ({"auth_timestamp": None}, "Timestamp required"),
        ({"auth_timestamp": ""}, "Timestamp required"),
        ({"auth_timestamp": "soon"}, "Timestamp required"),
        ({"auth_timestamp": "-5"}, "Timestamp required"),
        ({"auth_timestamp": "1353088179.0"}, "Timestamp required"),
        ({"auth_timestamp": "9" * 5_000}, "Timestamp required"),
        ({"body_md5": None}, "Missing parameter: body_md5"),
        ({"body_md5": "0" * 32}, "Invalid body_md5"),
        ({"body_md5": MD5.upper()}, "Invalid body_md5"),
    ],
)
def test_texts_of_well_signed_requests(changes: dict[str, str | None], text: str) -> None:
    """Each check speaks for itself, also when the signature holds."""
    assert refusal(signed(standard=changes)) == text


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (b"auth_key=%s" % KEY.encode(), "Version required"),
        (b"auth_key=%s&auth_version=1.0" % KEY.encode(), "Timestamp required"),
        (b"auth_key=%s&auth_version=1.0&auth_timestamp=1" % KEY.encode(), "Timestamp expired"),
        (b"auth_key=%s&auth_version=1.0&auth_timestamp=%d" % (KEY.encode(), NOW), "Invalid sig"),
    ],
)
def test_order_of_checks(broken: bytes, text: str) -> None:
    """The first thing that is wrong is named, in Pusher's order."""
    assert refusal(broken).startswith(text)


@pytest.mark.parametrize("skew", [-599.9, -599, 0, 599, 599.9])
def test_h3_within_the_window(skew: float) -> None:
    """H3: 599 s passes, either way."""
    verify(APP, "POST", b"/apps/3/events", parse_query(signed()), BODY, NOW + skew)


@pytest.mark.parametrize("skew", [-601, -600, 600, 601])
def test_h3_outside_of_the_window(skew: float) -> None:
    """H3: 600 s fails, either way."""
    assert refusal(signed(), now=NOW + skew).startswith("Timestamp expired")


def test_expired_says_both_times_and_the_skew() -> None:
    """Pusher's text; who runs the server with a wrong clock must see it."""
    with pytest.raises(TimestampExpired) as caught:
        verify(
            APP, "POST", b"/apps/3/events", parse_query(signed()), BODY, NOW + 700, tolerance=650
        )
    assert caught.value.message == (
        "Timestamp expired: Given timestamp (2012-11-16T17:49:39Z) not within 650s "
        "of server time (2012-11-16T18:01:19Z)"
    )
    assert caught.value.skew == 700


def test_expired_beyond_the_calendar() -> None:
    """A time that no date has is shown as the number that it is."""
    assert "(999999999999999)" in refusal(signed(standard={"auth_timestamp": "9" * 15}))


def test_invalid_signature_shows_the_text_but_no_digest() -> None:
    """Whoever writes a client sees what to sign; nobody sees the signature or the secret."""
    raw = signed(secret="wrong")
    message = refusal(raw)
    sent = parse_query(raw).get(b"auth_signature")
    assert sent is not None
    assert message == (
        'Invalid signature: you should have sent HmacSHA256Hex("POST\\n/apps/3/events\\n'
        f'auth_key={KEY}&auth_timestamp={NOW}&auth_version=1.0&body_md5={MD5}", your_secret_key), '
        f'but you sent "{sent.decode()}"'
    )
    right = parse_query(signed()).get(b"auth_signature")
    assert right is not None
    assert right.decode() not in message
    assert SECRET not in message


@pytest.mark.parametrize("sent", ["%FF", "%C3%A9", "x" * 5_000, ""])
def test_any_signature_text_is_only_wrong(sent: str) -> None:
    """Bytes that are no text, and endless ones, are a refusal like any other (trap 35)."""
    raw = signed(standard={"auth_signature": None}) + f"&auth_signature={sent}".encode()
    message = refusal(raw)
    assert message.startswith("Invalid signature")
    assert len(message) < 700


def test_empty_body_with_or_without_digest() -> None:
    """Python's library sends the digest of nothing on GET and signs it; others send none."""
    accept(signed("GET"), "GET")
    accept(signed("GET", standard={"body_md5": hashlib.md5(b"").hexdigest()}), "GET")
    assert refusal(signed(), body=b"") == "Invalid body_md5"


def test_digest_is_over_the_bytes_as_received() -> None:
    """Whitespace counts: the body is not parsed before it is hashed (trap 30)."""
    assert refusal(signed(), body=BODY + b"\n") == "Invalid body_md5"


@pytest.mark.parametrize(
    ("own", "signed_own"),
    [
        ("info=a%2Cb", "info=a,b"),
        ("info=a,b", "info=a,b"),
        ("q=%E4%B8%96%20x", "q=世 x"),
        ("name=a%2Bb", "name=a+b"),
        ("name=a+b", "name=a+b"),
        ("name=a+b", "name=a b"),
        ("name=a+b%2Bc", "name=a b+c"),
        ("Info=A", "info=A"),
        ("flag", "flag="),
        ("empty=", "empty="),
        ("k[]=b&k[]=a", "k[]=b&k[]=a"),
        ("k%5B%5D=b&k%5B%5D=a", "k[]=b&k[]=a"),
        ("k%5B0%5D=b&k%5B1%5D=a", "k=b,a"),
        ("k[]=b+c&k[]=a", "k=b c,a"),
        ("k=b&k=a", "k=b&k=a"),
        ("info-x=1&info=2", "info=2&info-x=1"),
        ("info=b&info=a", "info[]=b&info[]=a"),
        ("info=a", "info[]=a"),
        ("filter_by_prefix=p-&info=a&info=b", "filter_by_prefix=p-&info[]=a&info[]=b"),
    ],
)
def test_ways_to_write_parameters(own: str, signed_own: str) -> None:
    """Decoded for signing; `+` and lists in each reading that a library has."""
    accept(signed("GET", own=own, signed_own=signed_own), "GET")


def test_the_reading_that_was_signed_is_returned() -> None:
    """An endpoint sees blanks where blanks were signed."""
    assert accept(signed("GET", own="name=a+b"), "GET").get(b"name") == b"a+b"
    raw = signed("GET", own="name=a+b%2Bc", signed_own="name=a b+c")
    assert accept(raw, "GET").get(b"name") == b"a b+c"


def test_a_list_that_ruby_signs_is_read_as_a_list() -> None:
    """Its library signs `info[]=…` for each value and sends `info=…` (pusher-http-ruby 2.1.0)."""
    raw = signed("GET", own="info=b&info=a", signed_own="info[]=b&info[]=a")
    assert accept(raw, "GET").listed(b"info") == [b"b", b"a"]


#: What one text can be spelled as, or might be taken for.
SPELLINGS = [
    "info=a",
    "info=b",
    "Info=a",
    "info=a,b",
    "info=a%2Cb",
    "info=a%252Cb",
    "info[]=a",
    "info%5B0%5D=b",
    "info%5b%5d=a%2Cb",
    "info=a%26k=b",
    "info=a%26k",
    "info%3Da=",
    "info%3Da",
    "info",
    "k",
    "k=b",
    "k=b%26",
    "k=%3D",
    "k%3D=",
    "k=a+b",
    "k=a%20b",
    "k=a%2Bb",
    "k[]=b",
    "channels=a,b",
    "channels[]=a",
    "channels[]=b",
    "channels%5B%5D=a%2Cb",
    "filter_by_prefix=x",
    "filter_by_prefix[]=x",
    "filter_by_prefix[0]=x",
    "filter_by_prefix%5B%5D=x",
    "filter_by_prefix=x%26info=a",
    "filter%5Fby%5Fprefix=x",
]


def test_one_signed_text_has_one_meaning() -> None:
    """Whatever a query is respelled to: while its signature holds, endpoints read the same from it."""
    meanings: dict[str, tuple[str, Any]] = {}
    for own in map("&".join, chain.from_iterable(product(SPELLINGS, repeat=n) for n in (1, 2, 3))):
        query = parse_query(own.encode())
        for reading in readings(query):
            text = string_to_sign("GET", b"/", reading.pairs).decode()
            _, known = meanings.setdefault(text, (own, meaning(reading)))
            assert meaning(reading) == known, (own, meanings[text][0], text)
        if "%" not in own:  # taken as it was sent
            _, known = meanings.setdefault(f"GET\n/\n{own}", (own, meaning(query)))
            assert meaning(query) == known, (own, meanings[f"GET\n/\n{own}"][0])


def meaning(query: Query) -> Any:
    """What the endpoints read; the order of a list means nothing to them."""
    return (
        set(b",".join(query.listed(b"info")).split(b",")),
        set(query.listed(b"channels")),
        query.get(b"filter_by_prefix"),
        query.get(b"k"),
    )


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("filter_by_prefix=presence-", "filter_by_prefix[]=presence-"),
        ("filter_by_prefix=presence-", "filter_by_prefix%5B0%5D=presence-"),
        ("with_user_info=1", "with_user_info[]=1"),
    ],
)
def test_a_parameter_that_is_respelled_as_a_list_is_read_all_the_same(
    said: str, changed: str
) -> None:
    name, _, value = said.encode().partition(b"=")
    assert accept(signed("GET", own=changed, signed_own=said), "GET").get(name) == value


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("filter_by_prefix=x&info=a", "filter_by_prefix=x%26info=a"),
        ("filter_by_prefix=x%2Cy", "filter_by_prefix=x%2Cy"),
        ("channels=a,b", "channels[]=a&channels[]=b"),
        ("filter_by_prefix=x=", "filter_by_prefix%3Dx="),
    ],
    ids=["hidden", "signed with its escapes", "a channel cut at its comma", "another name"],
)
def test_a_respelling_that_changes_the_meaning_is_refused(said: str, changed: str) -> None:
    with pytest.raises(AuthenticationError):
        accept(signed("GET", own=changed, signed_own=said), "GET")


def test_an_honest_separator_in_a_value_is_refused_with_the_reason() -> None:
    """Pusher's text to sign does not tell `name=a%26b=c` from `name=a&b=c`."""
    with pytest.raises(AuthenticationError, match="cannot tell it from several") as caught:
        accept(signed("GET", own="name=a%26b=c", signed_own="name=a&b=c"), "GET")
    assert caught.value.status == 400
    with pytest.raises(AuthenticationError, match=r"^Invalid signature"):
        accept(signed("GET", own="name=a%26b=c", secret="wrong"), "GET")


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("/apps/3/channels/a/users", "/apps/3/channels/a%2Fusers"),
        ("/apps/3/channels/a%41", "/apps/3/channels/a%2541"),
        ("/apps/3/channels/a\n", "/apps/3/channels/a%0A"),
    ],
)
def test_a_respelled_path_that_means_something_else_is_refused(said: str, changed: str) -> None:
    """The signature is blind to escapes in the path only where they change nothing."""
    with pytest.raises(AuthenticationError):
        accept(signed("GET", said), "GET", changed)


@pytest.mark.parametrize(
    "changed",
    [
        lambda raw: raw + b"&info=user_count",
        lambda raw: raw.replace(b"body_md5=", b"body_md5[]="),
        lambda raw: raw.replace(b"auth_timestamp=", b"auth_timestamp[]="),
        lambda raw: raw.replace(b"auth_version=1.0", b"auth_version=1.0&auth_version=1.0"),
        lambda raw: raw + b"&auth_key=" + KEY.encode(),
        lambda raw: raw + b"&body_md5=" + MD5.encode(),
    ],
)
def test_changed_after_signing(changed: Any) -> None:
    """No other reading lets a parameter be added, repeated or disguised."""
    refusal(changed(signed()))


def test_disguised_digest_does_not_free_the_body() -> None:
    """`body_md5[]` must not be signed as `body_md5` and then be overlooked."""
    raw = signed().replace(b"body_md5=", b"body_md5[]=")
    assert refusal(raw, body=b"").startswith("Invalid signature")


@pytest.mark.parametrize("received", ["/apps/3/events", "/ws/apps/3/events"])
@pytest.mark.parametrize("said", ["/apps/3/events", "/ws/apps/3/events"])
def test_h13_path_prefix(received: str, said: str) -> None:
    """H13: PHP signs without its `path` option; proxies strip or add prefixes."""
    accept(signed("GET", said), "GET", received, prefix="/ws")


def test_other_prefix_is_refused() -> None:
    """Only the configured prefix is tried."""
    with pytest.raises(AuthenticationError):
        accept(signed("GET", "/x/apps/3/events"), "GET", "/apps/3/events", prefix="/ws")


@pytest.mark.parametrize("prefix", ["/app", "/apps", "/apps/3"])
@pytest.mark.parametrize("added", [False, True])
def test_a_prefix_that_looks_like_the_api(prefix: str, added: bool) -> None:
    """Signed with or without it, received with or without it."""
    for received in ("/apps/3/events", prefix + "/apps/3/events"):
        accept(signed("GET", (prefix if added else "") + "/apps/3/events"), "GET", received, prefix)


@pytest.mark.parametrize("said", ["presence-a=b,c;d@e", quote("presence-a=b,c;d@e", safe="")])
@pytest.mark.parametrize("prefix", ["", "/ws"])
def test_encoded_path(said: str, prefix: str) -> None:
    """A library signs the path before or after it encodes it."""
    received = "/apps/3/channels/" + quote("presence-a=b,c;d@e", safe="")
    accept(signed("GET", f"/apps/3/channels/{said}"), "GET", prefix + received, prefix=prefix)


def test_trailing_slash_is_signed_as_received() -> None:
    """Routing ignores it, the signature does not."""
    accept(signed("GET", "/apps/3/channels/"), "GET", "/apps/3/channels/")


def test_any_of_the_apps_keys_signs() -> None:
    """Several keys: each with its own secret."""
    app = App(id="3", keys=(AppKey(key="new", secret="s"), AppKey(key=KEY, secret=SECRET)))
    verify(app, "POST", b"/apps/3/events", parse_query(signed()), BODY, NOW)
    raw = signed(standard={"auth_key": "new"}, secret="s")
    verify(app, "POST", b"/apps/3/events", parse_query(raw), BODY, NOW)
    raw = signed(standard={"auth_key": "new"})
    with pytest.raises(AuthenticationError):
        verify(app, "POST", b"/apps/3/events", parse_query(raw), BODY, NOW)


def test_query_reading() -> None:
    """Names are in lower case, the last of a repeated one counts, lists keep their order."""
    query = parse_query(b"A=1&&a=2&list[]=x&list%5B1%5D=y&list=z&lists=no&=v&%FF=%FE")
    assert query.get(b"a") == b"2"
    assert query.get(b"missing") is None
    assert query.listed(b"list") == [b"x", b"y", b"z"]
    assert query.pairs[-1] == (b"\xff", b"\xfe")
    assert parse_query(b"").pairs == []


def test_key_that_is_no_text() -> None:
    """Broken UTF-8 in a key is an unknown key, not an exception."""
    key = parse_query(b"auth_key=%FF").key
    with pytest.raises(AuthenticationError, match="Unknown auth_key"):
        authorized_app(key, APP, None)


def test_more_parameters_than_any_library_sends_are_refused() -> None:
    """Each reading of a wrongly signed query costs time for every one of them."""
    assert len(parse_query(b"&".join([b"channels[]=a"] * 200)).pairs) == 200
    with pytest.raises(AuthenticationError) as caught:
        parse_query(b"a&" * 201)
    assert caught.value.status == 400


def test_a_long_query_is_not_repeated_whole_to_its_sender() -> None:
    query = (
        f"auth_key={KEY}&auth_timestamp={NOW}&auth_version=1.0&auth_signature=x&a={'b' * 50_000}"
    )
    with pytest.raises(AuthenticationError) as caught:
        verify(APP, "GET", b"/apps/3/channels", parse_query(query.encode()), b"", NOW)
    assert len(caught.value.message) < 3_000
