"""Guesses which part of the text of a subscription or a sign-in was signed otherwise.

At most 16 texts are signed for one refusal, and a budget bounds the refusals. The answer names the part, for
the operator alone: it has no digest and no secret, and clients never get it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from pusher_server.app import App, AppKey
from pusher_server.auth.signatures import verifies_text
from pusher_server.diagnosis.channel_names import PREFIXES, parts_of
from pusher_server.diagnosis.evidence import Guess
from pusher_server.diagnosis.printable import quoted

#: Signatures that are made for one refusal.
GUESSES = 16
#: Former connections of the client's address that are tried.
SOCKETS = 5
#: Longer texts are not signed again.
LONGEST = 10_000
#: A secret with a character too many, as `.env` files have it, and how the sentence calls that.
SPOILT_SECRETS = (
    ("{} ", "a blank behind it"),
    ("{}\n", "a line break behind it"),
    ("{}\r", "a carriage return behind it"),
    ('"{}"', "quotation marks around it"),
)

#: A secret, a text, and the guess that holds if this secret signed this text.
Trial = tuple[str, str, Guess]


def of_subscription(
    app: App,
    pair: AppKey,
    socket_id: str,
    channel: str,
    channel_data: str | None,
    signature: str,
    sockets: Sequence[str],
) -> Guess:
    """Return the part that differs. `sockets`: former connections of the same client, the newest first."""

    def text(socket: str = socket_id, name: str = channel, data: str | None = channel_data) -> str:
        return f"{socket}:{name}:{data}" if data else f"{socket}:{name}"

    def trials() -> Iterator[Trial]:
        for socket in sockets[:SOCKETS]:
            yield pair.secret, text(socket), Guess("signed_socket", other=socket)
        yield from _secrets(app, pair, text())
        if channel_data:
            yield pair.secret, text(data=None), Guess("signed_without_data")
            for other, how in _encodings(channel_data):
                yield pair.secret, text(data=other), Guess("signed_data", other=how)
        core = parts_of(channel).core
        for prefix in PREFIXES[:4]:
            if prefix + core != channel:
                guess = Guess("signed_channel", other=quoted(prefix + core))
                yield pair.secret, text(name=prefix + core), guess

    return _first(trials, signature, len(text()))


def of_sign_in(
    app: App, pair: AppKey, socket_id: str, user_data: str, signature: str, sockets: Sequence[str]
) -> Guess:
    """Return the part of a sign-in that differs, as `of_subscription`."""

    def text(socket: str = socket_id, data: str = user_data) -> str:
        return f"{socket}::user::{data}"

    def trials() -> Iterator[Trial]:
        for socket in sockets[:SOCKETS]:
            yield pair.secret, text(socket), Guess("signed_socket", other=socket)
        yield from _secrets(app, pair, text())
        for other, how in _encodings(user_data):
            yield pair.secret, text(data=other), Guess("signed_data", other=how)
        missing = Guess("signed_channel", other="a text without `::user::`, as of a channel")
        yield pair.secret, f"{socket_id}:{user_data}", missing

    return _first(trials, signature, len(text()))


def _first(trials: Callable[[], Iterator[Trial]], signature: str, length: int) -> Guess:
    if length <= LONGEST and len(signature) == 64:
        for secret, text, guess in islice(trials(), GUESSES):
            if verifies_text(secret, text, signature):
                return guess
    return Guess("signed_otherwise")


def _secrets(app: App, pair: AppKey, text: str) -> Iterator[Trial]:
    """The same text, signed with what stands where the secret should."""
    for other in app.keys[:3]:
        if other.key != pair.key:
            yield other.secret, text, Guess("signed_key", key=pair.key, other=other.key)
    yield pair.key, text, Guess("signed_with_key")
    for form, how in SPOILT_SECRETS:
        yield form.format(pair.secret), text, Guess("signed_secret", other=how)


def _encodings(data: str) -> Iterator[tuple[str, str]]:
    """The data in other encodings, and which mistake that is."""
    yield (
        json.dumps(data),
        "channel_data was encoded twice before it was signed, and once before it was sent",
    )
    try:
        decoded = json.loads(data)
    except ValueError:
        return
    if isinstance(decoded, str):
        yield decoded, "channel_data was encoded again after it was signed"
    else:
        compact = json.dumps(decoded, separators=(",", ":"), ensure_ascii=False)
        if compact != data:
            yield (
                compact,
                "channel_data was written anew, with other blanks or escapes, after it was signed",
            )
