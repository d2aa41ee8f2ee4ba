"""Whatever bytes follow the upgrade: readable answers, then a clean close with an RFC 6455 code or the
client's own, or silence; nothing of ours in the log, and the next client is served.
"""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzzed_server import FuzzedServer, last_words, many
from tests.fuzz.strategies import client_frames, cut, mutated
from tests.support import wire
from tests.support.frames import CLOSE, PING

payloads = st.one_of(st.binary(max_size=200), st.sampled_from(client_frames), st.just(b"x" * 5_000))

#: Frames of every kind, right and wrong.
frames = st.builds(
    wire.frame,
    st.one_of(st.sampled_from([0, 1, 1, 1, 2, 8, 9, 10]), st.integers(0, 15)),
    payloads,
    final=st.booleans(),
    masked=st.sampled_from([True] * 9 + [False]),
    reserved=st.sampled_from([0] * 9 + [1, 2, 4, 7]),
)
closes = st.builds(
    lambda code, reason: wire.frame(CLOSE, struct.pack("!H", code) + reason),
    st.integers(0, 65_535),
    st.binary(max_size=123),
)
good = [wire.text(payload) for payload in client_frames] + [wire.frame(PING, b"x")]
streams = st.lists(
    st.one_of(frames, closes, st.sampled_from(good), mutated(good), st.binary(max_size=20)),
    max_size=8,
).map(b"".join)


@many
@given(segments=cut(streams))
def test_any_bytes_after_the_upgrade(world: FuzzedServer, segments: list[bytes]) -> None:
    """In any segments; the client then ends its side."""
    line = world.line()
    try:
        line.upgrade()
        line.send(*segments)
        line.finish()
        for word in last_words(line):
            assert isinstance(word, dict) or word is None or 1000 <= word < 5000, word
    finally:
        line.close()
    world.is_well()


@many
@given(segments=cut(st.binary(max_size=300)))
def test_any_bytes_that_are_hardly_frames(world: FuzzedServer, segments: list[bytes]) -> None:
    """Not even nearly."""
    line = world.line()
    try:
        line.upgrade()
        line.send(*segments)
        line.finish()
        for word in last_words(line):
            assert isinstance(word, dict) or word is None or 1000 <= word < 5000
    finally:
        line.close()
    world.is_well()
