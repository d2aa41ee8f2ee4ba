"""The `auth` of a sign-in: a signature over `{socket_id}::user::{user_data}`.

See docs/protocol/signatures.md#algorithm.
"""

from pusher_server.app import App, AppKey
from pusher_server.auth.signatures import is_secret_of, verifies_text
from pusher_server.errors import AuthenticationError

_REFUSAL = "Connection not authorized."


def verify(app: App, socket_id: str, auth: str, user_data: str) -> AppKey:
    """Check that one of the app's keys vouches for this user on this connection; returns that key.

    `user_data` is the text of the frame, unparsed. Raises AuthenticationError with the text that
    soketi answers (docs/protocol/users.md#sign-in). Its `reason` says which part was wrong.
    """
    key, _, signature = auth.partition(":")
    pair = app.pair_of(key)
    if pair is None:
        reason = (
            "key_is_secret" if is_secret_of(app, key) else "unknown_key" if auth else "incomplete"
        )
        raise AuthenticationError(_REFUSAL, reason=reason)
    if not verifies_text(pair.secret, f"{socket_id}::user::{user_data}", signature):
        raise AuthenticationError(_REFUSAL, reason="signature")
    return pair
