"""Rows C9, C10: messages and frames that are wrong (docs/protocol/frames.md)."""

import json

import pytest

from tests.conformance.client import connected, unique
from tests.conformance.raw_socket import finish_closing, next_message, raw_connected
from tests.conformance.target import Target
from tests.support.frames import BINARY, CONTINUATION, PING, PONG, TEXT
from tests.support.wire import frame


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '"x"', '{"event":1}', "{}", "null", "NaN", "[" * 5_000, '{"event":"\\ud800"}'],
    ids=lambda text: text[:12],
)
async def test_C9_malformed_message_is_told_4200(target: Target, text: str) -> None:
    """Text that is no message gets error 4200, and the connection stays open."""
    async with connected(target) as client:
        await client.send_text(text)
        await client.expect_error(4200)
        await client.expect_nothing()


@pytest.mark.parametrize("event", ["pusher:unheard-of", "something", "pusher_internal:x"])
async def test_C9_unknown_event_is_ignored(target: Target, event: str) -> None:
    """Unknown pusher:* events, and names neither pusher:* nor client-*, are ignored."""
    async with connected(target) as client:
        await client.send(event, data={}, channel="x")
        await client.expect_nothing()


async def test_C9_stringified_data_is_understood(target: Target) -> None:
    """The data of a pusher:* message may come as a string of JSON."""
    channel = unique("stringified-")
    async with connected(target) as client:
        data = json.dumps({"channel": channel, "auth": ""})
        await client.send("pusher:subscribe", data=data)
        await client.expect("pusher_internal:subscription_succeeded", channel)


async def test_C10_binary_frame_is_closed_with_1003(target: Target) -> None:
    """A binary frame is answered by close 1003."""
    async with raw_connected(target, target.main) as socket:
        await next_message(socket)
        await socket.send(frame(BINARY, b'{"event":"pusher:ping","data":{}}'))
        await finish_closing(socket, 1003)


async def test_C10_oversize_frame_is_closed_with_1009(target: Target) -> None:
    """A message over the size limit is answered by close 1009; one just below it is served."""
    async with raw_connected(target, target.app("small_messages")) as socket:
        await next_message(socket)
        ping = b'{"event":"pusher:ping","data":{"x":"%s"}}'
        await socket.send(frame(TEXT, ping % (b"x" * 1_900)))
        assert (await next_message(socket)).event == "pusher:pong"
        await socket.send(frame(TEXT, ping % (b"x" * 2_100)))
        await finish_closing(socket, 1009)


async def test_C10_oversize_fragmented_message_is_closed_with_1009(target: Target) -> None:
    """The limit counts the whole message, however it is cut."""
    async with raw_connected(target, target.app("small_messages")) as socket:
        await next_message(socket)
        await socket.send(frame(TEXT, b"x" * 1_500, final=False))
        await socket.send(frame(CONTINUATION, b"x" * 1_500))
        await finish_closing(socket, 1009)


async def test_C10_fragmented_message_is_reassembled(target: Target) -> None:
    """A message in fragments, with a control frame between them, is one message."""
    async with raw_connected(target, target.main) as socket:
        await next_message(socket)
        await socket.send(frame(TEXT, b'{"event":"pusher', final=False))
        await socket.send(frame(PING, b"between"))
        await socket.send(frame(CONTINUATION, b':ping","data":{}}'))
        assert await socket.frame() == (PONG, b"between")
        assert (await next_message(socket)).event == "pusher:pong"


@pytest.mark.parametrize(
    ("payload", "masked", "code"),
    [(b"\xff\xfe", True, 1007), (b"{}", False, 1002)],
    ids=["invalid UTF-8", "unmasked"],
)
async def test_C10_broken_frame_is_closed_cleanly(
    target: Target, payload: bytes, masked: bool, code: int
) -> None:
    """Invalid UTF-8 is closed with 1007, an unmasked frame with 1002 (RFC 6455)."""
    async with raw_connected(target, target.main) as socket:
        await next_message(socket)
        await socket.send(frame(TEXT, payload, masked=masked))
        await finish_closing(socket, code)
