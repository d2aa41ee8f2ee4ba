"""Who is signed in as whom, and who watches whom."""

from pusher_server.hub.users import UserDirectory
from tests.unit.hub.hub_fixture import HubFixture


def test_the_first_sign_in_and_the_last_sign_out_are_told_apart() -> None:
    fixture, users = HubFixture(), UserDirectory()
    first, second = fixture.client("1.1"), fixture.client("1.2")
    assert users.sign_in(first, "u")
    assert not users.sign_in(second, "u")
    assert users.connections("u") == [first, second]
    assert len(users) == 1
    assert not users.sign_out(first, "u")
    assert users.sign_out(second, "u")
    assert users.connections("u") == []
    assert len(users) == 0


def test_signing_out_who_is_not_signed_in_ends_nothing() -> None:
    fixture, users = HubFixture(), UserDirectory()
    first, second = fixture.client("1.1"), fixture.client("1.2")
    assert not users.sign_out(first, "u")
    users.sign_in(first, "u")
    assert not users.sign_out(second, "u")
    assert users.connections("u") == [first]


def test_signing_in_twice_counts_once() -> None:
    fixture, users = HubFixture(), UserDirectory()
    client = fixture.client("1.1")
    users.sign_in(client, "u")
    users.sign_in(client, "u")
    assert users.sign_out(client, "u")


def test_watchers_are_found_by_the_user_they_watch() -> None:
    fixture, users = HubFixture(), UserDirectory()
    first, second = fixture.client("1.1"), fixture.client("1.2")
    users.watch(first, ["a", "b"])
    users.watch(second, ["a"])
    assert users.watchers("a") == [first, second]
    users.unwatch(first, ["a", "b", "x"])
    assert (users.watchers("a"), users.watchers("b")) == ([second], [])
    assert len(users) == 0
