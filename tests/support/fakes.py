"""Stand-ins for what lies outside: clients, transports, clocks, the event loop's queue.

They record and decode; none of them imitates a class of ours.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pusher_server.hub.app_state import AppState
from pusher_server.hub.channel import Subscription
from pusher_server.interfaces import ClusterMessage, Snapshot, Topic, Transition, Version
from pusher_server.protocol.members import User
from tests.support.frames import TEXT, client_frame, server_frames


class FakeClock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class FakeCallSoon:
    """The event loop's queue, run by hand."""

    def __init__(self) -> None:
        self.callbacks: deque[Callable[[], None]] = deque()

    def __call__(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def turn(self) -> bool:
        """Run what is queued now, as one turn of the loop does; whether there was anything."""
        due = len(self.callbacks)
        for _ in range(due):
            self.callbacks.popleft()()
        return due > 0

    def run(self) -> None:
        """Turn until nothing is left."""
        while self.turn():
            pass


class FakeConnection:
    """A client as hub and node see it; keeps every write."""

    def __init__(self, app_state: AppState, socket_id: str, app_key: str = "key") -> None:
        self.socket_id = socket_id
        self.remote = "192.0.2.1"
        self.app_key = app_key
        self.app_state = app_state
        self.subscriptions: dict[str, Subscription] = {}
        self.user: User | None = None
        #: One item per call of `write`.
        self.writes: list[bytes] = []
        self.is_authorized = False
        #: Client events it may still send.
        self.allowance = 1_000
        #: Code and message of the first `close`.
        self.closed: tuple[int, str] | None = None
        self._taken = 0

    @property
    def write(self) -> Callable[[bytes], None]:
        return self.writes.append

    def send(self, payload: bytes) -> None:
        # Not our own encoder: see the module's docstring.
        self.writes.append(client_frame(TEXT, payload, mask=None))

    def authorized(self) -> None:
        self.is_authorized = True

    def may_send_client_event(self) -> bool:
        self.allowance -= 1
        return self.allowance >= 0

    def close(self, code: int, message: str) -> None:
        if self.closed is None:
            self.closed = (code, message)

    @property
    def payloads(self) -> list[bytes]:
        """All text messages so far."""
        return [frame.payload for frame in server_frames(b"".join(self.writes))]

    def take(self) -> list[dict[str, Any]]:
        """The messages that have come since the last call, `data` decoded where it is JSON text."""
        payloads = self.payloads
        fresh, self._taken = payloads[self._taken :], len(payloads)
        return [_readable(json.loads(payload)) for payload in fresh]


def _readable(message: dict[str, Any]) -> dict[str, Any]:
    data = message.get("data")
    if isinstance(data, str):
        with suppress(ValueError):  # an event's data may be any text
            message["data"] = json.loads(data)
    return message


class FakeTransport(asyncio.Transport):
    """A TCP connection without a network: `written` is what the peer would read."""

    def __init__(self, *, has_halves: bool = True) -> None:
        super().__init__()
        #: TCP has, TLS has not.
        self.has_halves = has_halves
        self.is_half_closed = False
        self.written = bytearray()
        #: Called inside `write`, as a loop calls `pause_writing`.
        self.when_written: Callable[[], None] | None = None
        self.buffered = 0
        self.high_water = 0
        self.reading = True
        self.is_closed = False
        self.is_aborted = False

    def write(self, data: Any) -> None:
        self.written += data
        if self.when_written is not None:
            self.when_written()

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return self.has_halves

    def write_eof(self) -> None:
        self.is_half_closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high_water = high or 0

    def take(self) -> bytes:
        """What has been written since the last call."""
        data = bytes(self.written)
        self.written.clear()
        return data


class FakeListener:
    """Hears broker and roster, and remembers."""

    def __init__(self) -> None:
        self.messages: list[tuple[Topic, ClusterMessage]] = []
        self.transitions: list[Transition] = []
        #: Joins and leaves that were announced, and under which ids.
        self.joined: list[tuple[Topic, str]] = []
        self.settled: list[tuple[Topic, str]] = []
        self.ids: list[str] = []
        self.snapshots: list[tuple[Topic, Snapshot, bool]] = []
        self.missed: list[Topic] = []
        self.updates: list[tuple[Topic, str, bytes, Version]] = []

    def on_message(self, topic: Topic, message: ClusterMessage) -> None:
        self.messages.append((topic, message))

    def on_transition(self, transition: Transition) -> None:
        self.transitions.append(transition)

    def on_updated(self, topic: Topic, key: str, value: bytes, version: Version) -> None:
        self.updates.append((topic, key, value, version))

    def on_snapshot(self, topic: Topic, snapshot: Snapshot, *, doubtful: bool) -> list[str]:
        self.snapshots.append((topic, snapshot, doubtful))
        return []

    def snapshot_of(self, topic: Topic) -> Snapshot:
        """The latest of this topic."""
        return next(each for known, each, _ in reversed(self.snapshots) if known == topic)

    def on_missed(self, topic: Topic, *, doubtful: bool) -> None:
        self.missed.append(topic)

    def on_announced(self, topic: Topic, key: str, *, held: bool, announcement: str) -> None:
        (self.joined if held else self.settled).append((topic, key))
        self.ids.append(announcement)

    async def kept(self) -> None:
        """Nothing has to be kept."""
