"""A browser tab: connects, subscribes, reads, comes back as pusher-js does."""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from tests.chaos.findings import Findings
from tests.chaos.ledger import Ledger
from tests.chaos.plan import ClientPlan
from tests.chaos.view import View
from tests.chaos.world import KEY, SECRET, Address, Timing, user_channel
from tests.support import wire
from tests.support.frames import CLOSE, PING, PONG, TEXT, FrameBuffer
from tests.support.signing import channel_auth, user_auth

PATH = f"/app/{KEY}?protocol=7&client=js&version=8.6.0&flash=false"
#: A node that does not answer the handshake is not asked for longer.
HANDSHAKE = 2.0
ABNORMAL = 1006
#: Seconds in which a client that reads again has read what was left and the end behind it.
NOTICED = 3.0
#: So that a broad channel stays below 100 subscribers, above which counts are told every 5 s only.
MOST_CHANNELS = 5


@dataclass
class Surroundings:
    """What all clients share. `random` decides only what the plan leaves to chance: tie-breaking waits."""

    addresses: Sequence[Address]
    findings: Findings
    ledger: Ledger
    timing: Timing
    random: Random


class Client:
    """One tab over all its connections. Its task is `run`; everything else may be called at any time."""

    def __init__(self, plan: ClientPlan, around: Surroundings) -> None:
        self.plan = plan
        self.wanted: set[str] = set(plan.channels)
        self.is_open = plan.starts_open
        self.view: View | None = None
        self._around = around
        self._node = plan.first_node % len(around.addresses)
        self._link: _Link | None = None
        self._away = 0.0
        self._woken = asyncio.Event()
        self._whispers = 0

    @property
    def name(self) -> str:
        """For people."""
        return f"client {self.plan.index} ({self.plan.user})"

    @property
    def settled(self) -> bool:
        """Is where the plan wants it: closed, or in all its channels and signed in, and reading."""
        if not self.is_open:
            return self._link is None
        view = self.view
        if view is None or self._link is None or self._link.stalled:
            return False
        channels = {name: s for name, s in view.subscriptions.items() if not name.startswith("#")}
        in_all = channels.keys() == self.wanted and all(s.granted for s in channels.values())
        return in_all and view.signed_in is self.plan.signs_in

    async def run(self) -> None:
        """Live until cancelled."""
        while True:
            while not self.is_open:
                self._woken.clear()
                await self._woken.wait()
            wait = await self._connection()
            if self._away:
                wait, self._away = self._away, 0.0
            await asyncio.sleep(wait)

    # What the plan makes it do

    def toggle(self, channel: str) -> None:
        """Join or leave; with enough channels already, leave another one instead."""
        view = self._established
        if channel not in self.wanted and len(self.wanted) >= MOST_CHANNELS:
            channel = sorted(self.wanted)[len(channel) % MOST_CHANNELS]
        if channel in self.wanted:
            self.wanted.discard(channel)
            if view is not None and channel in view.subscriptions:
                self._send("pusher:unsubscribe", data={"channel": channel})
                unread_since = None if self._link is None else self._link.unread_since
                view.unsubscribe(channel, unread_since)
                self._send("pusher:ping", data={})
        else:
            self.wanted.add(channel)
            if view is not None:
                self._subscribe(view, channel)

    def whisper(self, channel: str) -> None:
        """A client event, if the client is in the channel."""
        view = self._established
        subscription = None if view is None else view.subscriptions.get(channel)
        if view is None or subscription is None or not subscription.granted:
            return
        self._whispers += 1
        name = f"client-tick:{view.socket_id}:{self._whispers}"
        data: dict[str, Any] = {"sender": view.socket_id}
        if channel.startswith("presence-"):
            data["user"] = self.plan.user
        self._around.ledger.published(name, channel, time.monotonic(), sender=subscription.stay)
        self._send(name, channel=channel, data=data)

    def reload(self, away: float) -> None:
        """The connection ends at once, another begins after `away` seconds."""
        if self._link is not None:
            self._away = away
            self._link.transport.abort()

    def cut(self) -> None:
        """The connection is lost; the client comes back as after any loss."""
        if self._link is not None:
            self._link.transport.abort()

    def turn(self) -> None:
        """Close the page, or open it."""
        self.is_open = not self.is_open
        if self.is_open:
            self._woken.set()
        elif self._link is not None:
            self._link.transport.abort()

    def stall(self, seconds: float) -> None:
        """Read nothing for a while."""
        if self._link is not None:
            self._link.stall(seconds)

    # One connection

    @property
    def _established(self) -> View | None:
        return self.view if self._link is not None else None

    async def _connection(self) -> float:
        """Connect and stay until the connection ends; answers how long to wait before the next."""
        around = self._around
        link = _Link(self._receive)
        loop = asyncio.get_running_loop()
        host, port = around.addresses[self._node]
        try:
            async with asyncio.timeout(HANDSHAKE):
                await loop.create_connection(lambda: link, host, port)
                link.transport.write(wire.upgrade(PATH))
                await link.upgraded
        except (OSError, TimeoutError):
            around.findings.seen["failed connects"] += 1
            link.give_up()
            return self._elsewhere()
        self._link = link
        if not self.is_open:
            link.transport.abort()
        code = ABNORMAL
        try:
            code = await link.ended
        finally:
            self._link = None
            if self.view is not None:
                # Who did not read is dropped, and notices only when it reads again.
                self.view.end(link.unread_since if code == ABNORMAL else None)
            link.transport.abort()
        return self._after(code)

    def _after(self, code: int) -> float:
        """pusher-js' answer to a close code (docs/protocol/connection.md#reactions)."""
        around, view = self._around, self.view
        self.view = None
        around.findings.seen[f"closed {code}"] += 1
        if 4000 <= code < 4100 or code >= 4300:
            # The server may have signed it in already, without having said so yet.
            signed_in = view is not None and view.user is not None
            if code == 4009 and signed_in and around.ledger.may_be_terminated(self.plan.user):
                return 2 * around.timing.backoff  # the user opens the page again
            text = f"{self.name}: closed with {code}, which is final"
            context = [] if view is None else view.context()
            around.findings.report("refused", time.monotonic(), text, context)
            return 2 * around.timing.backoff
        if 4200 <= code < 4300:
            return self._elsewhere(0.0)
        return self._elsewhere()

    def _elsewhere(self, wait: float | None = None) -> float:
        """A load balancer would choose another node now."""
        around = self._around
        self._node = (self._node + 1) % len(around.addresses)
        wait = around.timing.backoff if wait is None else wait
        return wait * around.random.uniform(0.9, 1.1)

    # Messages

    def _receive(self, payload: bytes) -> None:
        if self.view is None:
            self._greeted(json.loads(payload))
            return
        message = self.view.receive(payload)
        if message["event"] == "pusher:ping":
            self._send("pusher:pong", data={})
        elif message["event"] == "pusher:signin_success":
            channel = user_channel(self.plan.user)
            self._send("pusher:subscribe", data={"auth": "", "channel": channel})

    def _greeted(self, message: dict[str, Any]) -> None:
        """The first message: established, or an error whose close follows."""
        around = self._around
        if message["event"] != "pusher:connection_established":
            return
        socket_id = json.loads(message["data"])["socket_id"]
        view = View(self.name, socket_id, around.findings, around.ledger, time.monotonic)
        self.view = view
        around.findings.seen["connections"] += 1
        if self.plan.signs_in:
            user = {"id": self.plan.user, "watchlist": list(self.plan.watchlist)}
            text = json.dumps(user)
            auth = user_auth(KEY, SECRET, socket_id, text)
            view.sign_in(self.plan.user)
            self._send("pusher:signin", data={"auth": auth, "user_data": text})
        for channel in sorted(self.wanted):
            self._subscribe(view, channel)

    def _subscribe(self, view: View, channel: str) -> None:
        data = {"auth": "", "channel": channel}
        user = None
        if channel.startswith("presence-"):
            user = self.plan.user
            member = json.dumps({"user_id": user, "user_info": {"name": f"User {user}"}})
            data["channel_data"] = member
            data["auth"] = channel_auth(KEY, SECRET, view.socket_id, channel, member)
        elif channel.startswith("private-"):
            data["auth"] = channel_auth(KEY, SECRET, view.socket_id, channel)
        view.subscribe(channel, user)
        self._send("pusher:subscribe", data=data)

    def _send(self, event: str, **fields: Any) -> None:
        link, view = self._link, self.view
        text = json.dumps({"event": event, **fields})
        if view is not None:
            view.sent(text)
        if link is not None:
            link.send(text)


class _Link(asyncio.Protocol):
    """The socket: handshake, frames, pings, the close."""

    transport: asyncio.Transport

    def __init__(self, receive: Any) -> None:
        loop = asyncio.get_running_loop()
        self.upgraded: asyncio.Future[None] = loop.create_future()
        #: The close code.
        self.ended: asyncio.Future[int] = loop.create_future()
        self.stalled = False
        self._stalled_at = self._resumed_at = 0.0
        self.transport = cast(asyncio.Transport, None)
        self._receive = receive
        self._head: bytes | None = b""
        self._frames = FrameBuffer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = None
            if not head.startswith(b"HTTP/1.1 101"):
                self._finish(ABNORMAL)
                return
            if not self.upgraded.done():
                self.upgraded.set_result(None)
            # The greeting may be in the same segment: taken in once somebody waits for it.
            asyncio.get_running_loop().call_soon(self._take, data)
        else:
            asyncio.get_running_loop().call_soon(self._take, data)

    def _take(self, data: bytes) -> None:
        for opcode, payload in self._frames.feed(data):
            if self.ended.done():
                return
            if opcode == TEXT:
                self._receive(payload)
            elif opcode == PING:
                self.transport.write(wire.frame(PONG, payload))
            elif opcode == CLOSE:
                self.transport.write(wire.frame(CLOSE, payload[:2]))
                self._finish(int.from_bytes(payload[:2], "big") if payload else 1005)

    def give_up(self) -> None:
        """Nothing of it counts any more, not even what has arrived and was not taken in yet."""
        self._finish(ABNORMAL)
        if self.transport is not None:
            self.transport.abort()

    def send(self, text: str) -> None:
        """One text frame."""
        if not self.transport.is_closing():
            self.transport.write(wire.frame(TEXT, text.encode()))

    def stall(self, seconds: float) -> None:
        """Stop reading, and go on later."""
        if self.stalled or self.transport.is_closing():
            return
        self.stalled = True
        self._stalled_at = time.monotonic()
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._resume)

    @property
    def unread_since(self) -> float | None:
        """When it stopped reading, if it has not gone on long enough to have noticed that it was dropped."""
        if self.stalled or time.monotonic() - self._resumed_at < NOTICED:
            return self._stalled_at
        return None

    def _resume(self) -> None:
        self.stalled = False
        self._resumed_at = time.monotonic()
        if not self.transport.is_closing():
            with contextlib.suppress(RuntimeError):
                self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.upgraded.done():
            self.upgraded.set_exception(ConnectionResetError("no handshake"))
            self.upgraded.exception()  # it is told by `create_connection` or not at all
        self._finish(ABNORMAL)

    def _finish(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)
