"""Whatever text a client sends in a good frame: a readable answer or none and the connection stays, or a
close with 1007 (no UTF-8), 1009 (too large) or 4009 (a sign-in that fails); nothing else, and the next
client is served.
"""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.fuzzed_server import FuzzedServer, Line, checked, many
from tests.fuzz.strategies import CHANNELS, client_frames, json_texts, messages, mutated
from tests.support import wire
from tests.support.frames import CLOSE, TEXT
from tests.support.inprocess import KEY, SECRET
from tests.support.signing import channel_auth, user_auth

LAST = b'{"event":"pusher:ping","data":{}}'


def heard(line: Line) -> list[object]:
    """Messages up to the pong, or up to the close, whose code is the last item."""
    words: list[object] = []
    while True:
        opcode, payload = line.frame()
        if opcode == CLOSE:
            line.finish()
            line.to_the_end()
            return [*words, int.from_bytes(payload[:2])]
        assert opcode == TEXT
        message = checked(payload)
        if message["event"] == "pusher:pong":
            return words
        words.append(message)


def survives(world: FuzzedServer, *texts: bytes) -> None:
    """Send each in a frame, and a ping behind all of them."""
    line = world.line()
    try:
        line.upgrade()
        line.send(b"".join(map(wire.text, texts)) + wire.text(LAST))
        for word in heard(line):
            assert isinstance(word, dict) or word in (1007, 1009, 4009), word
    finally:
        line.close()
    world.is_well()


@many
@example(texts=[b'{"event":"client-x","data":{},"channel":"pusher_internal:member_added"}'])
@given(texts=st.lists(messages, min_size=1, max_size=6))
def test_texts_like_messages(world: FuzzedServer, texts: list[bytes]) -> None:
    """JSON of every shape with hostile pieces, one after the other on one connection."""
    survives(world, *texts)


@many
@given(texts=st.lists(mutated(client_frames), min_size=1, max_size=8))
def test_captured_frames_with_wounds(world: FuzzedServer, texts: list[bytes]) -> None:
    """What pusher-js sends, some bytes changed."""
    survives(world, *texts)


@many
@given(texts=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_any_bytes_as_text(world: FuzzedServer, texts: list[bytes]) -> None:
    """Mostly no UTF-8 at all."""
    survives(world, *texts)


@many
@given(channel=st.sampled_from(CHANNELS), data=json_texts, times=st.integers(1, 3))
def test_signed_member_data(world: FuzzedServer, channel: str, data: str, times: int) -> None:
    """What gets past the signature: still refused or readable, for the joiner and for a second one."""
    if any(0xD800 <= ord(letter) < 0xE000 for letter in channel + data):
        return
    lines = [world.line() for _ in range(times)]
    try:
        for line in lines:
            auth = channel_auth(KEY, SECRET, line.upgrade(), channel, data)
            line.send(wire.subscribe(channel, auth=auth, channel_data=data), wire.text(LAST))
            for word in heard(line):
                assert isinstance(word, dict) or word == 1009, word
    finally:
        for line in lines:
            line.close()
    world.is_well()


@many
@given(data=json_texts)
def test_signed_user_data(world: FuzzedServer, data: str) -> None:
    """Signed in, or error and close 4009."""
    line = world.line()
    try:
        auth = user_auth(KEY, SECRET, line.upgrade(), data)
        line.send(
            wire.message("pusher:signin", data={"auth": auth, "user_data": data}), wire.text(LAST)
        )
        for word in heard(line):
            assert isinstance(word, dict) or word in (1009, 4009), word
    finally:
        line.close()
    world.is_well()


@many
@given(data=json_texts)
def test_relayed_data_is_readable_by_others(world: FuzzedServer, data: str) -> None:
    """A client event comes out as a message that every client can read, or not at all."""
    lines = [world.line(), world.line()]
    try:
        for line in lines:
            auth = channel_auth(KEY, SECRET, line.upgrade(), "private-relay")
            line.send(wire.subscribe("private-relay", auth=auth))
            line.frame()
        event = f'{{"event":"client-x","channel":"private-relay","data":{data}}}'
        lines[0].send(wire.text(event), wire.text(LAST))
        answers = heard(lines[0])
        lines[1].send(wire.text(LAST))
        relayed = heard(lines[1])
        assert len(answers) + len(relayed) == 1, (answers, relayed)
        for word in relayed:
            assert isinstance(word, dict)
            assert word.keys() == {"event", "channel", "data"}
            assert isinstance(word["data"], str)
    finally:
        for line in lines:
            line.close()
    world.is_well()


cut_texts = st.text(st.sampled_from("\ud83d\ude00\udfff") | st.characters(), max_size=12).map(
    lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)


@many
@given(text=cut_texts, key=cut_texts, stringified=st.booleans())
def test_cut_texts_are_relayed_exactly(
    world: FuzzedServer, text: str, key: str, stringified: bool
) -> None:
    """Letters of every kind, lone surrogates among them: the receiver has what the sender meant."""
    lines = [world.line(), world.line()]
    meant = json.dumps({key: text}) if stringified else {key: text}
    try:
        for line in lines:
            auth = channel_auth(KEY, SECRET, line.upgrade(), "private-relay")
            line.send(wire.subscribe("private-relay", auth=auth))
            line.frame()
        lines[0].send(
            wire.message("client-x", channel="private-relay", data=meant), wire.text(LAST)
        )
        assert heard(lines[0]) == []
        lines[1].send(wire.text(LAST))
        (relayed,) = heard(lines[1])
        assert isinstance(relayed, dict)
        assert json.loads(relayed["data"]) == {key: text}
    finally:
        for line in lines:
            line.close()
    world.is_well()
