"""Where a client's bytes are cut: never more than one head, one chunk or one body in a piece."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.server.http_pieces import _HEAD_BYTES, RequestPieces

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PING = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Reader:
    """A parser that is fed in pieces, and what each piece made it say."""

    def __init__(self) -> None:
        self.pieces = RequestPieces()
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.completed = 0
        #: For each piece its bytes, and how many heads, chunks and lines were read from it.
        self.fed: list[tuple[bytes, int, int]] = []
        self._heads = self._chunks = 0
        self._parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._heads += 1
        self.pieces.begin_body(dict(self.headers))

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.completed += 1

    def read(self, data: bytes) -> None:
        at = self.pieces.head_alone(data)
        if at:
            self._feed(data)
            self.pieces.pass_over(data, at)
            return
        while at < len(data):
            end = self.pieces.end(data, at)
            assert at < end <= len(data)
            self._feed(data[at:end])
            at = end

    def _feed(self, piece: bytes) -> None:
        self._heads = self._chunks = 0
        self._parser.feed_data(piece)
        self.fed.append((piece, self._heads, self._chunks))


def cut(*segments: bytes) -> Reader:
    reader = Reader()
    for segment in segments:
        reader.read(segment)
    return reader


def test_a_head_ends_its_piece() -> None:
    post = HEAD + b"Content-Length: 5\r\n\r\n"
    reader = cut(PING + post + b"abcde" + PING)
    assert [piece for piece, *_ in reader.fed] == [PING, post, b"abcde", PING]


def test_a_chunk_is_a_piece() -> None:
    reader = cut(CHUNKED + b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nt: u\r\n\r\n" + PING)
    pieces = [CHUNKED, b"3\r\nabc\r\n", b"1;x=y\r\nd\r\n", b"0\r\n", b"t: u\r\n\r\n", PING]
    assert [piece for piece, *_ in reader.fed] == pieces
    assert reader.body == b"abcd"


def test_the_end_of_a_head_within_a_body_is_nothing() -> None:
    body = b"\r\n\r\n" * 100
    reader = cut(HEAD + b"Content-Length: 400\r\n\r\n" + body)
    assert len(reader.fed) == 2
    reader = cut(CHUNKED + b"190\r\n" + body + b"\r\n0\r\n\r\n")
    assert len(reader.fed) == 4


def test_an_ordinary_request_is_one_piece() -> None:
    post = HEAD + b"Content-Length: 8\r\n\r\n"
    reader = cut(
        PING, post + b"abcd", b"efgh", post + b"abcdefgh" + PING[:9], PING[9:], CHUNKED + b"3"
    )
    pieces = [
        PING,
        post + b"abcd",
        b"efgh",
        post + b"abcdefgh" + PING[:9],
        PING[9:],
        CHUNKED + b"3",
    ]
    assert [piece for piece, *_ in reader.fed] == pieces
    assert reader.completed == 4
    reader.read(b"\r\nabc\r\n1\r\nd\r\n")
    assert [piece for piece, *_ in reader.fed][6:] == [b"\r\nabc\r\n", b"1\r\nd\r\n"]


def test_long_heads_are_cut_and_cost_more() -> None:
    lines = b"a:b\r\n" * 5_000
    pieces = RequestPieces()
    assert pieces.end(HEAD + lines, 0) == _HEAD_BYTES
    assert pieces.units > 10
    assert pieces.end(PING, 0) == len(PING)
    assert pieces.units == 1


@pytest.mark.parametrize("size", [b"x", b"-5", b"", b"0x5", b"1_0", b"f" * 30, b"+1", b"\xff"])
def test_what_is_no_size_is_the_parsers_business(size: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        cut(CHUNKED + size + b"\r\nabc\r\n" + b"0\r\n\r\n" * 5)


requests = st.lists(
    st.one_of(
        st.just(PING),
        st.just(b"\r\n" + PING),
        st.binary(max_size=50).map(lambda b: HEAD + b"Content-Length: %d\r\n\r\n" % len(b) + b),
        st.lists(st.binary(min_size=1, max_size=40), max_size=5).map(
            lambda chunks: (
                CHUNKED
                + b"".join(b"00%x;e=f\r\n%b\r\n" % (len(each), each) for each in chunks)
                + b"0\r\nt: u\r\n\r\n"
            )
        ),
        st.integers(300, 900).map(lambda lines: HEAD + b"a:b\r\n" * lines + b"\r\n"),
    ),
    max_size=5,
)


@given(requests=requests, cuts=st.lists(st.integers(0, 3_000), max_size=8), single=st.booleans())
def test_no_piece_has_more_than_one_of_anything(
    requests: list[bytes], cuts: list[int], single: bool
) -> None:
    """Wherever the segments are cut, and the parser says what it says of the whole."""
    stream = b"".join(requests)
    ends = range(1, len(stream) + 1) if single else sorted({*cuts, len(stream)})
    segments = [stream[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    reader = cut(*segments)
    assert reader.completed == len(requests)
    assert all(heads <= 1 and chunks <= 1 for _, heads, chunks in reader.fed)
    assert b"".join(piece for piece, *_ in reader.fed) == stream
    assert reader.body == cut(stream).body
