"""Checks the infos of members that come from the cluster, and leaves out those that are no JSON.

A member's info becomes part of the JSON for clients.

Nodes of ours hold JSON or nothing. But others may have Redis's password, and one bad text would make the list
of a whole channel unreadable for all of its clients.
"""

import msgspec

from pusher_server.interfaces import Snapshot, Topic
from pusher_server.protocol.errors import MalformedText, NotUtf8
from pusher_server.protocol.text import decode
from pusher_server.unreadable import UnreadableLog

_any = msgspec.json.Decoder()


class MemberInfos:
    """Judges values of members topics, and reports bad ones to `log`."""

    def __init__(self, log: UnreadableLog) -> None:
        self._log = log

    def is_readable(self, topic: Topic, user_id: str, value: bytes) -> bool:
        """Whether the info can be sent to clients; if not, the operator gets a line."""
        try:
            if value:
                decode(_any, value)
        except (MalformedText, NotUtf8):
            app_id, _, channel = topic
            self._log.report(
                "a member's info",
                f"user {user_id[:100]!r} of {channel!r}, app {app_id!r}",
                "no node of this cluster has written it; delete the member in Redis",
            )
            return False
        return True

    def readable(self, topic: Topic, snapshot: Snapshot) -> Snapshot:
        """The snapshot without the members that cannot be read."""
        bad = [
            user_id
            for user_id, value in snapshot.entries.items()
            if not self.is_readable(topic, user_id, value)
        ]
        if not bad:
            return snapshot
        entries = {key: value for key, value in snapshot.entries.items() if key not in bad}
        return Snapshot(snapshot.version, entries)
