"""A small Pusher client of our own: raw enough to send anything, strict in what it expects.

It checks every frame as it arrives (docs/protocol/frames.md#envelope): text, a JSON object with a string
`event`.
"Nothing came" is decided by a barrier (ping, pong), not by waiting.
"""

import asyncio
import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from tests.conformance.target import Credentials, Target
from tests.support.signing import channel_auth, user_auth
from tests.support.waiting import PATIENCE

QUERY = "protocol=7&client=js&version=8.6.0&flash=false"
_serial = itertools.count(1)


def unique(name: str) -> str:
    """A channel name or id that no other test uses."""
    return f"{name}{next(_serial)}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class Frame:
    """One message from the server. `data` is as on the wire: a str almost always."""

    event: str
    data: Any
    channel: str | None
    user_id: Any
    raw: dict[str, Any]

    @property
    def content(self) -> Any:
        """What `data` means: the JSON in it when it is a string, itself otherwise."""
        return json.loads(self.data) if isinstance(self.data, str) else self.data

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Decode a frame, refusing what no official client could read."""
        assert isinstance(text, str), f"binary frame from the server: {text!r}"
        raw = json.loads(text)
        assert isinstance(raw, dict), f"not an object: {text}"
        assert isinstance(raw.get("event"), str), f"no event: {text}"
        kind = dict if raw["event"] == "pusher:error" else str
        assert isinstance(raw.get("data"), kind), f"data must be a {kind.__name__}: {text}"
        return cls(raw["event"], raw.get("data"), raw.get("channel"), raw.get("user_id"), raw)


class Client:
    """One WebSocket connection to the server under test; `connected` makes an established one."""

    def __init__(self, app: Credentials, socket: ClientConnection) -> None:
        self.app = app
        self.socket = socket
        self.socket_id = ""
        self.activity_timeout = 0

    # Sending

    async def send_text(self, text: str) -> None:
        """Send any text as one frame."""
        await self.socket.send(text)

    async def send(self, event: str, **fields: Any) -> None:
        """Send a message with exactly these fields."""
        await self.send_text(json.dumps({"event": event, **fields}, ensure_ascii=False))

    def auth(self, channel: str, channel_data: str | None = None) -> str:
        """A right `auth` for this connection."""
        return channel_auth(self.app.key, self.app.secret, self.socket_id, channel, channel_data)

    async def request_subscription(
        self, channel: str, channel_data: str | None = None, *, auth: str | None = None
    ) -> None:
        """Send `pusher:subscribe` as pusher-js does, signed if the kind of channel wants it."""
        if auth is None:
            needs_auth = channel.startswith(("private-", "presence-"))
            auth = self.auth(channel, channel_data) if needs_auth else ""
        data = {"auth": auth, "channel": channel}
        if channel_data is not None:
            data["channel_data"] = channel_data
        await self.send("pusher:subscribe", data=data)

    async def subscribe(self, channel: str, channel_data: str | None = None) -> Frame:
        """Subscribe and return the success frame."""
        await self.request_subscription(channel, channel_data)
        return await self.expect("pusher_internal:subscription_succeeded", channel)

    async def join(self, channel: str, user_id: Any, **fields: Any) -> dict[str, Any]:
        """Subscribe to a presence channel as this user; returns `presence` of the answer."""
        member = json.dumps({"user_id": user_id, **fields})
        presence = (await self.subscribe(channel, member)).content["presence"]
        assert isinstance(presence, dict)
        return presence

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe; there is no answer to wait for."""
        await self.send("pusher:unsubscribe", data={"channel": channel})

    async def request_sign_in(self, user_data: str, *, auth: str | None = None) -> None:
        """Send `pusher:signin` with this exact text."""
        auth = auth or user_auth(self.app.key, self.app.secret, self.socket_id, user_data)
        await self.send("pusher:signin", data={"auth": auth, "user_data": user_data})

    async def sign_in(self, user_id: Any, **fields: Any) -> Frame:
        """Sign in and return the success frame."""
        await self.request_sign_in(json.dumps({"id": user_id, **fields}))
        return await self.expect("pusher:signin_success")

    # Receiving

    async def receive(self, patience: float = PATIENCE) -> Frame:
        """The next frame; fails when none comes."""
        try:
            async with asyncio.timeout(patience):
                return Frame.parse(await self.socket.recv())
        except TimeoutError:
            raise AssertionError(f"nothing received for {patience} s") from None

    async def expect(
        self, event: str, channel: str | None = None, *, patience: float = PATIENCE
    ) -> Frame:
        """The next frame, which must be this event of this channel."""
        frame = await self.receive(patience)
        assert (frame.event, frame.channel) == (event, channel), f"unexpected frame {frame.raw}"
        return frame

    async def expect_error(self, code: int | None) -> Frame:
        """The next frame, which must be `pusher:error` with this code and data as an object."""
        frame = await self.receive()
        assert frame.event == "pusher:error", f"unexpected frame {frame.raw}"
        assert isinstance(frame.data, dict), f"error data must be an object: {frame.raw}"
        assert frame.data["code"] == code, f"wrong code: {frame.raw}"
        assert isinstance(frame.data["message"], str)
        return frame

    async def expect_refusal(self, channel: str | None) -> dict[str, Any]:
        """The next frame, which must refuse a subscription; returns its type, error and status."""
        frame = await self.receive()
        assert frame.event == "pusher:subscription_error", f"unexpected frame {frame.raw}"
        assert frame.channel == channel, frame.raw
        content = frame.content
        assert isinstance(frame.data, str), f"data must be a string: {frame.raw}"
        assert content.keys() >= {"type", "error", "status"}
        assert isinstance(content, dict)
        return content

    async def pending(self) -> list[Frame]:
        """Everything that the server had to say before it answers a ping sent now."""
        await self.send("pusher:ping", data={})
        frames = []
        while (frame := await self.receive()).event != "pusher:pong":
            frames.append(frame)
        return frames

    async def expect_nothing(self) -> None:
        """The connection lives and has nothing to say."""
        frames = await self.pending()
        assert frames == [], f"unexpected frames {[frame.raw for frame in frames]}"

    async def expect_close(self, patience: float = PATIENCE) -> tuple[int | None, str]:
        """The close code and reason; fails when another message comes first, or nothing."""
        try:
            async with asyncio.timeout(patience):
                message = await self.socket.recv()
        except TimeoutError:
            raise AssertionError(f"still open after {patience} s") from None
        except ConnectionClosed:
            return self.socket.close_code, self.socket.close_reason or ""
        raise AssertionError(f"expected the close, got {message!r}")

    # Connecting

    async def expect_established(self) -> Frame:
        """The first frame of a good handshake; remembers the socket_id."""
        frame = await self.expect("pusher:connection_established")
        self.socket_id = frame.content["socket_id"]
        self.activity_timeout = frame.content["activity_timeout"]
        return frame


@asynccontextmanager
async def opened(
    target: Target,
    app: Credentials,
    *,
    query: str = QUERY,
    path: str | None = None,
    origin: str | None = None,
    subprotocols: list[str] | None = None,
) -> AsyncIterator[Client]:
    """A WebSocket of which nothing has been read yet."""
    url = target.websocket_url + (path if path is not None else f"/app/{app.key}")
    async with connect(
        f"{url}?{query}" if query else url,
        origin=Origin(origin) if origin else None,
        subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
        compression=None,
        ping_interval=None,
        max_size=None,
        max_queue=None,  # a full queue stops reading, and closing would wait for its time-out
        proxy=None,
        close_timeout=1,
    ) as socket:
        yield Client(app, socket)


@asynccontextmanager
async def connected(
    target: Target, app: Credentials | None = None, **options: Any
) -> AsyncIterator[Client]:
    """An established connection (to the main app unless told otherwise)."""
    async with opened(target, app or target.main, **options) as client:
        await client.expect_established()
        yield client
