"""Which events undo which, read from what outboxes keep."""

from typing import get_args

import pytest

from pusher_server.app import EventType
from pusher_server.signals import ClientEventSent, MemberAdded, MemberRemoved
from pusher_server.webhooks.events import event_of
from pusher_server.webhooks.outbox.interface import Entry
from pusher_server.webhooks.outbox.undoing import Subject, subject_of


def entry(event: str) -> Entry:
    return Entry("e1", "w", "c", event, 0.0)


@pytest.mark.parametrize("user_id", ["u", "", 'with "quotes" and \\', "ünï\0🦉"])
def test_a_leave_undoes_the_coming_of_the_same_user(user_id: str) -> None:
    texts = []
    for kind in (MemberAdded, MemberRemoved):
        event = event_of(kind(app_id="1", channel="c", user_id=user_id))
        assert event is not None
        texts.append(event.text)
    added, removed = (subject_of(entry(text)) for text in texts)
    assert removed.undone == added == Subject("member_added", user_id)
    assert removed.is_undoing
    assert added.may_be_undone
    assert not removed.may_be_undone


def test_what_every_kind_undoes() -> None:
    found = {kind: Subject(kind).undone for kind in get_args(EventType)}
    assert found == {
        "channel_occupied": None,
        "channel_vacated": Subject("channel_occupied"),
        "member_added": None,
        "member_removed": Subject("member_added"),
        "client_event": None,
        "cache_miss": Subject("cache_miss"),
        "subscription_count": Subject("subscription_count"),
    }
    undoing = {kind for kind in get_args(EventType) if Subject(kind).is_undoing}
    assert undoing == {"channel_vacated", "member_removed"}


def test_what_a_client_says_in_its_event_is_not_taken_for_its_kind() -> None:
    event = event_of(
        ClientEventSent(
            app_id="1",
            channel="c",
            event="client-channel_vacated",
            data=b'"{\\"name\\":\\"channel_vacated\\"}"',
            socket_id="1.1",
            user_id="u",
        )
    )
    assert event is not None
    assert subject_of(entry(event.text)) == Subject("client_event")


@pytest.mark.parametrize("event", ["", "{}", "[]", '{"v":2}', '{"name":"member_added",', "no JSON"])
def test_what_another_release_has_written_undoes_nothing(event: str) -> None:
    subject = subject_of(entry(event))
    assert subject.undone is None
    assert not subject.may_be_undone


@pytest.mark.parametrize("depth", [512, 900, 1_200, 3_000, 50_000])
def test_what_another_writes_too_deeply_undoes_nothing(depth: int) -> None:
    """Redis' other users, and the file's. Each interpreter reads down to another depth."""
    deep = "[" * depth + "]" * depth
    event = f'{{"name":"member_added","more":{deep},"user_id":"u"}}'
    assert subject_of(entry(event)) == Subject("")
