"""The bytes around a payload, read back by RFC 6455 alone."""

import pytest

from pusher_server.protocol.frames import PING, close_frame, pong_frame, text_frame
from tests.support import frames
from tests.support.frames import CLOSE, PONG, TEXT, ServerFrame, server_frames


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f" + (65_536).to_bytes(8)),
    ],
)
def test_a_text_frame_has_the_shortest_length_field(size: int, head: bytes) -> None:
    payload = b"x" * size
    frame = text_frame(payload)
    assert frame == head + payload
    assert list(server_frames(frame)) == [ServerFrame(TEXT, payload)]


def test_an_empty_ping_and_a_pong_with_the_clients_payload() -> None:
    assert list(server_frames(PING + pong_frame(b"x" * 125))) == [
        ServerFrame(frames.PING, b""),
        ServerFrame(PONG, b"x" * 125),
    ]


def test_a_close_frame_carries_code_and_reason() -> None:
    assert list(server_frames(close_frame(4009, "no"))) == [
        ServerFrame(CLOSE, (4009).to_bytes(2) + b"no")
    ]


def test_a_close_frame_without_code_has_no_body() -> None:
    assert close_frame(None, "ignored") == b"\x88\x00"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("x" * 123, 123), ("x" * 124, 123), ("é" * 61 + "x", 123), ("é" * 62, 122), ("😀" * 31, 120)],
)
def test_a_long_reason_is_cut_between_characters(reason: str, kept: int) -> None:
    (frame,) = server_frames(close_frame(4001, reason))
    text = frame.payload[2:]
    assert len(text) == kept
    assert reason.startswith(text.decode())
