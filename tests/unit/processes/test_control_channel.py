"""What supervisor and process say to each other, over a real socket pair."""

import asyncio
import socket

import pytest
from msgspec import structs

from pusher_server.app import App, AppKey
from pusher_server.config import Config, ServerSettings
from pusher_server.errors import PusherServerError
from pusher_server.processes.control_channel import ControlChannel, read_spec, spec_line
from pusher_server.server.specs import WorkerSpec
from tests.support.waiting import eventually

CONFIG = Config(
    server=ServerSettings(trusted_proxies=("10.0.0.0/8",), workers="auto"),
    apps=tuple(
        App(id=str(n), keys=(AppKey(key=f"k{n}", secret=f"s\n\u2028{n}"),)) for n in range(2_000)
    ),
    overrides={"server.port": 7, "server.host": "::1"},
    notices=("a", "b"),
)
PLACE = WorkerSpec(
    index=2, count=3, node_id="n", listeners=(5, 6), bus="/b", config=CONFIG, config_path=None
)


async def test_a_place_arrives_whole_and_nothing_behind_it_is_lost() -> None:
    """Larger than a socket's buffer, with words that follow at once."""
    ours, theirs = socket.socketpair()
    words: list[str] = []
    ended = asyncio.Event()
    channel = await ControlChannel.hold(ours, words.append, lambda: None)
    channel.write(spec_line(PLACE))
    channel.send("stop")
    channel.send("stop now")
    found = await asyncio.to_thread(read_spec, theirs, WorkerSpec)
    assert found == PLACE
    assert [app.keys[0].secret for app in found.config.apps[:1]] == ["s\n\u20280"]
    other = await ControlChannel.hold(theirs, words.append, ended.set)
    channel.drop()
    await asyncio.wait_for(ended.wait(), 5)
    assert words == ["stop", "stop now"]
    other.send("into the void")
    other.drop()


def test_a_supervisor_that_is_gone_has_no_place_to_give() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(b'{"index":')
        ours.close()
        with pytest.raises(PusherServerError, match="gone"):
            read_spec(theirs, WorkerSpec)


async def test_a_heart_beats_four_times_within_a_lease() -> None:
    """So that one late turn of the loop is no silence."""
    ours, theirs = socket.socketpair()
    words: list[str] = []
    listening = await ControlChannel.hold(theirs, words.append, lambda: None)
    beating = await ControlChannel.hold(ours, words.append, lambda: None)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    beating.beat(0.04)
    await eventually(lambda: len(words) >= 5)
    assert set(words) == {"alive"}
    assert 0.04 <= loop.time() - begun < 5
    beating.drop()
    listening.drop()


def test_a_place_says_no_secret_in_a_repr() -> None:
    """Whoever logs it logs none."""
    small = structs.replace(PLACE, config=structs.replace(CONFIG, apps=CONFIG.apps[:3]))
    assert "s1\\n" not in repr(small)
