"""The signature of an HTTP API call, checked against plain values.

The signature covers the method, the path and every query parameter but the signature itself,
percent-decoded and sorted. It covers the body through `body_md5`: its value is signed *as it was
sent*, then compared with the body. So all but the digest can be checked before the body is there.

Libraries and proxies disagree about details (prefixes, encoded paths, `+`, lists of values). A
request is first read the ordinary way; only when that fails are other readings tried, at most 24.

The caller does the look-ups and calls, in this order: `parse_query`, `Query.key`, `authorized_app`,
`verify_query`, `verify_body`.
"""

import hashlib
import json
from datetime import UTC, datetime

from pusher_server.app import App
from pusher_server.auth.query import Query, parse_query, readings, signed_paths, string_to_sign
from pusher_server.auth.signatures import is_secret_of, verifies
from pusher_server.errors import AuthenticationError

__all__ = [
    "Query",
    "TimestampExpired",
    "authorized_app",
    "parse_query",
    "string_to_sign",
    "verify",
    "verify_body",
    "verify_query",
]

#: More digits are no Unix time, and `int` is slow on endless ones.
_TIMESTAMP_DIGITS = 15
#: How much of a wrong signature, and of the text that should be signed, is repeated to its sender.
_SHOWN_SIGNATURE = 200
_SHOWN_TEXT = 2_000
_AMBIGUOUS = (
    'A parameter has "&" in it, or "=" in its name: the signature cannot tell it from several parameters.'
    " Put it into the body"
)


class TimestampExpired(AuthenticationError):
    """The clocks are too far apart, or the request is old. `skew` in seconds, positive when old."""

    def __init__(self, message: str, skew: float) -> None:
        super().__init__(message, reason="clock")
        self.skew = skew


def authorized_app(key: str, named: App | None, owner: App | None) -> App:
    """The app that a request with this key may act on.

    `named` is the app whose id stands in the path. `owner` is the app that has the key; it matters
    only when `named` does not have the key. Raises AuthenticationError: 401 for an unknown key, 400
    for the key of another app.
    """
    if named is not None and named.secret_of(key) is not None:
        return named
    if owner is None:
        if named is not None and is_secret_of(named, key):
            raise AuthenticationError("Unknown auth_key", reason="key_is_secret")
        raise AuthenticationError("Unknown auth_key", reason="unknown_key", key=key)
    raise AuthenticationError(
        "Not authorized for that app", status=400, reason="wrong_app", key=key
    )


def verify(
    app: App,
    method: str,
    path: bytes,
    query: Query,
    body: bytes,
    now: float,
    *,
    prefix: str = "",
    tolerance: int = 600,
) -> Query:
    """Check a whole request: `verify_query`, then `verify_body`."""
    query = verify_query(app, method, path, query, now, prefix=prefix, tolerance=tolerance)
    verify_body(query, body)
    return query


def verify_query(
    app: App,
    method: str,
    path: bytes,
    query: Query,
    now: float,
    *,
    prefix: str = "",
    tolerance: int = 600,
) -> Query:
    """Check version, time and signature, in Pusher's order and with its texts.

    `path` is as received, percent-encoded, with `prefix` (the configured one) or without; `now` in Unix
    seconds. Returns the query in the reading that was signed. Raises AuthenticationError,
    TimestampExpired among them.
    """
    secret = app.secret_of(query.key)
    if secret is None:
        raise AuthenticationError("Unknown auth_key", reason="unknown_key")
    version = query.get(b"auth_version")
    if version != b"1.0":
        raise AuthenticationError(
            "Version required" if version is None else "Version not supported", reason="incomplete"
        )
    _check_time(query.get(b"auth_timestamp"), now, tolerance)
    sent = query.get(b"auth_signature")
    if sent is not None:
        if _holds_as_sent(secret, method, path, query.raw, sent):
            return query
        reading = _reading_that_holds(secret, method, path, query, sent, prefix)
        if reading is not None:
            return reading
    text = string_to_sign(method, path, query.pairs)
    if query.ambiguous and sent is not None and verifies(secret, text, sent):
        raise AuthenticationError(_AMBIGUOUS, status=400, reason="invalid")
    raise _refusal(text, sent)


def verify_body(query: Query, body: bytes) -> None:
    """Check the digest over the body as received, before any decoding. Raises AuthenticationError.

    The empty body needs no digest; Python's library sends one all the same, on GET too.
    """
    sent = query.get(b"body_md5")
    if sent is None:
        if body:
            raise AuthenticationError("Missing parameter: body_md5", reason="incomplete")
    elif hashlib.md5(body, usedforsecurity=False).hexdigest().encode() != sent:
        raise AuthenticationError("Invalid body_md5", reason="digest")


def _holds_as_sent(secret: str, method: str, path: bytes, raw: bytes, sent: bytes) -> bool:
    """Whether the query is one as most libraries make it: sorted, nothing encoded, the signature last."""
    if b"%" in raw:
        return False  # the signed text has the decoded escapes, or one text would have two meanings
    signed, mark, last = raw.rpartition(b"&auth_signature=")
    if not mark or last != sent:
        return False  # parameters behind the signature would not be signed
    return verifies(secret, b"%b\n%b\n%b" % (method.encode(), path, signed), sent)


def _check_time(sent: bytes | None, now: float, tolerance: int) -> None:
    if sent is None or not sent.isdigit() or len(sent) > _TIMESTAMP_DIGITS:
        raise AuthenticationError("Timestamp required", reason="incomplete")
    timestamp = int(sent)
    if abs(now - timestamp) >= tolerance:
        raise TimestampExpired(
            f"Timestamp expired: Given timestamp ({_iso(timestamp)}) not within {tolerance}s "
            f"of server time ({_iso(now)})",
            now - timestamp,
        )


def _iso(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # past the year 9999
        return str(int(seconds))


def _reading_that_holds(
    secret: str, method: str, path: bytes, query: Query, sent: bytes, prefix: str
) -> Query | None:
    """The query in the first reading whose signature is `sent`, None when there is none."""
    paths = signed_paths(path, prefix.encode())
    for reading in readings(query):
        for candidate in paths:
            if verifies(secret, string_to_sign(method, candidate, reading.pairs), sent):
                return reading
    return None


def _refusal(text: bytes, sent: bytes | None) -> AuthenticationError:
    """Return an error that shows the text to sign, which helps authors of clients; never the digest."""
    signed = json.dumps(text.decode("utf-8", "replace")[:_SHOWN_TEXT], ensure_ascii=False)
    got = json.dumps(
        (sent or b"").decode("utf-8", "replace")[:_SHOWN_SIGNATURE], ensure_ascii=False
    )
    return AuthenticationError(
        f"Invalid signature: you should have sent HmacSHA256Hex({signed}, your_secret_key), "
        f"but you sent {got}",
        reason="unsigned" if sent is None else "signature",
    )
