"""Guesses which part of the text of a request to the API was signed otherwise; see `signed_text`."""

from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote_to_bytes

from pusher_server.app import App, AppKey
from pusher_server.auth.query import Pair, Query, string_to_sign
from pusher_server.auth.signatures import verifies
from pusher_server.diagnosis.evidence import Guess
from pusher_server.diagnosis.printable import quoted
from pusher_server.diagnosis.signed_text import GUESSES, LONGEST, SPOILT_SECRETS

#: The parameters that every library signs.
_SIGNED = (b"auth_key", b"auth_timestamp", b"auth_version", b"body_md5")

#: A secret, a method, a path, parameters, and the guess that holds if these were signed.
Trial = tuple[str, str, bytes, list[Pair], Guess]


def of_request(app: App, method: str, path: bytes, query: Query, prefix: str) -> Guess | None:
    """Return the part that differs; None when the request has no signature of one of the app's keys."""
    pair, sent = app.pair_of(query.key), query.get(b"auth_signature")
    if pair is None or sent is None:
        return None
    if len(path) + len(query.raw) <= LONGEST and len(sent) == 64:
        trials = _trials(app, pair, method, path, query, prefix)
        for secret, signed_method, signed_path, pairs, guess in islice(trials, GUESSES):
            if verifies(secret, string_to_sign(signed_method, signed_path, pairs), sent):
                return guess
    return Guess("signed_otherwise")


def _trials(
    app: App, pair: AppKey, method: str, path: bytes, query: Query, prefix: str
) -> Iterator[Trial]:
    secret, pairs = pair.secret, query.pairs
    for candidate in _paths(path, prefix, app.id):
        shown = quoted(candidate.decode("utf-8", "replace"))
        yield secret, method, candidate, pairs, Guess("signed_path", other=shown)
    yield pair.key, method, path, pairs, Guess("signed_with_key")
    for form, how in SPOILT_SECRETS:
        yield form.format(secret), method, path, pairs, Guess("signed_secret", other=how)
    for other in app.keys[:3]:
        if other.key != pair.key:
            guess = Guess("signed_key", key=pair.key, other=other.key)
            yield other.secret, method, path, pairs, guess
    other_method = "POST" if method != "POST" else "GET"
    yield secret, other_method, path, pairs, Guess("signed_method", other=other_method)
    added = [name for name, _ in pairs if name not in (*_SIGNED, b"auth_signature")]
    if added:
        names = ", ".join(quoted(name.decode("utf-8", "replace")) for name in added[:3])
        known = [row for row in pairs if row[0] in _SIGNED]
        guess = Guess("signed_query", other=f"it was signed without the parameter {names}")
        yield secret, method, path, known, guess
    without = [row for row in pairs if row[0] != b"body_md5"]
    if len(without) != len(pairs):
        guess = Guess("signed_query", other="body_md5 was added after it was signed")
        yield secret, method, path, without, guess


def _paths(path: bytes, prefix: str, app_id: str) -> Iterator[bytes]:
    """Yield paths that are signed by mistake, 8 at most: with or without a part before `/apps/`."""
    start = path.find(b"/apps/")
    candidates = [
        path[start:] if start > 0 else b"",
        path.rstrip(b"/"),
        path + b"/",
        b"/app" + path,
        f"/{prefix.strip('/')}".encode() + path if prefix else b"",
        unquote_to_bytes(path),
        path.removeprefix(b"/"),
        f"/apps/{app_id}/events".encode(),
    ]
    seen = {path, b""}
    for candidate in candidates:
        if candidate not in seen:
            seen.add(candidate)
            yield candidate
