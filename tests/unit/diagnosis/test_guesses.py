"""Guesses at signed texts: a budget, at most 16 signatures each, and nothing of it for the client."""

import logging

import pytest

from pusher_server.diagnosis import signed_request, signed_text
from pusher_server.diagnosis.guesses import Guesses
from tests.support.fakes import FakeConnection
from tests.unit.diagnosis.site import APP, SECRET, SECRET_2, Site, auth_of

CHANNEL = "private-a"


async def refuse(site: Site, client: FakeConnection, secret: str = SECRET + " ") -> None:
    await site.subscribe(client, CHANNEL, auth_of(client.socket_id, CHANNEL, secret=secret))


def guessed(site: Site) -> int:
    """How many refusals were looked into."""
    return sum(row.count for row in site.node.evidence.refusals.values() if row.guess is not None)


def from_address(site: Site, address: str) -> FakeConnection:
    client = site.connect()
    client.remote = address
    return client


async def test_one_refusal_a_second_is_looked_into() -> None:
    site = Site()
    for number in range(100):
        await refuse(site, from_address(site, f"192.0.2.{number}"))
    assert guessed(site) == 1
    for number in range(5):
        site.clock.advance(1.0)
        await refuse(site, from_address(site, f"198.51.100.{number}"))
    assert guessed(site) == 6
    assert sum(row.count for row in site.node.evidence.refusals.values()) == 105


async def test_one_address_leaves_guesses_to_the_others() -> None:
    site = Site()
    noisy = site.connect()
    for number in range(9):
        await refuse(site, noisy)
        site.clock.advance(1.0)
        await refuse(site, from_address(site, f"198.51.100.{number}"), secret=SECRET_2)
    assert guessed(site) == 1 + 9
    assert len(site.node.evidence.refusals) == 3


async def test_while_somebody_looks_there_are_more() -> None:
    site = Site()
    await site.findings()
    client = site.connect()
    site.clock.advance(1.0)
    for _ in range(100):
        await refuse(site, client)
    assert guessed(site) == 10
    site.clock.advance(40.0)
    for _ in range(100):
        await refuse(site, client)
    assert guessed(site) == 11


async def test_a_guess_takes_16_signatures_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[str] = []

    def verifies(secret: str, text: object, signature: object) -> bool:
        signed.append(secret)
        return False

    monkeypatch.setattr(signed_text, "verifies_text", verifies)
    monkeypatch.setattr(signed_request, "verifies", verifies)
    site = Site(APP, path_prefix="/ws")
    for _ in range(10):
        site.leave(site.connect())
    client = site.connect()
    data = '{"user_id": "7"}'
    wrong = auth_of(client.socket_id, "presence-a", data, "another")
    await site.subscribe(client, "presence-a", wrong, data)
    assert 10 < len(signed) <= signed_text.GUESSES
    signed.clear()
    site.clock.advance(60.0)
    await site.request(secret="another", added="&a=b&c=d")
    assert 8 < len(signed) <= signed_text.GUESSES


async def test_long_texts_are_not_signed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def verifies(*given: object) -> bool:
        raise AssertionError("it was signed")

    monkeypatch.setattr(signed_text, "verifies_text", verifies)
    site = Site()
    client, data = site.connect(), '{"user_id": "7"}' + " " * 20_000
    auth = auth_of(client.socket_id, "presence-a", data, "another")
    await site.subscribe(client, "presence-a", auth, data)
    assert guessed(site) == 1


async def test_the_line_names_the_part_and_the_client_gets_none_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    site = Site()
    client = site.connect()
    await refuse(site, client)
    (record,) = caplog.records
    assert record.getMessage() == (
        "subscription refused: the signature does not match: it is signed with this app's secret and a blank"
        " behind it; Write PUSHER_APP_SECRET without it, run `php artisan config:clear`, and restart the"
        " worker"
    )
    assert vars(record)["see"] == "docs/troubleshooting.md#subscriptions-and-messages"
    assert SECRET not in record.getMessage()
    answer = b"".join(client.payloads)
    assert b"subscription_error" in answer
    assert b"blank" not in answer


async def test_a_backend_gets_none_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    site = Site()
    response = await site.request(secret=f'"{SECRET}"')
    assert response.status_code == 401
    assert "quotation" not in response.text
    (record,) = caplog.records
    assert "signed with this app's secret and quotation marks around it" in record.getMessage()
    assert vars(record)["see"] == "docs/troubleshooting.md#backends"


def test_a_key_of_no_app_is_not_looked_into() -> None:
    site = Site()
    guesses = Guesses(site.node.evidence)
    assert guesses.of_subscription(APP, "192.0.2.1", "1.1", "a", None, "other:00") is None
    assert guesses.of_sign_in(APP, "192.0.2.1", "1.1", "{}", "") is None
