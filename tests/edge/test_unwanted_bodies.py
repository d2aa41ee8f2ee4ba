"""Bodies that nobody needs: none is kept, no answer is lost, and the connection stays where that is cheap."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pusher_server.app import App
from pusher_server.server import request_guard
from pusher_server.server.http_protocol import HttpProtocol
from tests.edge import signed, wire
from tests.edge.inprocess import APP_ID, KEY, Inside, app, serving
from tests.edge.wire import Address, Wire

EVENTS = f"/apps/{APP_ID}/events"
SMALL, LARGE = 65_536, 10_485_760
BODY = json.dumps({"name": "my-event", "channel": "c", "data": "{}"}).encode()


def wrongly_signed(body: bytes = b"") -> str:
    """A target whose signature is one character off."""
    target = signed.target("POST", EVENTS, body)
    return target[:-1] + ("0" if target[-1] != "0" else "1")


#: Method, target, status: everything that is answered without its body.
UNWANTED: dict[str, tuple[str, Callable[[], str], int]] = {
    "no key": ("POST", lambda: EVENTS, 401),
    "unknown key": ("POST", lambda: f"{EVENTS}?auth_key=nobody", 401),
    "wrong signature": ("POST", wrongly_signed, 401),
    "batch": ("POST", lambda: f"/apps/{APP_ID}/batch_events?auth_key={KEY}", 401),
    "another route": ("POST", lambda: f"/users/7/terminate_connections?auth_key={KEY}", 401),
    "get": ("GET", lambda: f"/apps/{APP_ID}/channels?auth_key={KEY}", 401),
    "head": ("HEAD", lambda: f"/apps/{APP_ID}/channels?auth_key={KEY}", 401),
    "unknown path": ("POST", lambda: "/nowhere", 404),
    "wrong method": ("PUT", lambda: EVENTS, 405),
    "preflight": ("OPTIONS", lambda: EVENTS, 405),
    "health": ("GET", lambda: "/up", 200),
    "health by post": ("POST", lambda: "/up", 405),
    "options": ("OPTIONS", lambda: "/", 200),
}
unwanted = pytest.mark.parametrize(
    ("method", "target", "status"), UNWANTED.values(), ids=UNWANTED.keys()
)


def chunked(body: bytes, size: int = 10_000) -> bytes:
    """The body in the chunked coding, with its end."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


@unwanted
@pytest.mark.parametrize("coded", [False, True])
async def test_a_small_body_is_dropped_and_the_connection_kept(
    address: Address, method: str, target: Callable[[], str], status: int, coded: bool
) -> None:
    """The next request is told apart from it, also when it was sent without waiting."""
    body = wire.request("/ping")[:50] * (SMALL // 50)
    async with wire.opened(address) as client:
        for _ in range(2):
            if coded:
                head = wire.request(target(), method=method, Transfer_Encoding="chunked")
                await client.send(head, chunked(body), wire.request("/ping"))
            else:
                await client.send(
                    wire.request(target(), method=method, body=body), wire.request("/ping")
                )
            answer = await client.answer(head_only=method == "HEAD")
            assert answer.status == status
            assert "connection" not in answer.headers
            assert (await client.answer()).text == "Pong!"


@unwanted
@pytest.mark.parametrize("expect", [False, True])
async def test_a_large_body_is_answered_before_it_comes(
    address: Address, method: str, target: Callable[[], str], status: int, expect: bool
) -> None:
    """With the end of our half, and without leave to continue."""
    more = {"Expect": "100-continue"} if expect else {}
    async with wire.opened(address) as client:
        head = wire.request(target(), method=method, Content_Length=str(SMALL + 1), **more)
        await client.send(head)
        answer = await client.answer(head_only=method == "HEAD")
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        await client.expect_end()


async def test_a_large_chunked_body_is_answered_when_it_has_become_large(address: Address) -> None:
    """Its length is not known before."""
    async with wire.opened(address) as client:
        await client.send(wire.request(EVENTS, method="POST", Transfer_Encoding="chunked"))
        await client.send(b"10000\r\n", b"x" * SMALL, b"\r\n", b"10000\r\n", b"x" * 10)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        await client.expect_end()


async def test_a_small_body_that_waits_for_leave_gets_it(address: Address) -> None:
    """So that the connection can be kept: without the body nobody knows where the next request begins."""
    async with wire.opened(address) as client:
        for _ in range(2):
            head = wire.request(
                EVENTS, method="POST", Content_Length=str(len(BODY)), Expect="100-continue"
            )
            await client.send(head)
            assert (await client.answer()).status == 100
            await client.send(BODY)
            assert (await client.answer()).status == 401


async def test_nobody_is_told_to_continue_behind_a_refusal(tmp_path: Path) -> None:
    """The body is broken before the application has asked for it; then our half of the connection ends."""
    async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
        head = wire.request(
            EVENTS, method="POST", Transfer_Encoding="chunked", Expect="100-continue"
        )
        await client.send(head + b"no size\r\n")
        assert (await client.answer()).status == 400
        await client.expect_end()
        await wire.until(lambda: not inside.uvicorn.server_state.tasks)


async def test_what_is_wrong_with_the_body_comes_after_the_signature(address: Address) -> None:
    """The order of the checks, as it was: the signature, then the digest."""
    async with wire.opened(address) as client:
        for target, text in (
            (wrongly_signed(BODY), "Invalid signature"),
            (signed.target("POST", EVENTS, BODY + b" "), "Invalid body_md5\n"),
            (signed.target("POST", EVENTS), "Missing parameter: body_md5\n"),
        ):
            for version in ("1.1", "1.0"):
                async with wire.opened(address) as other:
                    await other.send(
                        wire.request(target, method="POST", body=BODY, version=version)
                    )
                    assert (await other.answer()).text.startswith(text)
            await client.send(wire.request(target, method="POST", body=BODY))
            assert (await client.answer()).text.startswith(text)


def protocols(inside: Inside) -> list[HttpProtocol]:
    """All HTTP connections of the server."""
    found = inside.uvicorn.server_state.connections
    return [each for each in found if isinstance(each, HttpProtocol)]


def kept(inside: Inside) -> int:
    """Bytes of bodies that are in the server's memory."""
    pending = [each._pending for each in protocols(inside)]
    bodies: list[bytes | bytearray] = [each.body for each in pending if each is not None]
    bodies += [each.cycle.body for each in protocols(inside) if each.cycle is not None]
    return sum(map(len, bodies))


@pytest.mark.parametrize("target", [EVENTS, f"{EVENTS}?auth_key={KEY}", "/nowhere", "/up"])
@pytest.mark.parametrize("coded", [False, True])
async def test_nothing_is_kept_for_strangers(tmp_path: Path, target: str, coded: bool) -> None:
    """However many they are, while all their bodies are on their way."""
    async with serving(tmp_path) as inside:
        clients = [wire.opened(inside.address) for _ in range(30)]
        wires = [await each.__aenter__() for each in clients]
        try:
            for client in wires:
                how = {"Transfer_Encoding": "chunked"} if coded else {"Content_Length": str(SMALL)}
                await client.send(wire.request(target, method="POST", **how))
                await client.send(b"ffff\r\n" if coded else b"", b"x" * (SMALL - 1))
            await wire.until(lambda: received(inside) == 30 * (SMALL - 1))
            await wire.until(lambda: kept(inside) == 0)
        finally:
            for each in clients:
                await each.__aexit__(None, None, None)


def received(inside: Inside) -> int:
    """Bytes of bodies that have come, all connections together."""
    return sum(each._body_bytes for each in protocols(inside))


async def test_an_endless_body_is_not_taken(tmp_path: Path) -> None:
    """Of what comes behind the answer a megabyte is dropped, and at the end of two seconds all is over."""
    async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
        await client.send(wire.request(EVENTS, method="POST", Content_Length=str(LARGE)))
        assert (await client.answer()).status == 401
        (protocol,) = protocols(inside)
        flood = asyncio.create_task(send_until_it_fails(client))
        sent = await asyncio.wait_for(flood, wire.PATIENCE)
        assert protocol._dropped < 1_048_576 + 1_048_576  # one read more
        assert sent < LARGE * 3
        await wire.until(lambda: not protocols(inside))


async def send_until_it_fails(client: Wire) -> int:
    """How much was sent until the server no longer wanted it."""
    sent = 0
    try:
        while sent < LARGE * 3:
            await client.send(b"x" * 65_536)
            sent += 65_536
    except ConnectionError:
        pass
    return sent


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body must be fast after 0.3 s instead of ten."""
    monkeypatch.setattr(request_guard, "BODY_SECONDS", 0.3)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("target", [EVENTS, "/up", "/nowhere", None])
@pytest.mark.parametrize("coded", [False, True])
async def test_a_body_that_drips_is_408(tmp_path: Path, target: str | None, coded: bool) -> None:
    """Whoever sends it: a byte now and then must not keep a connection open for ever."""
    target = signed.target("POST", EVENTS, BODY) if target is None else target
    how = {"Transfer_Encoding": "chunked"} if coded else {"Content_Length": "5000"}
    async with serving(tmp_path) as inside, wire.opened(inside.address) as client:

        async def drip() -> None:
            while True:
                await client.send(b"1\r\nx\r\n" if coded else b"x")
                await asyncio.sleep(0.02)

        await client.send(wire.request(target, method="POST", **how))
        dripping = asyncio.create_task(drip())
        said = await client.rest()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        assert said.startswith(b"HTTP/1.1 408"), said


@pytest.mark.usefixtures("hasty")
async def test_a_body_at_the_pace_of_a_slow_link_is_waited_for(tmp_path: Path) -> None:
    """Two kilobytes a second, for longer than the first moments."""
    async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
        request = signed.event("c", "x" * 2_000)
        await client.send(request[:-2_000])
        for i in range(20):
            await client.send(request[-2_000:][100 * i : 100 * i + 100])
            await asyncio.sleep(0.05)
        assert (await client.answer()).status == 200


# While the app is looked up


class SlowApps:
    """In place of the server's own: answers when it is let, as `CachedApps` while the database is asked."""

    def __init__(self, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = asyncio.Event()
        self.asked = 0
        apps = inside.server.apps
        self._by_key, self._by_id = apps.by_key, apps.by_id
        monkeypatch.setattr(apps, "by_key", self.by_key)
        monkeypatch.setattr(apps, "by_id", self.by_id)

    async def by_key(self, key: str) -> App | None:
        """After the wait."""
        self.asked += 1
        await self.answers.wait()
        return await self._by_key(key)

    async def by_id(self, app_id: str) -> App | None:
        """After the wait."""
        self.asked += 1
        await self.answers.wait()
        return await self._by_id(app_id)


@pytest.fixture
async def slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Inside, SlowApps]]:
    """A server that has to wait for its apps."""
    async with serving(tmp_path) as inside:
        apps = SlowApps(inside, monkeypatch)
        yield inside, apps
        apps.answers.set()
        await wire.until(lambda: not inside.uvicorn.server_state.tasks)


@pytest.mark.parametrize("size", [1_000, 2_000_000])
@pytest.mark.parametrize("right", [True, False])
async def test_a_body_waits_in_the_network_while_the_app_is_looked_up(
    slow: tuple[Inside, SlowApps], size: int, right: bool
) -> None:
    """Of a large one hardly more than one read is kept; then it is asked for, or refused."""
    inside, apps = slow
    body = BODY + b" " * (size - len(BODY))
    target = signed.target("POST", EVENTS, body) if right else wrongly_signed(body)
    async with wire.opened(inside.address) as client:
        sending = asyncio.create_task(client.send(wire.request(target, method="POST", body=body)))
        await wire.until(lambda: apps.asked > 0)
        assert await stands_still(lambda: received(inside)) <= 300_000
        apps.answers.set()
        assert (await client.answer()).status == (200 if right else 401)
        await asyncio.gather(sending, return_exceptions=True)


async def stands_still(number: Callable[[], int]) -> int:
    """The number after it has not changed for a hundred turns of the loop."""
    last, turns = number(), 0
    while turns < 100:
        await asyncio.sleep(0.001)
        turns = turns + 1 if number() == last else 0
        last = number()
    return last


@pytest.mark.parametrize(("scale", "bound"), [(1, 59_000), (3, 175_000)])
async def test_strangers_share_a_bound_and_the_slowest_goes_first(
    slow: tuple[Inside, SlowApps],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    scale: int,
    bound: int,
) -> None:
    """Those that send faster stay. What has not been parsed yet counts, too."""
    inside, apps = slow
    monkeypatch.setattr(request_guard, "UNVERIFIED_BYTES", bound)
    async with (
        wire.opened(inside.address) as dawdler,
        wire.opened(inside.address) as other,
        wire.opened(inside.address) as third,
    ):
        for count, (client, size) in enumerate(
            ((dawdler, 10_000), (other, 25_000), (third, 25_000)), start=1
        ):
            body = BODY + b" " * (size * scale - len(BODY))
            await client.send(
                wire.request(signed.target("POST", EVENTS, body), method="POST", body=body)
            )
            # By the connection, and by the application.
            await wire.until(lambda count=count: apps.asked == 2 * count)  # type: ignore[misc]
            await stands_still(lambda: sum(each.unfed_bytes for each in protocols(inside)))
        answer = await dawdler.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        apps.answers.set()
        assert (await other.answer()).status == 200
        assert (await third.answer()).status == 200
    (line,) = [each for each in caplog.records if "looked up" in each.getMessage()]
    assert line.__dict__["requests"] == 1


async def test_what_comes_of_a_body_counts_once(slow: tuple[Inside, SlowApps]) -> None:
    """When it is read, or when it is parsed behind its head."""
    inside, apps = slow
    async with wire.opened(inside.address) as client:
        request = wire.request(wrongly_signed(), method="POST", body=b"x" * 30_000)
        await client.send(request[:-20_000])
        await wire.until(lambda: apps.asked > 1)
        (protocol,) = protocols(inside)
        for at in (20_000, 10_000):
            protocol.data_received(request[-at : -at + 10_000 or None])
        assert protocol._exchange is not None
        assert protocol._exchange._received == 30_000


async def test_making_room_costs_little_for_each_of_many(
    slow: tuple[Inside, SlowApps], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all are looked at again whenever a little more comes."""
    inside, apps = slow
    monkeypatch.setattr(request_guard, "UNVERIFIED_BYTES", 100_000)
    looks = 0
    rate = request_guard.HttpExchange.rate

    def counted(self: request_guard.HttpExchange, now: float) -> float:
        nonlocal looks
        looks += 1
        return rate(self, now)

    monkeypatch.setattr(request_guard.HttpExchange, "rate", counted)
    many = 200
    async with AsyncExitStack() as stack:
        for _ in range(many):
            client = await stack.enter_async_context(wire.opened(inside.address))
            await client.send(wire.request(wrongly_signed(), method="POST", body=b"x" * 1_000))
        await wire.until(lambda: apps.asked >= many)
        assert len(inside.guard._unverified) <= 100
    assert looks < 15 * many


async def test_known_senders_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an app's own backends send is bounded by `http.request_bytes` each."""
    monkeypatch.setattr(request_guard, "UNVERIFIED_BYTES", 1_000)
    async with serving(tmp_path) as inside:
        body = BODY + b" " * 2_000_000
        request = wire.request(signed.target("POST", EVENTS, body), method="POST", body=body)
        async with wire.opened(inside.address) as one, wire.opened(inside.address) as other:
            await one.send(request[:-10])
            await other.send(request[:-10])
            for client in (one, other):
                await client.send(request[-10:])
                assert (await client.answer()).status == 200
        assert inside.guard._unverified == {}


async def test_nothing_is_left_of_connections_that_end_while_they_wait(
    slow: tuple[Inside, SlowApps],
) -> None:
    """The accounts are closed with them."""
    inside, apps = slow
    async with wire.opened(inside.address) as client:
        await client.send(
            wire.request(signed.target("POST", EVENTS, BODY), method="POST", body=BODY)
        )
        await wire.until(lambda: apps.asked > 0)
        assert inside.guard._unverified
    await wire.until(lambda: not inside.guard._unverified)
    assert not inside.guard.deadlines


async def test_a_disabled_apps_large_body_is_refused_at_once(tmp_path: Path) -> None:
    """Though its signature is right."""
    disabled = {"apps": [app(enabled=False)]}
    async with serving(tmp_path, disabled) as inside, wire.opened(inside.address) as client:
        target = signed.target("POST", EVENTS, BODY)
        await client.send(
            wire.request(target, method="POST", Content_Length=str(LARGE), Expect="100-continue")
        )
        assert (await client.answer()).status == 403
        await client.expect_end()
