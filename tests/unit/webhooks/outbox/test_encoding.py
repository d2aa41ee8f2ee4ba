"""How entries and attempts are written down, and what of it may change."""

import json

import pytest
from msgspec.structs import replace

from pusher_server.webhooks.outbox.encoding import (
    decode_attempt,
    decode_entry,
    encode_attempt,
    encode_entry,
    shortened,
)
from pusher_server.webhooks.outbox.interface import AttemptRecord, Entry

ENTRY = Entry("id", "webhook", "channel é", '{"name":"é"}', 1.5)
ATTEMPT = AttemptRecord(
    at=1.5,
    webhook="webhook",
    url="https://example.com/",
    ids=("id",),
    events=('{"name":"é"}',),
    number=1,
    status=200,
    took=0.1,
    outcome="delivered",
    answer="ok",
)


def test_both_come_back() -> None:
    assert decode_entry(encode_entry(ENTRY)) == ENTRY
    assert decode_attempt(encode_attempt(ATTEMPT)) == ATTEMPT


def test_the_names_are_those_of_the_first_release() -> None:
    """Releases run side by side on one Redis: a name that changes needs another version."""
    assert json.loads(encode_entry(ENTRY)) == {
        "v": 1,
        "id": "id",
        "webhook": "webhook",
        "channel": "channel é",
        "event": '{"name":"é"}',
        "decided_at": 1.5,
    }
    assert list(json.loads(encode_attempt(ATTEMPT))) == [
        "v", "at", "webhook", "url", "ids", "events", "number", "status", "took", "outcome", "answer",
    ]  # fmt: skip


def test_more_names_are_no_obstacle_and_another_version_is() -> None:
    tree = json.loads(encode_entry(ENTRY))
    assert decode_entry(json.dumps({**tree, "more": [1]}).encode()) == ENTRY
    assert decode_entry(json.dumps({**tree, "v": 2}).encode()) is None
    for damaged in (b"", b"\xff", b"[]", b'{"v":1}', encode_entry(ENTRY)[:-1]):
        assert decode_entry(damaged) is None
        assert decode_attempt(damaged) is None


@pytest.mark.parametrize("depth", [512, 600, 900, 1_200, 3_000, 50_000])
def test_what_another_writes_too_deeply_is_damaged(depth: int) -> None:
    """Redis' other users, and the file's. Each interpreter reads down to another depth."""
    deep = b"[" * depth + b"]" * depth
    for encoded in (encode_entry(ENTRY), encode_attempt(ATTEMPT)):
        for damaged in (encoded[:-1] + b',"more":%b}' % deep, b'{"more":%b,' % deep + encoded[1:]):
            assert decode_entry(damaged) is None
            assert decode_attempt(damaged) is None
    event = f'{{"name":"client_event","data":{deep.decode()}}}'
    assert shortened(event) == event[:1_000]


def test_as_deep_as_may_be_is_no_obstacle() -> None:
    deep = b"[" * 511 + b"]" * 511
    assert decode_entry(encode_entry(ENTRY)[:-1] + b',"more":%b}' % deep) == ENTRY
    event = f'{{"name":"client_event","data":{deep.decode()}}}'
    assert json.loads(shortened(event))["data"] == "[" * 200 + "…"


def test_a_line_of_the_log_has_a_bound() -> None:
    """Whatever a batch holds, and whatever a tenant has called the target."""
    event = json.dumps({"name": "client_event", "data": "é" * 800}, ensure_ascii=False)
    many = replace(ATTEMPT, events=(event,) * 1_000, url="https://example.com/" + "x" * 100_000)
    line = encode_attempt(many)
    assert len(line) < 25_000
    found = decode_attempt(line)
    assert found is not None
    assert set(found.events[:-1]) == {event}
    assert len(found.events) > 10
    assert found.events[-1] == "…"
    assert found.url == many.url[:500] + "…"


def test_long_events_are_cut_in_the_log_only() -> None:
    event = json.dumps({"name": "client_event", "data": "x" * 5_000, "count": 3})
    long = replace(ENTRY, event=event)
    assert decode_entry(encode_entry(long)) == long
    found = decode_attempt(encode_attempt(replace(ATTEMPT, events=(event, '{"name":"é"}'))))
    assert found is not None
    cut, whole = found.events
    assert json.loads(cut) == {"name": "client_event", "data": "x" * 200 + "…", "count": 3}
    assert whole == '{"name":"é"}'
    nested = json.dumps({"name": "client_event", "data": {"list": [1] * 5_000}})
    assert json.loads(shortened(nested))["data"] == '{"list":[' + "1," * 95 + "1…"
    assert shortened("no JSON" * 500) == ("no JSON" * 500)[:1_000]
