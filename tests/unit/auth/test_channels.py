"""Who may subscribe: every golden vector, and the shapes of a bad `auth`."""

from typing import Any

import pytest

from pusher_server.app import App, AppKey
from pusher_server.auth.channels import verify
from pusher_server.auth.signatures import sign
from pusher_server.errors import AuthenticationError
from tests.unit.auth.golden import APP, KEY, SECRET, VECTORS, is_well_signed, rejects

ACCEPTED = VECTORS["private"] + VECTORS["presence"]
CHANNEL_REJECTS = rejects("private", "presence")
PREFIX = "Invalid signature: Expected HMAC SHA256 hex digest of"


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda v: v["auth"][-8:])
def test_golden_vectors_are_accepted(vector: dict[str, Any]) -> None:
    """Node, Python and PHP write the same member differently; the text is signed as it stands."""
    verify(APP, vector["socket_id"], vector["channel"], vector["auth"], vector["channel_data"])


@pytest.mark.parametrize("vector", CHANNEL_REJECTS, ids=lambda v: v["why"])
def test_golden_vectors_are_rejected(vector: dict[str, Any]) -> None:
    """Where only the member is at fault the signature holds: whoever reads the member refuses."""
    arguments = (
        vector["socket_id"],
        vector["channel"],
        vector["auth"],
        vector.get("channel_data"),
    )
    if is_well_signed(vector):
        verify(APP, *arguments)
    else:
        with pytest.raises(AuthenticationError) as caught:
            verify(APP, *arguments)
        assert caught.value.status == 401


def test_pushers_own_example_is_wrong() -> None:
    """The digest printed in Pusher's docs belongs to another member (trap 33)."""
    bad = VECTORS["known_bad_doc_example"]
    place = (bad["socket_id"], bad["channel"])
    with pytest.raises(AuthenticationError):
        verify(APP, *place, f"{KEY}:{bad['signature_printed']}", bad["channel_data_printed"])
    data = bad["printed_signature_is_for_channel_data"]
    verify(APP, *place, f"{KEY}:{bad['signature_printed']}", data)


def test_an_empty_channel_data_is_not_signed() -> None:
    """Three parts only when there is something in the third."""
    auth = f"{KEY}:{sign(SECRET, b'1.2:private-a')}"
    verify(APP, "1.2", "private-a", auth, "")
    verify(APP, "1.2", "private-a", auth, None)


def test_every_key_of_the_app_verifies() -> None:
    """A key that is being rotated out still counts, with its own secret only."""
    old, new = AppKey(key="old", secret="s-old"), AppKey(key="new", secret="s-new")
    app = App(id="1", keys=(new, old))
    for pair in (old, new):
        verify(app, "1.2", "private-a", f"{pair.key}:{sign(pair.secret, b'1.2:private-a')}")
    with pytest.raises(AuthenticationError):
        verify(app, "1.2", "private-a", f"old:{sign('s-new', b'1.2:private-a')}")


@pytest.mark.parametrize(
    ("auth", "text"),
    [
        ("", "Auth info required to subscribe to private-a"),
        ("nobody:abc", "Invalid key in subscription auth data: 'nobody'"),
        ("ünïcode:ß", "Invalid key in subscription auth data: 'ünïcode'"),
        (
            f"{KEY}:abc",
            f"{PREFIX} 1.2:private-a:{{}}, but got abc",
        ),
        (
            f"{KEY}:ß\ud800",
            f"{PREFIX} 1.2:private-a:{{}}, but got ß\ud800",
        ),
        (
            KEY,
            f"{PREFIX} 1.2:private-a:{{}}, but got ",
        ),
    ],
)
def test_texts_are_pushers(auth: str, text: str) -> None:
    """The string to sign is shown, the expected digest is not."""
    with pytest.raises(AuthenticationError) as caught:
        verify(APP, "1.2", "private-a", auth, "{}")
    assert caught.value.message == text
    assert sign(SECRET, b"1.2:private-a:{}") not in caught.value.message
    assert SECRET not in caught.value.message
