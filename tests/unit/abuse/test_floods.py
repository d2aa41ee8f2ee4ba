"""The floods are what their names say."""

import itertools
import json
import re

import httptools
import pytest

from pusher_server.websocket.framing import FrameReader, PingFrame
from tests.abuse import run
from tests.abuse.connection_floods import client_hello
from tests.abuse.flood import Flood, Manner, repeated
from tests.abuse.floods import catalogue
from tests.abuse.setups import SETUPS

FLOODS = catalogue()
WEBSOCKET = [flood for flood in FLOODS.values() if flood.websocket]


def test_a_block_is_made_of_whole_pieces() -> None:
    assert repeated(b"abc", 10) == b"abcabcabc"
    assert repeated(b"abc", 1) == b"abc"


def test_every_kind_of_work_is_flooded() -> None:
    shapes = (
        "continuations", "fragments", "pings", "pongs", "pairs", "waves", "JSON", "pusher:ping",
        "client events", "POST /events", "unread", "GET", "headers, fast", "headers, slow",
        "trailers", "extensions", "chunks", "hellos", "connects", "upgrades",
    )  # fmt: skip
    for shape in shapes:
        assert any(shape in name for name in FLOODS), shape


@pytest.mark.parametrize("flood", WEBSOCKET, ids=lambda flood: str(flood.name))
def test_a_block_of_frames_is_whole_and_masked(flood: Flood) -> None:
    """Read again by the server's own reader; what breaks a rule on purpose breaks no frame."""
    if flood.name in ("binary frames", "after the goodbye"):
        return
    read = FrameReader(0).receive(flood.head + flood.block[: 64 * 1_024])
    for each in itertools.islice(read, 100):
        assert isinstance(each, bytes | PingFrame | tuple)


def test_fragments_make_up_ordinary_messages() -> None:
    flood = FLOODS["1-byte fragments"]
    read = FrameReader(0).receive(flood.block[:4_096])
    first = next(each for each in read if isinstance(each, bytes))
    assert json.loads(first) == {"event": "pusher:ping", "data": {}}


def test_pipelined_requests_are_whole() -> None:
    class Counter:
        def __init__(self) -> None:
            self.complete = 0

        def on_message_complete(self) -> None:
            self.complete += 1

    for name in ("POST /events", "GET /", "POST, wrong signature", "small chunked bodies"):
        counter, block = Counter(), FLOODS[name].block
        httptools.HttpRequestParser(counter).feed_data(block)
        assert counter.complete == len(re.findall(rb"(?:GET|POST) /\S* HTTP", block)) > 100, name


def test_a_hello_is_the_begin_of_a_handshake() -> None:
    hello = client_hello()
    assert hello[:2] == b"\x16\x03"
    assert hello[5] == 1


def test_a_flood_of_connections_knows_that_it_is_one() -> None:
    assert FLOODS["connects"].connects
    assert FLOODS["TLS handshakes"].connects
    assert not FLOODS["pings"].connects
    assert FLOODS["headers, slow"].manner is Manner.DRIBBLE


def test_floods_that_are_chosen_exist() -> None:
    assert set(FLOODS) >= run._ALSO_OVER_TLS | run._ON_WORKERS
    every = list(FLOODS.values())
    for setup in SETUPS.values():
        assert run.floods_for(setup, every, thorough=False)
    assert {each.name for each in run.floods_for(SETUPS["tls"], every, thorough=True)} >= {
        name for name in FLOODS if "TLS" in name
    }
