"""Who may sign in: every golden vector."""

from typing import Any

import pytest

from pusher_server.auth.signatures import sign
from pusher_server.auth.users import verify
from pusher_server.errors import AuthenticationError
from tests.unit.auth.golden import APP, KEY, SECRET, VECTORS, is_well_signed, rejects


@pytest.mark.parametrize("vector", VECTORS["signin"], ids=lambda v: v["auth"][-8:])
def test_golden_vectors_are_accepted(vector: dict[str, Any]) -> None:
    """The user data is signed as the text that stands in the frame."""
    verify(APP, vector["socket_id"], vector["auth"], vector["user_data"])


@pytest.mark.parametrize("vector", rejects("signin"), ids=lambda v: v["why"])
def test_golden_vectors_are_rejected(vector: dict[str, Any]) -> None:
    """Where only the user data is at fault the signature holds."""
    arguments = (vector["socket_id"], vector["auth"], vector["user_data"])
    if is_well_signed(vector):
        verify(APP, *arguments)
    else:
        with pytest.raises(AuthenticationError):
            verify(APP, *arguments)


@pytest.mark.parametrize(
    "auth", ["", ":", KEY, f"{KEY}:", "x:y", "ß:ß", f"{KEY}:\ud800", f"other:{sign(SECRET, b'')}"]
)
def test_bad_auth(auth: str) -> None:
    """One text for all of them, as soketi."""
    with pytest.raises(AuthenticationError, match=r"^Connection not authorized\.$"):
        verify(APP, "1.2", auth, '{"id":"1"}')


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        ("", "incomplete"),
        ("other:0", "unknown_key"),
        (f"{SECRET}:0", "key_is_secret"),
        (f"{KEY}:0", "signature"),
    ],
)
def test_the_reason_says_what_is_wrong(auth: str, reason: str) -> None:
    """For the log alone."""
    with pytest.raises(AuthenticationError) as caught:
        verify(APP, "1.2", auth, '{"id":"1"}')
    assert (caught.value.reason, caught.value.key) == (reason, "")
