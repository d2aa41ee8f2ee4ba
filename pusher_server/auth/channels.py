"""The `auth` of a subscription: `{key}:{signature}` over the text that the backend signed.

`channel_data` is signed exactly as it stands in the frame. The libraries write the same object
differently (docs/protocol/signatures.md#channel), so a parsed and rewritten object breaks signatures.
"""

from pusher_server.app import App, AppKey
from pusher_server.auth.signatures import is_secret_of, verifies_text
from pusher_server.errors import AuthenticationError


def verify(
    app: App, socket_id: str, channel: str, auth: str, channel_data: str | None = None
) -> AppKey:
    """Check that one of the app's keys signed this connection's subscription; returns that key.

    `channel_data` is signed too when it is there and not empty, on every kind of channel. Its
    content is not read here. Raises AuthenticationError with Pusher's texts
    (docs/protocol/subscriptions.md#refusal).
    """
    if not auth:
        raise AuthenticationError(
            f"Auth info required to subscribe to {channel}", reason="incomplete"
        )
    key, _, signature = auth.partition(":")
    pair = app.pair_of(key)
    if pair is None:
        text = f"Invalid key in subscription auth data: '{key}'"
        if is_secret_of(app, key):
            raise AuthenticationError(text, reason="key_is_secret")
        raise AuthenticationError(text, reason="unknown_key", key=key)
    text = f"{socket_id}:{channel}:{channel_data}" if channel_data else f"{socket_id}:{channel}"
    if not verifies_text(pair.secret, text, signature):
        raise AuthenticationError(
            f"Invalid signature: Expected HMAC SHA256 hex digest of {text}, but got {signature}"
        )
    return pair
