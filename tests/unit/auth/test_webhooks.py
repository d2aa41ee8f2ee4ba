"""`pusher_server.auth.webhooks`: the headers are those that official validators accept."""

import json
import time

import pusher
import pytest

from pusher_server.app import App, AppKey
from pusher_server.auth.webhooks import headers
from tests.unit.auth.golden import APP, KEY, SECRET, VECTORS

OLD = AppKey(key="old", secret="old secret")
NEW = AppKey(key="new", secret="new secret")


@pytest.mark.parametrize("vector", VECTORS["webhook"]["vectors"], ids=lambda v: v["body"][:40])
def test_equal_those_of_the_golden_vectors(vector: dict[str, object]) -> None:
    """To the letter, as far as they are about the signature."""
    golden = vector["headers"]
    assert isinstance(golden, dict)
    body = str(vector["body"]).encode()
    assert {"Content-Type": "application/json", **headers(APP, body)} == golden


def test_the_oldest_key_signs_while_a_rotation_lasts() -> None:
    """Pusher's rule: receivers that have not moved yet go on accepting."""
    rotating = App(id="1", keys=(NEW, OLD))
    assert headers(rotating, b"x") == headers(App(id="1", keys=(OLD,)), b"x")
    assert headers(App(id="1", keys=(NEW,)), b"x")["X-Pusher-Key"] == "new"


def test_the_library_of_a_receiver_that_has_not_moved_accepts() -> None:
    """PyPI's `pusher` knows one pair."""
    body = json.dumps({"time_ms": int(time.time() * 1_000), "events": []}).encode()
    sent = headers(App(id="1", keys=(NEW, AppKey(key=KEY, secret=SECRET))), body)
    receiver = pusher.Pusher("1", KEY, SECRET)
    found = receiver.validate_webhook(sent["X-Pusher-Key"], sent["X-Pusher-Signature"], body)
    assert found is not None
