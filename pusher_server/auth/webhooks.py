"""The headers that prove a webhook's body: the key of the app that signed it, and the signature.

See docs/protocol/signatures.md#webhook.
"""

from pusher_server.app import App
from pusher_server.auth.signatures import sign


def headers(app: App, body: bytes) -> dict[str, str]:
    """`X-Pusher-Key` and `X-Pusher-Signature` for exactly these bytes.

    The spelling matters: pusher-php-server looks them up case-sensitively in the array that it is given
    (docs/protocol/webhooks.md#request).

    The oldest key signs, as at Pusher. A receiver knows one key, or a few at most. During a rotation,
    receivers with the old key alone still accept. Receivers with the new key can take the old one as an extra
    token. If the newest key signed, every receiver would refuse from the start of a rotation.
    """
    pair = app.keys[-1]
    return {"X-Pusher-Key": pair.key, "X-Pusher-Signature": sign(pair.secret, body)}
