"""The hot path in one process: the real server, on transports that keep what is written. No socket, no client.

    python -m benchmarks.hot_path

Every kind of work is done often between two calls of `mark`, and its outcome is checked. A program that
counts instructions outside sees the marks (`instructions.py`). Printed is a JSON list of what lies between
them: a name and how often it was done.

Everything that could differ from run to run is fixed: numbers that are random elsewhere, requests, the
garbage collector, which is off, and the program's arguments.
"""

import asyncio
import gc
import hashlib
import hmac
import itertools
import json
import os
import random
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import uvloop
from msgspec import structs
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from benchmarks.bench_micro import reference
from pusher_server.config import Config, load
from pusher_server.server.composition import Server

REPETITIONS = 200
#: What is done of each kind before it counts: Python gives a function its final form after some calls.
WARM_UP = 100
#: Subscribers of the channel that tells what one more of them costs. Fan-outs serve so many in one turn.
CROWD = 200

#: Of the app in config.example.toml.
_KEY, _SECRET = "app-key", b"app-secret"

#: The server's clock stands still, because the digits of the time get into signatures.
_NOW = 1_700_000_000.0

#: One repetition of some kind of work.
Step = Callable[[], object]


def mark() -> None:
    """End a part of the program for a counter outside. Nothing else here makes this system call."""
    os.getppid()


class Wire:
    """A transport without a socket. What is written stands in `sent`."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol
        self.sent: list[bytes] = []
        #: No function of ours: it would be counted as well.
        self.write = self.sent.append
        protocol.connection_made(cast(asyncio.Transport, self))

    def receive(self, data: bytes) -> None:
        """Give the server what a client has sent."""
        self.protocol.data_received(data)

    def get_extra_info(self, name: str) -> object:
        """Return addresses of a client on this machine; there is no TLS."""
        return {"sockname": ("127.0.0.1", 6001), "peername": ("127.0.0.1", 40_000)}.get(name)

    def get_protocol(self) -> asyncio.Protocol:
        """Return the protocol that was set last."""
        return self.protocol

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Take another protocol, as an upgrade does."""
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int) -> None:
        """Do nothing: nothing is buffered."""

    def get_write_buffer_size(self) -> int:
        """Return how much is buffered: nothing."""
        return 0

    def is_closing(self) -> bool:
        """Return False: it stays open."""
        return False

    def is_reading(self) -> bool:
        """Return True: it is read all the time."""
        return True

    def close(self) -> None:
        """Raise: no work here may end a connection."""
        raise RuntimeError(f"the server ended a connection; it wrote {self.sent[-1:]}")

    abort = close


def _signature(text: str) -> str:
    return hmac.new(_SECRET, text.encode(), hashlib.sha256).hexdigest()


def _publication(channel: str, number: int) -> bytes:
    """A backend's request to publish one event with 200 bytes of data, as Laravel signs it."""
    data = json.dumps({"id": 100_000 + number, "body": "x" * 200})
    body = json.dumps({"name": "comment.created", "channel": channel, "data": data}).encode()
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    query = f"auth_key={_KEY}&auth_timestamp={_NOW:.0f}&auth_version=1.0&body_md5={digest}"
    signature = _signature(f"POST\n/apps/1/events\n{query}")
    head = (
        f"POST /apps/1/events?{query}&auth_signature={signature} HTTP/1.1\r\n"
        "Host: 127.0.0.1:6001\r\nUser-Agent: GuzzleHttp/7\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_HANDSHAKE = (
    f"GET /app/{_KEY}?protocol=7&client=js&version=8.4.0&flash=false HTTP/1.1\r\n"
    "Host: 127.0.0.1:6001\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Origin: http://127.0.0.1\r\nUser-Agent: Mozilla/5.0\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


def _frame(event: str, **fields: object) -> bytes:
    """One message of a client, masked."""
    message = json.dumps({"event": event, **fields}).encode()
    return Frame(Opcode.TEXT, message).serialize(mask=True)


def _subscription(wire: Wire, channel: str, **member: str) -> bytes:
    """The frame in which the client of `wire` subscribes; a presence channel takes `channel_data`, too."""
    signed = ":".join((cast(Any, wire.protocol).socket_id, channel, *member.values()))
    auth = f"{_KEY}:{_signature(signed)}"
    return _frame("pusher:subscribe", data={"channel": channel, "auth": auth, **member})


def _member(number: int) -> str:
    """A member's data, as a backend signs it."""
    return json.dumps({"user_id": str(number), "user_info": {"name": "Amina"}})


def _config() -> Config:
    """The settings of config.example.toml, and no limit to the rate of client events."""
    config = load(None, {}, {})
    (app,) = config.apps
    limits = structs.replace(app.limits, client_events_per_second=1_000_000)
    return structs.replace(config, apps=(structs.replace(app, limits=limits),))


class HotPath:
    """A server, and the kinds of work; each is done `repetitions` times."""

    def __init__(self, loop: asyncio.AbstractEventLoop, repetitions: int) -> None:
        self._loop = loop
        self._repetitions = repetitions
        self._server = Server(_config())
        settings = self._server._uvicorn()  # as the in-process tests do
        settings.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")]  # set each second
        self._make = partial(
            cast(Any, settings.http_protocol_class),
            config=settings, server_state=state, app_state={}, _loop=loop,
        )  # fmt: skip
        #: The parts that were marked, in order, and how often each did its work.
        self.parts: list[tuple[str, int]] = []

    def client(self) -> Wire:
        """A new connection, before its first byte."""
        return Wire(self._make())

    def connected(self) -> Wire:
        """A new WebSocket client."""
        wire = self.client()
        self._turns([partial(wire.receive, _HANDSHAKE)])
        return wire

    def subscribed(self, channel: str) -> Wire:
        """A new WebSocket client that has subscribed to a private channel."""
        wire = self.connected()
        self._turns([partial(wire.receive, _subscription(wire, channel))])
        return wire

    def run(self) -> None:
        """Do all of it."""
        steps = [reference] * self._repetitions
        self._measure("reference", [reference] * WARM_UP + steps)
        self._measure("turn", [int] * (WARM_UP + self._repetitions))
        self._connect()
        self._subscribe()
        self._join()
        self._client_event()
        backend = self.client()
        self._publish("trigger", backend, "private-session.1", 1)
        self._publish("crowd", backend, "private-session.2", CROWD)

    def _connect(self) -> None:
        clients = [self.client() for _ in range(WARM_UP + self._repetitions)]
        self._measure(
            "connect", [partial(each.protocol.data_received, _HANDSHAKE) for each in clients]
        )
        _expect(clients, 1, b"pusher:connection_established")

    def _subscribe(self) -> None:
        clients = [self.connected() for _ in range(WARM_UP + self._repetitions)]
        self._measure(
            "subscribe",
            [
                partial(each.protocol.data_received, _subscription(each, f"private-user.{number}"))
                for number, each in enumerate(clients, 1_000)
            ],
        )
        _expect(clients, 2, b"pusher_internal:subscription_succeeded")

    def _join(self) -> None:
        """Fill a presence channel: each member gets the list, and those before it get `member_added`."""
        channel = "presence-online-users"
        clients = [self.connected() for _ in range(WARM_UP + self._repetitions)]
        self._measure(
            "join",
            [
                partial(
                    each.protocol.data_received,
                    _subscription(each, channel, channel_data=_member(number)),
                )
                for number, each in enumerate(clients, 1_000)
            ],
        )
        _expect(clients[-1:], 2, b"subscription_succeeded")
        _expect(clients[:1], 1 + len(clients), b"member_added")

    def _client_event(self) -> None:
        sender, peer = (self.subscribed("private-chat.1") for _ in range(2))
        self._measure(
            "client event",
            [
                partial(
                    sender.protocol.data_received,
                    _frame("client-typing", channel="private-chat.1", data={"user": n, "on": True}),
                )
                for n in range(100_000, 100_000 + WARM_UP + self._repetitions)
            ],
        )
        _expect([sender], 2, b"subscription_succeeded")
        _expect([peer], 2 + WARM_UP + self._repetitions, b"client-typing")

    def _publish(self, name: str, backend: Wire, channel: str, subscribers: int) -> None:
        clients = [self.subscribed(channel) for _ in range(subscribers)]
        backend.sent.clear()
        events = WARM_UP + self._repetitions
        self._measure(
            name,
            [
                partial(backend.protocol.data_received, _publication(channel, number))
                for number in range(events)
            ],
        )
        _expect([backend], events, b"HTTP/1.1 200 OK")
        _expect(clients, 2 + events, b"comment.created")

    def _measure(self, name: str, steps: Sequence[Step]) -> None:
        """Do the steps, each in a turn of the loop, the last `repetitions` of them between two marks."""
        self._turns(steps[:WARM_UP])
        mark()
        self._turns(steps[WARM_UP:])
        mark()
        self.parts.append((name, len(steps) - WARM_UP))

    def _turns(self, steps: Sequence[Step]) -> None:
        rest = iter(steps)

        def turn() -> None:
            step = next(rest, None)
            if step is None:
                self._loop.stop()
                return
            step()
            self._loop.call_soon(turn)  # behind what the step has put off

        self._loop.call_soon(turn)
        self._loop.run_forever()


def _expect(wires: Sequence[Wire], writes: int, last: bytes) -> None:
    """Raise unless each got so many writes, and the last one contains `last`."""
    for wire in wires:
        if len(wire.sent) != writes or last not in wire.sent[-1]:
            raise RuntimeError(f"{len(wire.sent)} writes, not {writes}: {wire.sent[-1:]}")


def main() -> None:
    """Do everything, and print what has been marked."""
    numbers = random.Random(0)
    secrets.randbelow = cast(Any, numbers.randrange)
    secrets.randbits = cast(Any, numbers.getrandbits)
    time.time = itertools.repeat(_NOW).__next__  # no function of ours: it would be counted
    gc.disable()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    work = HotPath(loop, REPETITIONS)
    work.run()
    json.dump(work.parts, sys.stdout)


if __name__ == "__main__":
    main()
