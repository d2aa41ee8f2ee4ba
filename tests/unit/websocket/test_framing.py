"""Bytes in, messages out; `tests/property/test_framing.py` holds both paths to one meaning."""

import tracemalloc
from collections.abc import Iterator

import pytest

from pusher_server.protocol.errors import FramingViolation
from pusher_server.websocket.framing import (
    LARGEST_MESSAGE,
    MAX_FRAGMENTS,
    CloseFrame,
    Fragment,
    FrameReader,
    PingFrame,
    PongFrame,
)
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame

HELLO = client_frame(TEXT, b"hello")


def complete(stream: bytes, max_bytes: int) -> Iterator[object]:
    """What becomes complete, step by step."""
    for each in FrameReader(max_bytes).receive(stream):
        if not isinstance(each, Fragment):
            yield each


def read(stream: bytes, max_bytes: int = 0) -> list[object]:
    return list(complete(stream, max_bytes))


def failure(stream: bytes, max_bytes: int = 0) -> tuple[list[object], int]:
    """What came before the failure, and its code."""
    before: list[object] = []
    with pytest.raises(FramingViolation) as caught:
        before.extend(complete(stream, max_bytes))
    return before, caught.value.code


def test_simple_frames_are_read_in_order() -> None:
    stream = HELLO + client_frame(PING, b"p") + client_frame(PONG, b"q") + HELLO
    assert read(stream) == [b"hello", PingFrame(b"p"), PongFrame(), b"hello"]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_form_of_the_length(size: int) -> None:
    frame = client_frame(TEXT, b"x" * size)
    assert read(frame) == [b"x" * size]
    reader = FrameReader(0)
    assert list(reader.receive(frame[:-1])) == []
    assert list(reader.receive(frame[-1:] + HELLO)) == [b"x" * size, b"hello"]


def test_a_stream_in_single_bytes() -> None:
    reader = FrameReader(0)
    stream = HELLO + client_frame(TEXT, b"y" * 200) + client_frame(PING)
    read_so_far = [each for byte in stream for each in reader.receive(bytes((byte,)))]
    assert read_so_far == [b"hello", b"y" * 200, PingFrame(b"")]


def test_a_fragmented_message_with_a_ping_in_between() -> None:
    stream = (
        HELLO
        + client_frame(TEXT, b"a", fin=False)
        + client_frame(PING, b"p")
        + client_frame(CONTINUATION, b"b", fin=False)
        + client_frame(PONG)
        + client_frame(CONTINUATION, b"c")
        + HELLO
    )
    assert read(stream) == [b"hello", PingFrame(b"p"), PongFrame(), b"abc", b"hello"]


@pytest.mark.parametrize(
    ("payload", "code"), [(b"", None), (b"\x03\xe8", 1000), (b"\x0f\xa1bye", 4001)]
)
def test_a_close_frame_with_and_without_a_code(payload: bytes, code: int | None) -> None:
    assert read(HELLO + client_frame(CLOSE, payload)) == [b"hello", CloseFrame(code)]


def test_what_follows_a_close_frame_is_dropped() -> None:
    reader = FrameReader(0)
    assert list(reader.receive(client_frame(CLOSE) + HELLO)) == [CloseFrame(None)]
    assert list(reader.receive(HELLO + b"\xff" * 50)) == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (client_frame(BINARY, b"x"), 1003),
        (client_frame(BINARY, b"x", fin=False), 1003),
        (client_frame(TEXT, b"x", mask=None), 1002),
        (client_frame(TEXT, b"x", reserved=4), 1002),
        (client_frame(3, b"x"), 1002),
        (client_frame(CONTINUATION, b"x"), 1002),
        (client_frame(PING, b"x", fin=False), 1002),
        (client_frame(PING, b"x" * 126), 1002),
        (client_frame(CLOSE, b"x"), 1002),
        (client_frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ],
)
def test_broken_frames_end_the_stream_after_what_came_before(frame: bytes, code: int) -> None:
    assert failure(HELLO + frame + HELLO) == ([b"hello"], code)


def test_a_message_is_limited_whole_or_in_fragments() -> None:
    assert read(client_frame(TEXT, b"x" * 10), 10) == [b"x" * 10]
    assert failure(client_frame(TEXT, b"x" * 11), 10) == ([], 1009)
    fragments = client_frame(TEXT, b"x" * 6, fin=False)
    assert read(fragments + client_frame(CONTINUATION, b"x" * 4), 10) == [b"x" * 10]
    assert failure(fragments + client_frame(CONTINUATION, b"x" * 5), 10) == ([], 1009)


def test_a_message_that_is_too_long_is_refused_at_its_head() -> None:
    assert failure(client_frame(TEXT, b"x" * 70_000)[:20], 1_000) == ([], 1009)


EMPTY = client_frame(CONTINUATION, b"", fin=False)


def test_each_frame_is_a_step_of_its_own() -> None:
    """The taker of a chunk with thousands of frames may stop after any of them."""
    steps = FrameReader(0).receive(client_frame(TEXT, b"a", fin=False) + EMPTY * 10_000)
    for _ in range(10):
        assert next(steps) == Fragment()
    reader = FrameReader(0)
    begun = reader.receive(client_frame(TEXT, b"a", fin=False) + EMPTY * 3 + b"\x00")
    assert [next(begun) for _ in range(4)] == [Fragment()] * 4
    assert list(begun) == []


def test_fragments_are_bounded_in_number() -> None:
    first = client_frame(TEXT, b"", fin=False)
    last = client_frame(CONTINUATION, b"x")
    assert read(first + EMPTY * (MAX_FRAGMENTS - 2) + last) == [b"x"]
    assert failure(first + EMPTY * (MAX_FRAGMENTS - 1) + last) == ([], 1008)
    twice = (first + EMPTY * (MAX_FRAGMENTS - 2) + last) * 2
    assert read(twice) == [b"x", b"x"], "each message has its own count"


def test_fragments_cost_their_bytes() -> None:
    """A list of one-byte fragments took 28 times as much."""
    reader = FrameReader(0)
    piece = client_frame(CONTINUATION, b"x", fin=False)
    chunk = client_frame(TEXT, b"", fin=False) + piece * 10_000
    tracemalloc.start()
    try:
        for _ in reader.receive(chunk):
            pass
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4 * 10_000
    assert list(reader.receive(client_frame(CONTINUATION, b"!"))) == [b"x" * 10_000 + b"!"]


def test_without_a_limit_of_the_app_a_message_has_ours() -> None:
    """0 must not let one client fill the memory: announced, in one piece, or in fragments."""
    announced = b"\x81\xff" + (LARGEST_MESSAGE + 1).to_bytes(8) + b"mask"
    assert failure(announced, 0) == ([], 1009)
    reader = FrameReader(0)
    piece = client_frame(CONTINUATION, bytes(1_048_576), fin=False)
    assert list(reader.receive(client_frame(TEXT, b"", fin=False))) == [Fragment()]
    for _ in range(LARGEST_MESSAGE // 1_048_576):
        assert list(reader.receive(piece)) == [Fragment()]
    with pytest.raises(FramingViolation) as caught:
        list(reader.receive(client_frame(CONTINUATION, b"x")))
    assert caught.value.code == 1009
    largest = client_frame(TEXT, bytes(LARGEST_MESSAGE))
    assert list(FrameReader(0).receive(largest)) == [bytes(LARGEST_MESSAGE)]
