"""Frames from clients: one meaning, whatever the chunks and whichever path reads them.

Invariant: `FrameReader`, fed a stream in any pieces, gives what the `websockets` library alone makes of the
whole stream: the same messages and control frames in order, then the same close code if it is broken.
"""

from collections.abc import Iterable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from pusher_server.protocol.errors import FramingViolation
from pusher_server.websocket.framing import (
    LARGEST_MESSAGE,
    CloseFrame,
    Fragment,
    FrameReader,
    PingFrame,
    PongFrame,
)
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame

# What becomes complete, in order; a failure comes last.
Outcome = list[tuple[Any, ...]]

#: There are many ways to be wrong, and each case costs little.
MANY = settings(max_examples=min(8 * settings().max_examples, 4_000))

LIMITS = st.sampled_from([0, 1, 10, 125, 126, 1_000, 65_535, 65_536, 1_048_576])
# The borders of the length field, and past them.
SIZES = st.sampled_from([0, 1, 2, 124, 125, 126, 127, 1_000, 65_535, 65_536, 70_000])

masks = st.binary(min_size=4, max_size=4)
short_payloads = st.binary(max_size=20) | st.sampled_from([b"x" * 124, b"x" * 125])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    size = draw(SIZES | st.integers(0, 300))
    payload = (draw(st.binary(min_size=1, max_size=16)) * (size + 1))[:size]
    return client_frame(TEXT, payload, mask=draw(masks))


controls = st.builds(
    lambda opcode, payload, mask: client_frame(opcode, payload, mask=mask),
    st.sampled_from([PING, PONG]),
    short_payloads,
    masks,
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """One text in two or more frames, with pings and pongs in between."""
    parts = draw(st.lists(st.binary(max_size=80) | SIZES.map(bytes), min_size=2, max_size=4))
    stream = b""
    for i, part in enumerate(parts):
        opcode = CONTINUATION if i else TEXT
        stream += client_frame(opcode, part, fin=i == len(parts) - 1, mask=draw(masks))
        if i < len(parts) - 1:
            stream += b"".join(draw(st.lists(controls, max_size=2)))
    return stream


closes = st.builds(
    lambda code, reason: client_frame(
        CLOSE, b"" if code is None else code.to_bytes(2) + reason.encode()
    ),
    st.none() | st.sampled_from([1000, 1001, 1003, 3000, 4000, 4999]),
    st.text(max_size=20),
)

valid_streams = st.builds(
    lambda items, close: b"".join(items) + close,
    st.lists(texts() | controls | fragmented(), max_size=6),
    st.just(b"") | closes,
)

#: One thing wrong with each, and any header at all.
odd_frames = st.one_of(
    st.builds(  # unmasked
        lambda opcode, payload: client_frame(opcode, payload, mask=None),
        st.sampled_from([TEXT, PING, PONG, CLOSE]),
        short_payloads | SIZES.map(bytes),
    ),
    st.builds(  # a reserved bit
        lambda opcode, payload, reserved: client_frame(opcode, payload, reserved=reserved),
        st.sampled_from([TEXT, PING, PONG]),
        short_payloads,
        st.sampled_from([1, 2, 4]),
    ),
    st.builds(  # a control frame that is too long
        lambda opcode, size: client_frame(opcode, bytes(size)),
        st.sampled_from([PING, PONG, CLOSE]),
        st.sampled_from([126, 127, 65_536]),
    ),
    st.builds(  # a control frame in fragments, a message never ended
        lambda opcode, payload: client_frame(opcode, payload, fin=False),
        st.sampled_from([PING, PONG, CLOSE, TEXT]),
        short_payloads,
    ),
    st.builds(  # a close frame that says nothing valid
        lambda payload: client_frame(CLOSE, payload),
        st.sampled_from([b"\x03", b"\x03\xe8\xff", b"\x03\xed", b"\x00\x00", b"\xff\xff"]),
    ),
    st.builds(client_frame, st.sampled_from([CONTINUATION, BINARY]), short_payloads),
    st.builds(
        lambda opcode, payload, fin, mask, reserved: client_frame(
            opcode, payload, fin=fin, mask=mask, reserved=reserved
        ),
        st.integers(0, 15),
        short_payloads,
        st.booleans(),
        st.none() | masks,
        st.integers(0, 7),
    ),
)

#: The same length, written longer than need be.
wasteful_frames = st.builds(
    lambda opcode, payload, eight: (
        bytes((0x80 | opcode, 0x80 | (127 if eight else 126)))
        + len(payload).to_bytes(8 if eight else 2)
        + b"\0\0\0\0"
        + payload
    ),
    st.sampled_from([TEXT, PING, BINARY]),
    short_payloads,
    st.booleans(),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid stream with a byte changed, taken out or put in."""
    stream = bytearray(draw(valid_streams))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, min(len(stream), 300)))
        match draw(st.sampled_from(["change", "remove", "insert"])):
            case "change":
                stream[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "remove":
                del stream[at : at + 1]
            case "insert":
                stream[at:at] = draw(st.binary(min_size=1, max_size=3))
    return bytes(stream)


any_streams = (
    st.lists(odd_frames | wasteful_frames | texts() | controls, max_size=4).map(b"".join)
    | st.builds(lambda first, odd, rest: first + odd + rest, fragmented(), odd_frames, texts())
    | mutated()
    | st.binary(max_size=200)
)


@st.composite
def chunked(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """A stream in pieces: cut at random, near frame borders, or into single bytes."""
    stream = draw(streams)
    if len(stream) < 400 and draw(st.booleans()):
        return [bytes((byte,)) for byte in stream]
    cuts = draw(st.lists(st.integers(0, len(stream)) | st.integers(0, 40), max_size=12))
    ends = sorted({*(cut for cut in cuts if cut < len(stream)), len(stream)})
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def read(chunks: Iterable[bytes], max_bytes: int) -> Outcome:
    """What our reader makes of it."""
    reader = FrameReader(max_bytes)
    outcome: Outcome = []
    try:
        for chunk in chunks:
            for incoming in reader.receive(chunk):
                match incoming:
                    case PingFrame(payload):
                        outcome.append(("ping", payload))
                    case PongFrame():
                        outcome.append(("pong",))
                    case Fragment():
                        pass
                    case CloseFrame(code):
                        outcome.append(("close", code))
                    case _:
                        outcome.append(("text", incoming))
    except FramingViolation as error:
        outcome.append(("failed", error.code))
    return outcome


def by_the_library(stream: bytes, max_bytes: int) -> Outcome:
    """What `websockets` makes of the whole, with two exceptions.

    Binary is not part of the protocol (docs/protocol/connection.md#framing). A sound close frame within a
    fragmented message is a close like any other (RFC 6455 §5.4).
    """
    library = ServerProtocol(state=State.OPEN, max_size=max_bytes or LARGEST_MESSAGE)
    library.receive_data(stream)
    outcome: Outcome = []
    message: list[bytes] = []
    for frame in library.events_received():
        assert isinstance(frame, Frame)
        data = bytes(frame.data)
        if frame.opcode is Opcode.PING:
            outcome.append(("ping", data))
        elif frame.opcode is Opcode.PONG:
            outcome.append(("pong",))
        elif frame.opcode is Opcode.CLOSE:
            outcome.append(("close", Close.parse(data).code if data else None))
        elif frame.opcode is Opcode.BINARY:
            return [*outcome, ("failed", 1003)]
        else:
            message.append(data)
            if frame.fin:
                outcome.append(("text", b"".join(message)))
                message = []
    if library.parser_exc is not None and library.close_rcvd is not None:
        code = library.close_rcvd.code
        outcome.append(("close", None if code == 1005 else code))
    elif library.parser_exc is not None:
        assert library.close_sent is not None
        outcome.append(("failed", library.close_sent.code))
    return outcome


@given(chunks=chunked(valid_streams))
def test_a_valid_stream_is_read_whatever_the_chunks(chunks: list[bytes]) -> None:
    outcome = read(chunks, 0)
    assert outcome == by_the_library(b"".join(chunks), 0)
    assert all(kind != "failed" for kind, *_ in outcome)


@st.composite
def near_a_limit(draw: st.DrawFn) -> tuple[list[bytes], int]:
    """Whole and fragmented messages, just under, at or over a limit."""
    max_bytes = draw(LIMITS.filter(lambda limit: 0 < limit < 70_000))
    stream = draw(st.just(b"") | texts())
    size = max_bytes + draw(st.integers(-1, 2))
    first = draw(st.just(size) | st.integers(0, size))
    stream += client_frame(TEXT, bytes(first), fin=first == size)
    if first < size:
        stream += draw(st.just(b"") | controls)
        stream += client_frame(CONTINUATION, bytes(size - first))
    return draw(chunked(st.just(stream + draw(controls)))), max_bytes


@st.composite
def broken_off(draw: st.DrawFn) -> tuple[bytes, bytes, list[bytes]]:
    """The close frame alone, and within a fragmented message: where it stands, what follows."""
    close = draw(closes)
    begun = client_frame(TEXT, draw(st.binary(max_size=80)), fin=False, mask=draw(masks))
    for part in draw(st.lists(st.binary(max_size=80) | SIZES.map(bytes), max_size=3)):
        begun += draw(st.just(b"") | controls)
        begun += client_frame(CONTINUATION, part, fin=False, mask=draw(masks))
    rest = draw(st.just(b"") | texts() | st.just(client_frame(CONTINUATION, b"x")))
    return close, begun, draw(chunked(st.just(begun + close + rest)))


@given(case=broken_off())
def test_a_close_within_a_fragmented_message_is_a_close(
    case: tuple[bytes, bytes, list[bytes]],
) -> None:
    """Whatever stands before it; what follows has no meaning."""
    close, begun, chunks = case
    assert read(chunks, 0) == read([begun], 0) + read([close], 0)


@given(case=near_a_limit() | st.tuples(chunked(valid_streams), LIMITS))
def test_the_size_limit_is_the_librarys(case: tuple[list[bytes], int]) -> None:
    chunks, max_bytes = case
    assert read(chunks, max_bytes) == by_the_library(b"".join(chunks), max_bytes)


@MANY
@given(chunks=chunked(any_streams), max_bytes=LIMITS)
@example(chunks=[b"\x81\xff" + (2**56).to_bytes(8) + b"\0\0\0\0"], max_bytes=0)
def test_broken_streams_fail_as_they_do_in_the_library(chunks: list[bytes], max_bytes: int) -> None:
    assert read(chunks, max_bytes) == by_the_library(b"".join(chunks), max_bytes)


@given(items=st.lists(texts() | controls | fragmented(), min_size=1, max_size=6))
def test_every_frame_is_one_step(items: list[bytes]) -> None:
    """Nobody who takes one step at a time gets the work of more than one frame."""
    reader = FrameReader(0)
    stream = b"".join(items)
    library = ServerProtocol(state=State.OPEN, max_size=None)
    library.receive_data(stream)
    frames = len(library.events_received())
    assert len(list(reader.receive(stream))) == frames


@given(items=st.lists(texts() | controls, max_size=5), tail=st.integers(1, 20))
def test_what_is_complete_is_given_at_once(items: list[bytes], tail: int) -> None:
    """No frame waits for bytes that come behind it."""
    reader = FrameReader(0)
    for item in items:
        begun, rest = item[:-tail], item[-tail:]
        assert len(list(reader.receive(begun))) == (not rest)
        assert len(list(reader.receive(rest))) == 1
