"""Which data of encrypted channels clients may try to decrypt (docs/protocol/channels.md#encrypted)."""

import json
from base64 import b64encode
from typing import Any

import pytest

from pusher_server.protocol.encrypted import MAC_BYTES, NONCE_BYTES, UNOPENABLE, is_sealed
from pusher_server.protocol.text import string_literal

NONCE = b64encode(bytes(NONCE_BYTES)).decode()
SHORTEST = b64encode(bytes(MAC_BYTES)).decode()


def literal(value: Any) -> bytes:
    """`data` as it is relayed: a string that holds JSON text."""
    return string_literal(json.dumps(value).encode())


def test_nonce_and_ciphertext_are_sealed() -> None:
    """The shortest there is, a longer one, and one with further members."""
    assert is_sealed(literal({"nonce": NONCE, "ciphertext": SHORTEST}))
    assert is_sealed(literal({"nonce": NONCE, "ciphertext": b64encode(bytes(17)).decode()}))
    assert is_sealed(literal({"x": [1], "nonce": NONCE, "ciphertext": SHORTEST}))


@pytest.mark.parametrize("value", [{}, {"a": 1}, "text", None, 1, [], [NONCE, SHORTEST]], ids=repr)
def test_other_values_are_not(value: Any) -> None:
    assert not is_sealed(literal(value))


@pytest.mark.parametrize("name", ["nonce", "ciphertext"])
@pytest.mark.parametrize(
    "value",
    [None, 1, [], "", "A", "AA", "AAA", "A" * 16, "A" * 33, NONCE[:-1], NONCE + "==", NONCE + "\n",
     "-" * 32, "é" * 32, "=" * 32, NONCE[:30] + "=A", "\ud800" * 32],
    ids=repr,
)  # fmt: skip
def test_both_have_to_be_base64_of_enough_bytes(name: str, value: Any) -> None:
    """As pusher-java-client reads them, which throws at anything else."""
    assert not is_sealed(literal({"nonce": NONCE, "ciphertext": SHORTEST, name: value}))


def test_a_nonce_has_one_length() -> None:
    for size in (NONCE_BYTES - 1, NONCE_BYTES + 1):
        nonce = b64encode(bytes(size)).decode()
        assert not is_sealed(literal({"nonce": nonce, "ciphertext": SHORTEST}))


def test_text_that_is_no_json_is_not_sealed() -> None:
    """Nor one that is nested too deeply to be read."""
    for text in ("", "{", "nonce", "[" * 100_000):
        assert not is_sealed(json.dumps(text).encode())


def test_a_client_can_try_to_open_what_is_not_encrypted() -> None:
    """It has the form, so decrypting it fails as with a wrong key."""
    assert is_sealed(literal(json.loads(b"{" + UNOPENABLE + b"}")))
