"""The headers that prove a webhook's body: whose key signed it, and the signature.

See docs/protocol/signatures.md#webhook.
"""

from pusher_server.app import App
from pusher_server.auth.signatures import sign


def headers(app: App, body: bytes) -> dict[str, str]:
    """`X-Pusher-Key` and `X-Pusher-Signature` for exactly these bytes.

    In this spelling: pusher-php-server looks them up case-sensitively in the array that it is given
    (docs/protocol/webhooks.md#request).

    The oldest key signs, as at Pusher. A receiver knows one key, or a few at most: while a rotation lasts,
    those that have not moved yet go on accepting, and those that have can take the old key as an extra token.
    Signed with the newest, a rotation would make every receiver refuse from the moment it begins.
    """
    pair = app.keys[-1]
    return {"X-Pusher-Key": pair.key, "X-Pusher-Signature": sign(pair.secret, body)}
