"""The operations listener of real servers: scrape, health, token, port, soketi's names, bad requests."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.edge.test_start_failures import one_line, start
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, app
from tests.support.serving import RunningServer, free_port
from tests.support.waiting import eventually
from tests.support.wire import Address, Answer, Wire

APP = (("app", APP_ID),)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def operations_of(server: RunningServer) -> Address:
    """Where its listener is, as it says at its start."""
    found = re.findall(r"Metrics +http://127\.0\.0\.1:(\d+)/metrics", server.log)
    assert found, server.log
    return Address(port=int(found[-1]))


@asynccontextmanager
async def operated(
    directory: Path, settings: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[RunningServer, Address]]:
    """A server process and its operations listener."""
    async with RunningServer(directory, {"apps": [app()], **(settings or {})}, **options) as server:
        await eventually(lambda: "/metrics" in server.log)
        yield server, operations_of(server)


async def ask(address: Address, target: str, **options: Any) -> Answer:
    """One request on a connection of its own."""
    async with wire.opened(address) as client:
        return await client.ask(target, **options)


async def scrape(address: Address) -> Samples:
    """All samples, by name and labels."""
    answer = await ask(address, "/metrics")
    assert answer.status == 200, answer
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def publish(address: Address, channel: str) -> None:
    async with wire.opened(address) as backend:
        await backend.send(signed.event(channel, '"x"'))
        assert (await backend.answer()).status == 200


async def test_a_scrape_says_what_has_happened(tmp_path: Path) -> None:
    """Two subscribers, one publication, one refusal of each kind."""
    async with operated(tmp_path) as (server, operations):
        main = Address(port=server.port)
        async with wire.connected(main, KEY) as one, wire.connected(main, KEY) as two:
            for client in (one, two):
                await client.join("a")
            await publish(main, "a")
            for client in (one, two):
                await client.expect("my-event")
            await one.send(wire.subscribe("private-x"))
            await one.expect("pusher:subscription_error")
            await one.send(wire.text("{"))
            await one.expect("pusher:error")
            async with wire.opened(main) as stranger:
                await stranger.handshake(f"/app/nobody{wire.QUERY}")
                await stranger.expect_refusal(4001)
            assert (await ask(main, f"/apps/{APP_ID}/channels?auth_key={KEY}")).status == 401
            assert (await ask(main, "/apps/nobody/channels?auth_key=nobody")).status == 401
            found = await scrape(operations)
    ours = {name.removeprefix("pusher_server_"): value for (name, labels), value in found.items()
            if labels == APP}  # fmt: skip
    assert ours["connections"] == 2
    assert ours["connections_opened_total"] == 2
    assert ours["subscriptions"] == 2
    assert ours["channels"] == 1
    assert ours["publishes_total"] == 1
    assert ours["deliveries_total"] == 2
    assert ours["messages_received_total"] == 3
    assert ours["messages_sent_total"] == 2 + 2 + 2 + 1 + 1
    assert ours["received_bytes_total"] > 100
    assert ours["sent_bytes_total"] > 500
    assert ours["http_requests_total"] == 2
    assert ours["http_received_bytes_total"] > 20
    assert ours["http_sent_bytes_total"] == len("{}")

    def refused(what: str, app_id: str, reason: str) -> float | None:
        labels = (("app", app_id), ("reason", reason))
        return found.get((f"pusher_server_{what}_refused_total", labels))

    assert refused("subscriptions", APP_ID, "auth") == 1
    assert refused("messages", APP_ID, "reconnect") == 1
    assert refused("connections", "", "unknown_app") == 1
    assert refused("requests", APP_ID, "signature") == 1
    assert refused("requests", "", "unknown_key") == 1
    assert found["pusher_server_publish_to_written_seconds_count", ()] == 1
    assert found["pusher_server_workers_ready", ()] == 1
    assert found["pusher_server_process_open_fds", (("worker", "1"),)] >= 4


async def test_health_on_its_own_port(tmp_path: Path) -> None:
    """And no metrics on the clients' one."""
    async with operated(tmp_path) as (server, operations):
        for path, body in (
            ("/live", "OK"), ("/", "OK"), ("/ready", "OK"), ("/accept-traffic", "OK"),
            ("/up", '{"health":"OK"}'), ("/ready/", "OK"), ("/ready?from=lb", "OK"),
        ):  # fmt: skip
            answer = await ask(operations, path)
            assert (answer.status, answer.text) == (200, body), path
        usage = json.loads((await ask(operations, "/usage")).text)
        assert 0 < usage["memory"]["used"] < usage["memory"]["total"]
        assert usage["workers"] == {"1": "ready"}
        assert (await ask(operations, "/nothing")).status == 404
        assert (await ask(operations, "/ready", method="POST")).status == 405
        for path in ("/", "/up", "/ready"):
            checked = await ask(
                operations, path, method="OPTIONS", version="1.0"
            )  # HAProxy's default
            assert (checked.status, checked.headers["allow"]) == (200, "GET, HEAD, OPTIONS")
        head = await ask(operations, "/metrics", method="HEAD")
        assert head.status == 200
        assert int(head.headers["content-length"]) > 1_000
        assert (await ask(Address(port=server.port), "/metrics")).status == 404


async def test_health_while_draining(tmp_path: Path) -> None:
    """`/ready` fails, the listener goes on answering, and `/live` holds: nobody is to kill what drains."""
    async with (
        operated(tmp_path) as (server, operations),
        wire.connected(Address(port=server.port), KEY) as client,
    ):
        server.terminate()
        await client.expect_error(4200)  # and it says no goodbye, which it has two seconds for
        ready = await ask(operations, "/ready")
        assert (ready.status, ready.text) == (500, "draining\n")
        assert (await ask(operations, "/accept-traffic")).status == 500
        assert (await ask(operations, "/live")).status == 200
        assert (await scrape(operations))["pusher_server_workers_ready", ()] == 0


async def test_full_is_no_reason_to_be_restarted(tmp_path: Path) -> None:
    async with operated(tmp_path, {"websocket": {"max_connections": 1}}) as (server, operations):
        assert (await ask(operations, "/accept-traffic")).status == 200
        async with wire.connected(Address(port=server.port), KEY):
            answer = await ask(operations, "/accept-traffic")
            assert (answer.status, answer.text) == (500, "full: 1 connections\n")
            assert (await ask(operations, "/ready")).status == 200


async def test_a_token_guards_metrics_and_not_health(tmp_path: Path) -> None:
    async with operated(tmp_path, {"operations": {"token": "t0k3n"}}) as (server, operations):
        for path in ("/metrics", "/usage"):
            refused = await ask(operations, path)
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            for wrong in ("Bearer x", "t0k3n", "Basic t0k3n", "Bearer \xe9", ""):
                assert (await ask(operations, path, authorization=wrong)).status == 401, wrong
            assert (await ask(operations, path, authorization="Bearer t0k3n")).status == 200
            assert (await ask(operations, path, authorization="bearer t0k3n")).status == 200
        assert (await ask(operations, "/ready")).status == 200
        assert "t0k3n" not in server.log


async def test_soketis_names(tmp_path: Path) -> None:
    async with (
        operated(tmp_path, {"operations": {"soketi_names": True}}) as (server, operations),
        wire.connected(Address(port=server.port), KEY),
    ):
        found = await scrape(operations)
    labels = (("app_id", APP_ID), ("port", str(server.port)))
    assert found["soketi_connected", labels] == 1
    assert found["soketi_new_connections_total", labels] == 1
    assert found["soketi_socket_transmitted_bytes", labels] > 100


async def talk(client: Wire, request: bytes) -> int:
    await client.send(request)
    return (await client.answer()).status


async def test_bad_requests_hurt_nobody(tmp_path: Path) -> None:
    async with operated(tmp_path) as (server, operations):
        for request, status in (
            (b"\x16\x03\x01 garbage\r\n\r\n", 400),
            (b"GET / HTTP/2.0\r\n\r\n", 400),
            (b"GET nowhere HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
            (b"GET /live HTTP/1.1\r\n\r\n", 400),
            (b"GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET /live HTTP/1.0\r\n\r\n", 200),
            (b"GET / HTTP/1.1\r\nx: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        ):
            async with wire.opened(operations) as client:
                assert await talk(client, request) == status
                await client.expect_end()
        async with wire.opened(operations) as client:  # what is left of a body is no second request
            await client.send(wire.request("/up", method="POST", body=b"GET /up HTTP/1.1\r\n\r\n"))
            assert (await client.answer()).status == 405
            await client.expect_end()
        async with wire.opened(operations) as client:  # several in one segment, in their order
            await client.send(
                wire.request("/up") + wire.request("/live") + wire.request("/nothing")
            )
            assert [(await client.answer()).status for _ in range(3)] == [200, 200, 404]
        async with wire.opened(operations) as client:  # one that leaves in the middle
            await client.send(b"GET /metr")
        assert (await ask(operations, "/up", version="1.0")).headers["connection"] == "close"
        assert (await ask(operations, "/metrics")).status == 200
        assert "Traceback" not in server.log


async def test_more_clients_than_anybody_needs_are_told_so(tmp_path: Path) -> None:
    async with operated(tmp_path) as (_, operations):
        ready = [await hold(operations) for _ in range(64)]
        try:
            async with wire.opened(operations) as client:
                assert (await client.answer()).status == 503
        finally:
            for client in ready:
                client.cut()
        await eventually_up(operations)


async def hold(address: Address) -> Wire:
    """A client that has been answered and stays."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    client = Wire(reader, writer)
    assert (await client.ask("/up")).status == 200
    return client


async def eventually_up(address: Address) -> None:
    """The others' leaving makes room."""

    async def is_up() -> bool:
        return (await ask(address, "/up")).status == 200

    await eventually(is_up)


def test_a_configured_port_in_use_is_one_line(tmp_path: Path) -> None:
    port = free_port()
    settings = {"apps": [app()], "server": {"port": 0}, "operations": {"port": port}}
    with RunningServer(tmp_path, {"apps": [app()], "operations": {"port": port}}):
        for workers in ("1", "2"):
            ended = start(tmp_path, settings, "--workers", workers)
            one_line(ended, "operations.port", f"127.0.0.1:{port}", "operations.enabled")


def test_an_address_that_is_not_ours_is_one_line(tmp_path: Path) -> None:
    settings = {"apps": [app()], "server": {"port": 0}, "operations": {"host": "192.0.2.1"}}
    one_line(start(tmp_path, settings), "operations.host", "192.0.2.1")


async def test_switched_off_there_is_no_listener(tmp_path: Path) -> None:
    settings = {"apps": [app()], "operations": {"enabled": False}}
    async with RunningServer(tmp_path, settings) as server:
        async with wire.connected(Address(port=server.port), KEY) as client:
            await client.join("a")
            await publish(Address(port=server.port), "a")
            await client.expect("my-event")
        assert "Metrics" not in server.log


async def test_a_refused_subscription_is_one_line_with_what_to_check(tmp_path: Path) -> None:
    """However often it comes; and never the digest that would have been right."""
    async with operated(tmp_path) as (server, _):
        async with wire.connected(Address(port=server.port), KEY) as client:
            for _ in range(20):
                await client.send(wire.subscribe("private-x", auth=f"{KEY}:{'0' * 64}"))
                await client.expect("pusher:subscription_error")
        lines = [line for line in server.log.splitlines() if "subscription refused" in line]
        assert len(lines) == 1, lines
        assert "PUSHER_APP_SECRET" in lines[0]
        assert f"app={APP_ID} channel=private-x" in lines[0]
        assert not re.search(r"[0-9a-f]{32}", lines[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_listener_ends_with_the_server(tmp_path: Path, number: int) -> None:
    async with operated(tmp_path) as (server, operations):
        async with wire.opened(operations) as idle:
            assert (await idle.ask("/up")).status == 200
            assert server._process is not None
            server._process.send_signal(number)
            await idle.expect_end(10.0)
            assert await asyncio.to_thread(server._process.wait, 10) == 0
        assert "Traceback" not in server.log
