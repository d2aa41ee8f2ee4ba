"""This node's replica of one presence channel's members, kept current by roster transitions.

Why there is a replica: docs/decisions.md#members-from-the-replica.
"""

from pusher_server.app import Member
from pusher_server.interfaces import Snapshot, Version
from pusher_server.protocol import events


def member_value(member: Member) -> bytes:
    """A member's info as the roster carries it; empty when absent (JSON text is never empty)."""
    return member.info or b""


class MemberList:
    """The members of a channel in the cluster, as of `version`, in join order."""

    __slots__ = ("_entries", "_success", "_values", "version")

    def __init__(self) -> None:
        #: None until a snapshot has been adopted.
        self.version: Version | None = None
        self._values: dict[str, bytes] = {}
        self._entries: dict[str, events.MemberEntry] = {}
        self._success: bytes | None = None

    def value(self, user_id: str) -> bytes | None:
        """The roster's value of this member; None when there is no such member."""
        return self._values.get(user_id)

    def adopt(self, snapshot: Snapshot) -> None:
        """Replace all members by those of the snapshot."""
        self._values, self._entries = {}, {}
        for user_id, value in snapshot.entries.items():
            self._put(user_id, value)
        self.version = snapshot.version

    def difference(self, snapshot: Snapshot) -> tuple[list[str], list[str]]:
        """The members that the snapshot lacks, and the ones that only the snapshot has, in its order."""
        gone = [user_id for user_id in self._values if user_id not in snapshot.entries]
        come = [user_id for user_id in snapshot.entries if user_id not in self._values]
        return gone, come

    def refresh(self, snapshot: Snapshot) -> None:
        """Take the values of members with changed info; clients get no event."""
        for user_id, value in snapshot.entries.items():
            if self._values.get(user_id) != value:
                self._put(user_id, value)
        self.version = snapshot.version

    def add(self, user_id: str, value: bytes, version: Version) -> None:
        """A user became a member."""
        self._put(user_id, value)
        self.version = version

    def remove(self, user_id: str, version: Version) -> None:
        """A user ceased to be one."""
        self._values.pop(user_id, None)
        self._entries.pop(user_id, None)
        self._success = None
        self.version = version

    def update(self, user_id: str, value: bytes, version: Version | None = None) -> None:
        """A later connection of the same user brought other info: the last one wins, without an event."""
        if self._values.get(user_id) not in (None, value):
            self._put(user_id, value)
        self.version = version or self.version

    def success(self, channel: str) -> bytes:
        """The success payload with the whole list; encoded once per version, shared by all joiners."""
        if self._success is None:
            self._success = events.presence_succeeded(channel, self._entries.values())
        return self._success

    def _put(self, user_id: str, value: bytes) -> None:
        self._values[user_id] = value
        self._entries[user_id] = events.MemberEntry(Member(user_id, value or None))
        self._success = None
