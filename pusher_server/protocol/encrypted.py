"""Data of encrypted channels: the server cannot open it, but sees whether clients will try without harm.

pusher-java-client decrypts every event of an encrypted channel, `pusher:…` included. Data of another form is an
exception that nothing catches, so on Android the app ends (tests/conformance/official/test_java_client.py).
"""

import msgspec

PREFIX = "private-encrypted-"

#: Of NaCl's secretbox, in bytes.
NONCE_BYTES = 24
MAC_BYTES = 16

#: Members for an object that is not encrypted: a client that decrypts it fails as if it had a wrong key.
UNOPENABLE = b'"nonce":"%b","ciphertext":"%b"' % (b"A" * 32, b"A" * 32)


class _Sealed(msgspec.Struct):
    """The form of docs/protocol/channels.md#encrypted; msgspec reads `bytes` from base64."""

    nonce: bytes
    ciphertext: bytes


_text = msgspec.json.Decoder(str)
_sealed = msgspec.json.Decoder(_Sealed)


def is_sealed(data: bytes) -> bool:
    """Return whether `data`, a JSON string literal, holds a nonce and a ciphertext of the right form."""
    try:
        sealed = _sealed.decode(_text.decode(data))
    except (msgspec.DecodeError, RecursionError):
        return False
    return len(sealed.nonce) == NONCE_BYTES and len(sealed.ciphertext) >= MAC_BYTES
