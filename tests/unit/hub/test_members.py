"""The replica of a presence channel's members."""

import json
from typing import Any

from pusher_server.app import Member
from pusher_server.hub.members import MemberList, member_value
from pusher_server.interfaces import Snapshot, Version


def presence(members: MemberList) -> Any:
    message = json.loads(members.success("presence-x"))
    assert message["channel"] == "presence-x"
    return json.loads(message["data"])["presence"]


def version(n: int) -> Version:
    return Version(1, n)


def test_absent_info_travels_as_nothing() -> None:
    assert member_value(Member("a")) == b""
    assert member_value(Member("a", b"null")) == b"null"


def test_a_list_knows_nothing_before_its_first_snapshot() -> None:
    members = MemberList()
    assert members.version is None
    assert members.value("a") is None
    assert presence(members) == {"ids": [], "hash": {}, "count": 0}


def test_a_snapshot_replaces_everything() -> None:
    members = MemberList()
    members.add("old", b"", version(1))
    members.adopt(Snapshot(version(5), {"b": b'{"n":1}', "a": b""}))
    assert members.version == version(5)
    assert presence(members) == {
        "ids": ["b", "a"],
        "hash": {"b": {"n": 1}, "a": None},
        "count": 2,
    }


def test_members_come_and_go() -> None:
    members = MemberList()
    members.adopt(Snapshot(version(1), {"a": b"1"}))
    members.add("b", b"2", version(2))
    assert presence(members)["ids"] == ["a", "b"]
    members.remove("a", version(3))
    members.remove("x", version(4))
    assert presence(members) == {"ids": ["b"], "hash": {"b": 2}, "count": 1}
    assert members.version == version(4)
    assert (members.value("a"), members.value("b")) == (None, b"2")


def test_later_info_of_a_member_wins_and_keeps_its_place() -> None:
    members = MemberList()
    members.adopt(Snapshot(version(1), {"a": b"1", "b": b"2"}))
    members.update("a", b"3")
    members.update("x", b"9")
    assert presence(members) == {"ids": ["a", "b"], "hash": {"a": 3, "b": 2}, "count": 2}
    assert members.version == version(1)


def test_the_list_is_encoded_once_per_state() -> None:
    members = MemberList()
    members.adopt(Snapshot(version(1), {"a": b"1"}))
    first = members.success("presence-x")
    assert members.success("presence-x") is first
    members.add("b", b"", version(2))
    assert members.success("presence-x") is not first
