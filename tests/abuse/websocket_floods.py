"""Floods on an established WebSocket connection. Each needs the public key only, unless it says otherwise."""

import json
from collections.abc import Iterator

from tests.abuse.flood import AUTH_TOKEN, OWN_CHANNEL, Flood, repeated
from tests.support.frames import CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.support.wire import frame, message, subscribe, text

#: Its masked form has a fixed length, so a block can be cut anywhere and a test can count it.
PING_MESSAGE = message("pusher:ping", data={})
#: Channels that a flood joins and leaves in turn.
CHANNELS = 200


def _spread(payload: bytes) -> bytes:
    """One message in fragments of one byte."""
    last = len(payload) - 1
    return b"".join(
        frame(CONTINUATION if at else TEXT, payload[at : at + 1], final=at == last)
        for at in range(len(payload))
    )


def _pairs() -> bytes:
    """Joins and leaves of many channels."""
    names = [f"flood-{number}" for number in range(CHANNELS)]
    return b"".join(
        subscribe(name) + message("pusher:unsubscribe", data={"channel": name}) for name in names
    )


def _waves() -> bytes:
    """Joins of many channels, then leaves of all of them."""
    names = [f"wave-{number}" for number in range(CHANNELS)]
    joins = b"".join(subscribe(name) for name in names)
    return joins + b"".join(message("pusher:unsubscribe", data={"channel": n}) for n in names)


def _shape(name: str, text_: str, block: bytes, **options: object) -> Flood:
    return Flood(name, text_, block, websocket=True, **options)  # type: ignore[arg-type]


#: What every flood is compared with.
ORDINARY = _shape(
    "ordinary messages", "`pusher:ping` in whole frames, read", repeated(PING_MESSAGE)
)


def websocket_floods() -> Iterator[Flood]:
    """All of them."""
    begun = frame(TEXT, b"", final=False)
    empty = frame(CONTINUATION, b"", final=False)
    ping_text = json.dumps({"event": "pusher:ping", "data": {}}).encode()
    joining = {"channel": OWN_CHANNEL, "auth": AUTH_TOKEN.decode()}
    own = (json.dumps({"event": "pusher:subscribe", "data": joining}).encode(),)
    whisper = message("client-flood", channel=OWN_CHANNEL, data={})

    yield _shape(
        "empty continuations",
        "one message of empty frames without end",
        repeated(empty),
        head=begun,
    )
    yield _shape(
        "1-byte fragments", "small messages, a byte per frame", repeated(_spread(ping_text))
    )
    yield _shape(
        "long 1-byte fragments",
        "one message without end, a byte per frame",
        repeated(frame(CONTINUATION, b"x", final=False)),
        head=begun,
    )
    yield _shape(
        "fragments and pings",
        "pings between a message's empty frames",
        repeated(empty + frame(PING, b"")),
        head=begun,
    )
    yield _shape("pings", "empty ping frames", repeated(frame(PING, b"")))
    yield _shape("large pings", "ping frames of 125 bytes", repeated(frame(PING, b"p" * 125)))
    yield _shape("pings, unread", "pongs are not read", repeated(frame(PING, b"")), reads=False)
    yield _shape("pongs", "pong frames nobody asked for", repeated(frame(PONG, b"")))
    yield _shape("pusher:ping, unread", "answers are not read", repeated(PING_MESSAGE), reads=False)
    yield _shape("empty messages", "text frames without a byte", repeated(text(b"")))
    yield _shape("invalid JSON", "`{`, each with its error", repeated(text(b"{")))
    yield _shape(
        "deep JSON", "100 kB of `[`", repeated(text(b'{"event":"x","data":' + b"[" * 100_000))
    )
    yield _shape(
        "large messages", "128 kB of nothing", repeated(text(b'"' + b"x" * 131_000 + b'"'))
    )
    cut = b"\\ud83d" * 21_000
    yield _shape(
        "cut emojis",
        "a name of 21,000 lone surrogates",
        repeated(text(b'{"event":"pusher:subscribe","data":{"channel":"' + cut + b'"}}')),
    )
    decimals = b",".join([b"0.12345678901234567"] * 6_000)
    yield _shape(
        "decimals",
        "6,000 numbers that no float holds",
        repeated(text(b'{"event":"client-x","channel":"private-x","data":[' + decimals + b"]}")),
    )
    yield _shape("binary frames", "refused, again and again", repeated(frame(2, b"x")))
    yield _shape("pairs", "joins and leaves of a channel in turn", _pairs())
    yield _shape("waves", f"{CHANNELS} joins, then {CHANNELS} leaves", _waves())
    yield _shape(
        "refused joins",
        "private channels with a wrong signature",
        repeated(subscribe("private-x", auth=f"key:{'0' * 64}")),
    )
    yield _shape(
        "client events",
        "10 a second are allowed, with its own channel",
        repeated(whisper),
        opening=own,
    )
    yield _shape(
        "after the goodbye",
        "frames behind a close frame",
        repeated(PING_MESSAGE),
        head=frame(CLOSE),
    )
    yield _shape("1-byte segments", "each byte in a segment", repeated(PING_MESSAGE), segment=1)
