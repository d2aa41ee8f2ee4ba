"""Signatures equal the standard library's HMAC, and comparing never raises."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.auth.signatures import octets, sign, verifies, verifies_text
from tests.unit.auth.golden import SECRET, VECTORS


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=150),
    message=st.binary(max_size=300),
)
def test_equals_the_standard_library(secret: str, message: bytes) -> None:
    """Also for keys longer than a block, which HMAC hashes first, and for keys beyond ASCII."""
    assert sign(secret, message) == hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("length", [63, 64, 65])
def test_key_around_one_block(length: int) -> None:
    """RFC 2104 pads a key of up to 64 bytes and hashes a longer one."""
    secret = "k" * length
    assert sign(secret, b"m") == hmac.new(secret.encode(), b"m", hashlib.sha256).hexdigest()


def test_a_repeated_signature_is_the_same() -> None:
    """The cached halves are copied, never written to."""
    assert [sign("s", b"one"), sign("s", b"two"), sign("s", b"one")] == [
        hmac.new(b"s", text, hashlib.sha256).hexdigest() for text in (b"one", b"two", b"one")
    ]


@pytest.mark.parametrize("vector", VECTORS["webhook"]["vectors"], ids=lambda v: v["body"][:40])
def test_webhook_bodies(vector: dict[str, object]) -> None:
    """The signature in the header is that of the raw body."""
    headers = {str(k).lower(): v for k, v in dict(vector["headers"]).items()}  # type: ignore[call-overload]
    assert sign(SECRET, str(vector["body"]).encode()) == headers["x-pusher-signature"]


@pytest.mark.parametrize("signature", ["", "é", "\ud800", "0" * 63, "A" * 64, "x" * 10_000])
def test_any_text_is_just_a_wrong_signature(signature: str) -> None:
    """compare_digest would raise on text beyond ASCII (trap 35)."""
    assert not verifies("secret", b"message", octets(signature))


def test_upper_case_is_refused() -> None:
    """Hex is lower case (docs/protocol/signatures.md#algorithm)."""
    right = sign("secret", b"message")
    assert verifies("secret", b"message", right.encode())
    assert not verifies("secret", b"message", right.upper().encode())


@pytest.mark.parametrize("signed", [b"a\xed\xa0\xbdb", "a\ufffdb".encode()])
def test_a_text_with_a_lone_surrogate_verifies_as_it_may_have_been_signed(signed: bytes) -> None:
    """Python's surrogatepass gives it three bytes; Node's crypto signs U+FFFD in its place."""
    assert verifies_text("secret", "a\ud83db", sign("secret", signed))
    assert not verifies_text("secret", "a\ud83db", sign("secret", b"ab"))
    assert not verifies_text("secret", "a\ufffdb", sign("secret", b"a\xed\xa0\xbdb"))
    assert not verifies_text("secret", "a\ud83db", "\ud83d")
