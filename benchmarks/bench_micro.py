"""Micro-benchmarks of the hot path: seconds to run, one table (`make bench`).

Each number is the best of several rounds. The last column is the ratio to a reference loop of plain Python
that runs in the same process just before: on a noisy machine ratios compare, microseconds do not.
"""

import hashlib
import hmac
import json
import platform
import time
from collections.abc import Callable
from timeit import Timer

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from pusher_server.app import App, AppKey, Member
from pusher_server.auth import channels as channel_auth
from pusher_server.auth.requests import parse_query, verify
from pusher_server.hub.channel import Channel
from pusher_server.hub.fanout import Fanout
from pusher_server.protocol import events, messages
from pusher_server.protocol.channel_name import parse_channel_name
from pusher_server.protocol.frames import text_frame
from pusher_server.websocket.framing import FrameReader

ROUNDS = 7
ROUND_SECONDS = 0.05

APP = App(id="1", keys=(AppKey(key="bench-key", secret="bench-secret"),))
DATA = json.dumps(json.dumps({"id": 1, "body": "x" * 200})).encode()
EVENT = events.channel_event("comment.created", "private-session.1", DATA)
CLIENT_EVENT = json.dumps(
    {"event": "client-typing", "channel": "private-session.1", "data": {"user": 7, "on": True}}
).encode()
SUBSCRIBERS = 1_000


class _Transport:
    """Takes bytes and keeps nothing, as a socket with an empty buffer does."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, object] = {}

    def write(self, data: bytes) -> None:
        pass


def _signed(text: str) -> str:
    return hmac.new(b"bench-secret", text.encode(), hashlib.sha256).hexdigest()


def reference() -> None:
    """About 10 µs of plain Python: attribute access, a dictionary, a loop, small integers."""
    table: dict[int, int] = {}
    for i in range(100):
        table[i & 15] = table.get(i & 15, 0) + i


def encode_frame() -> None:
    """One text frame from a payload."""
    text_frame(EVENT)


def encode_event() -> None:
    """One payload from name, channel and data."""
    events.channel_event("comment.created", "private-session.1", DATA)


def decode_message() -> None:
    """One client event, checked and decoded."""
    messages.decode(CLIENT_EVENT)


_MASKED = Frame(Opcode.TEXT, CLIENT_EVENT).serialize(mask=True)
_reader = FrameReader(131_072)
_library = ServerProtocol(state=State.OPEN)


def read_frame() -> None:
    """One masked text frame, on the fast path."""
    for _ in _reader.receive(_MASKED):
        pass


def read_frame_library() -> None:
    """The same frame by the library's sans-I/O parser."""
    _library.receive_data(_MASKED)
    _library.events_received()


_PRESENCE = '{"user_id":"7","user_info":{"name":"Amina"}}'
_AUTH = "bench-key:" + _signed(f"1.2:presence-online-users:{_PRESENCE}")


def check_channel_auth() -> None:
    """The signature of one subscription."""
    channel_auth.verify(APP, "1.2", "presence-online-users", _AUTH, _PRESENCE)


_BODY = b'{"name":"comment.created","channel":"private-session.1","data":' + DATA + b"}"
_MD5 = hashlib.md5(_BODY, usedforsecurity=False).hexdigest()
_QUERY = f"auth_key=bench-key&auth_timestamp=1700000000&auth_version=1.0&body_md5={_MD5}"
_SIGNED_QUERY = (
    f"{_QUERY}&auth_signature={_signed(f'POST{chr(10)}/apps/1/events{chr(10)}{_QUERY}')}".encode()
)


def check_request() -> None:
    """The signature of one HTTP request, body digest included."""
    query = parse_query(_SIGNED_QUERY)
    verify(APP, "POST", b"/apps/1/events", query, _BODY, 1_700_000_000.0, prefix="")


def _channel(subscribers: int) -> tuple[Channel, Fanout, list[Callable[[], None]]]:
    from pusher_server.hub.channel import Subscription

    channel = Channel(parse_channel_name("bench"))
    for _ in range(subscribers):
        subscription = Subscription(channel, _Transport(), None)  # type: ignore[arg-type]
        channel.add(subscription)
        channel.activate(subscription, ())
    turns: list[Callable[[], None]] = []
    return channel, Fanout(turns.append), turns


_fanned = _channel(SUBSCRIBERS)
_FRAME = text_frame(EVENT)


def _fan_out(frames: int) -> None:
    channel, fanout, turns = _fanned
    for _ in range(frames):
        channel.queue(_FRAME)
        fanout.schedule(channel)
    while turns:
        turns.pop()()


def fan_out() -> None:
    """One event to 1,000 transports that do nothing."""
    _fan_out(1)


def fan_out_8() -> None:
    """Eight events of one loop turn to 1,000 transports that do nothing."""
    _fan_out(8)


_ENTRIES = [events.MemberEntry(Member(str(i), b'{"name":"Amina"}')) for i in range(500)]


def presence_list() -> None:
    """The success frame of a presence channel with 500 members."""
    events.presence_succeeded("presence-online-users", _ENTRIES)


#: What is measured, and by how much one run is divided.
BENCHMARKS: dict[Callable[[], None], int] = {
    encode_frame: 1,
    encode_event: 1,
    read_frame: 1,
    read_frame_library: 1,
    decode_message: 1,
    check_channel_auth: 1,
    check_request: 1,
    fan_out: SUBSCRIBERS,
    fan_out_8: SUBSCRIBERS * 8,
    presence_list: 1,
}


def measure(work: Callable[[], None]) -> float:
    """Seconds for one call, the best of `ROUNDS`."""
    timer = Timer(work)
    calls = 1
    while timer.timeit(calls) < ROUND_SECONDS / 4:
        calls *= 2
    return min(timer.timeit(calls) for _ in range(ROUNDS)) / calls


def main() -> None:
    """Measure everything and print it."""
    began = time.monotonic()
    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}\n")
    print(f"{'µs':>9}  {'ratio':>8}  what")
    for work, parts in BENCHMARKS.items():
        base = measure(reference)
        seconds = measure(work) / parts
        print(f"{seconds * 1e6:9.3f}  {seconds / base:8.4f}  {(work.__doc__ or '').strip()}")
    took = time.monotonic() - began
    print(
        f"\nfan-out: per delivery. ratio: to {reference.__name__}() in the same run. {took:.1f} s"
    )


if __name__ == "__main__":
    main()
