"""Checks with a clock, a resolver and answers of the test's own."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, cast

import pytest

from pusher_server.doctor.api import Api, check_clock, check_credentials
from pusher_server.doctor.auth_route import check_auth_route
from pusher_server.doctor.credentials import Credentials
from pusher_server.doctor.examination import Examination, Plan
from pusher_server.doctor.network import Answer, Network, Trouble
from pusher_server.doctor.ports import check_name, check_other_port
from pusher_server.doctor.results import Result
from pusher_server.doctor.targets import Target
from pusher_server.resolving import Resolver
from tests.support.signing import request_signature

NOW = 1_800_000_000.0
TARGET = Target("ws.shop.example", 443, True, "/ws")


class Answering:
    """Stands in for a network: one answer, or a trouble, for all requests, which it keeps."""

    limit = 5.0

    def __init__(self, answer: Answer | Trouble) -> None:
        self._answer = answer
        self.requests: list[tuple[str, str]] = []

    async def request(self, method: str, url: str, **_: object) -> Answer:
        """As `Network.request`."""
        self.requests.append((method, url))
        if isinstance(self._answer, Trouble):
            raise self._answer
        return self._answer


def api(answer: Answer | Trouble, skew: float = 0.0) -> tuple[Api, Answering]:
    """A backend's way whose clock is ahead by `skew`."""
    network = Answering(answer)
    pair = Credentials("7", "key of 7", "secret-of-7")
    made = Api(cast(Network, network), TARGET, pair, lambda: NOW + skew, lambda: 0.0)
    return made, network


def dated(text: str) -> Answer:
    """An answer with a date."""
    return Answer(200, {"date": text}, "OK")


CLOCKS: Mapping[float, str] = {
    0.0: "",
    29.0: "",
    -29.0: "",
    40.0: "clock_drifts",
    -599.0: "clock_drifts",
    700.0: "clock_off",
    -90_000.0: "clock_off",
}


@pytest.mark.parametrize("skew", CLOCKS)
async def test_the_clock(skew: float) -> None:
    made, _ = api(dated(formatdate(NOW, usegmt=True)), skew)
    (result,) = await check_clock(made)
    assert result.cause == CLOCKS[skew]
    if skew:
        assert (" ahead of " in result.sentence) == (skew > 0 and bool(result.cause))


@pytest.mark.parametrize("text", ["", "yesterday", "Tue, 99 Foo 2026 99:99:99 GMT", "\x00", "0"])
async def test_a_date_that_nobody_can_read(text: str) -> None:
    (result,) = await check_clock(api(dated(text))[0])
    assert (result.mark, result.cause) == ("?", "left_out")


async def test_a_signed_request_is_signed_as_libraries_sign() -> None:
    """The path with its prefix, and the query decoded (docs/protocol/signatures.md#api)."""
    made, network = api(Answer(200, {}, "{}"))
    assert (await check_credentials(made, "doctor-1")).mark == "✓"
    ((method, url),) = network.requests
    path, _, query = url.removeprefix("https://ws.shop.example:443").partition("?")
    assert (method, path) == ("GET", "/ws/apps/7/channels/doctor-1")
    signed, _, signature = query.rpartition("&auth_signature=")
    assert signed == "auth_key=key%20of%207&auth_timestamp=1800000000&auth_version=1.0"
    assert signature == request_signature("secret-of-7", "GET", path, signed)
    assert "secret" not in url


REFUSALS: Mapping[str, tuple[int, str]] = {
    "secret_wrong": (401, "Invalid signature: you should have sent HmacSHA256Hex(…)"),
    "api_key_unknown": (401, "Unknown auth_key"),
    "app_id_wrong": (400, "Not authorized for that app"),
    "clock_off": (401, "Timestamp expired: Given timestamp (…) not within 600s"),
    "app_disabled": (403, "The app is disabled"),
    "api_busy": (503, "later"),
    "api_path": (200, "<html>a page</html>"),
    "api_redirected": (301, ""),
    "api_refused": (418, "no"),
}


@pytest.mark.parametrize("cause", REFUSALS)
async def test_a_refusal_of_the_api(cause: str) -> None:
    status, text = REFUSALS[cause]
    answer = Answer(status, {}, f"{text}\n")
    result = await check_credentials(api(answer)[0], "doctor-1")
    assert result.cause == cause


async def test_troubles_of_the_backend_s_side() -> None:
    trouble = Trouble("silent", "no answer within 5 s")
    made, network = api(trouble)
    results = [
        *(await check_clock(made)),
        await check_credentials(made, "doctor-1"),
        await check_auth_route(cast(Network, network), "https://a.example/auth", ""),
    ]
    assert [result.cause for result in results] == ["api_silent", "api_silent", "auth_silent"]
    assert all("no answer within 5 s" in result.sentence for result in results)


async def named(look_up: Callable[[str], list[str]], **target: Any) -> Result:
    """The result about a name."""
    network = Network(Resolver(look_up, patience=0.05))
    return await check_name(network, Target("ws.shop.example", 443, True, **target))


async def test_a_name() -> None:
    result = await named(lambda _: ["203.0.113.7", "2001:db8::7", "203.0.113.8", "203.0.113.9"])
    assert result.sentence == "ws.shop.example is 203.0.113.7, 2001:db8::7, 203.0.113.8 and 1 more"
    hidden = await named(lambda _: ["203.0.113.7"], host_named="VITE_PUSHER_HOST")
    assert hidden.sentence == "VITE_PUSHER_HOST has an address"


async def test_a_name_server_that_hangs() -> None:
    """The look-up is given up after its patience."""
    over = threading.Event()

    def hang(_: str) -> list[str]:
        over.wait()
        return []

    try:
        assert (await named(hang)).cause == "name_unknown"
    finally:
        over.set()


async def test_a_run_whose_time_is_over() -> None:
    """Each check that is left says so, and none waits."""
    over = threading.Event()

    def hang(_: str) -> list[str]:
        over.wait()
        return []

    times = iter([0.0])
    plan = Plan(
        clients=TARGET,
        backend=TARGET,
        credentials=Credentials(),
        channel="doctor-1",
        auth_url="https://shop.example/auth",
        operations="http://shop.example:9601",
        is_quick=True,
    )
    examination = Examination(
        plan,
        Network(Resolver(hang)),
        now=lambda: NOW,
        clock=lambda: next(times, 100.0),
    )
    try:
        async with asyncio.timeout(10):
            results = [result async for result in examination.results()]
    finally:
        over.set()
    assert [result.mark for result in results] == ["?"] * len(results)
    late = [result.check for result in results if "it took too long" in result.sentence]
    assert late == ["name", "auth route", "operations"]


class Opening:
    """Stands in for a network: `is_open` or not, whatever the port; it keeps where it connected."""

    def __init__(self, *, is_open: bool) -> None:
        self._is_open = is_open
        self.targets: list[Target] = []

    async def connect(self, target: Target, *, tls: bool) -> "Opening":
        """As `Network.connect`."""
        self.targets.append(target)
        if not self._is_open:
            raise Trouble("refused", "the connection is refused")
        return self

    async def aclose(self) -> None:
        """As a stream."""


@pytest.mark.parametrize(
    ("tls", "is_open", "mark", "words"),
    [
        (True, True, "✓", "port 80 of ws.shop.example is open as well"),
        (True, False, "✓", "port 80 is closed, and clients with TLS need only 443"),
        (False, True, "✓", "port 443 of ws.shop.example is open as well"),
        (False, False, "?", "Port 443 of ws.shop.example, which clients with TLS use, is closed."),
    ],
)
async def test_the_port_of_the_other_scheme(
    tls: bool, is_open: bool, mark: str, words: str
) -> None:
    network = Opening(is_open=is_open)
    target = Target("ws.shop.example", 443 if tls else 80, tls)
    (result,) = await check_other_port(cast(Network, network), target)
    assert (result.mark, result.sentence) == (mark, words)
    assert [(other.port, other.is_tls) for other in network.targets] == [
        (80 if tls else 443, not tls)
    ]


@pytest.mark.parametrize(
    "target", [Target("a.example", 6_001, False), Target("localhost", 80, False)]
)
async def test_where_no_other_port_is_expected(target: Target) -> None:
    assert await check_other_port(cast(Network, Opening(is_open=False)), target) == []
