"""Where requests of webhooks go, with real sockets: names that hang, and addresses that are denied."""

import asyncio
import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme

from pusher_server.app import Webhook
from pusher_server.config.settings import DENIED_NETWORKS
from pusher_server.resolving import Resolver
from pusher_server.webhooks.delivery import connecting
from pusher_server.webhooks.delivery.sender import Sender
from pusher_server.webhooks.delivery.sending import Answer
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox
from tests.edge.test_webhooks import connected, settings
from tests.support.app_tables import made
from tests.support.inprocess import APP_ID, KEY, SECRET
from tests.support.serving import RunningServer
from tests.support.waiting import eventually
from tests.support.webhook_target import WebhookTarget

METADATA = "169.254.169.254"


class Names:
    """Names by script, each with its answers in turn, of which the last one stays.

    Those that begin with "hang" block until `released`.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.known: dict[str, list[Sequence[str]]] = {"good.example": [["127.0.0.1"]]}
        self.released = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked[host] += 1
        if host.startswith("hang"):
            self.released.wait()
        answers = self.known.get(host)
        if answers is None:
            raise OSError("nobody knows it")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    made.released.set()


@pytest.fixture
async def sender(names: Names) -> AsyncIterator[Sender]:
    """As tenants have it."""
    made = Sender(5.0, DENIED_NETWORKS, resolver=Resolver(names, patience=0.5))
    yield made
    await made.close()


async def post(sender: Sender, url: str, *, verify: bool = True) -> Answer:
    return await sender(Webhook(url=url, verify=verify), b"{}", [("A-Header", "x")])


async def test_names_that_never_answer_hold_up_no_other_and_not_the_loops_own_look_ups(
    sender: Sender, names: Names
) -> None:
    loop = asyncio.get_running_loop()
    async with WebhookTarget() as target:
        hanging = [
            asyncio.create_task(post(sender, f"http://hang-{each}.example/")) for each in range(40)
        ]
        await eventually(lambda: names.asked.total() >= 32)
        async with asyncio.timeout(4):
            # How the cluster's Redis, its outbox and databases look up names.
            _, writer = await asyncio.open_connection("localhost", target.port)
            writer.close()
            assert await loop.run_in_executor(None, lambda: "free") == "free"
            answer = await post(sender, f"http://good.example:{target.port}/")
        assert answer.status == 200
        assert target.requests[0].header("Host") == f"good.example:{target.port}"
        answers = await asyncio.gather(*hanging)
    assert {each.status for each in answers} == {0}
    assert {each.text for each in answers} == {
        "its host's name was not resolved within 0.5 s; check the machine's name servers"
    }
    assert max(names.asked.values()) == 1


@pytest.mark.parametrize(
    "host",
    [
        METADATA,
        f"[::ffff:{METADATA}]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "rebound.example",
        "zone.example",
    ],
)
async def test_what_leads_to_a_metadata_address_is_denied(
    sender: Sender, names: Names, host: str
) -> None:
    names.known["rebound.example"] = [[METADATA]]
    names.known["zone.example"] = [["fe80::1%eth0"]]
    for scheme in ("http", "https"):
        answer = await post(sender, f"{scheme}://{host}/latest/meta-data")
        assert answer.status == 0
        assert answer.is_denied
        assert answer.text.endswith(" is in webhooks.denied_networks")


@pytest.mark.parametrize("host", ["0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0xA9.254.0xA9FE"])
async def test_odd_spellings_of_an_address_are_the_address(host: str) -> None:
    sender = Sender(5.0, DENIED_NETWORKS)
    answer = await post(sender, f"http://{host}/")
    await sender.close()
    assert answer.is_denied
    assert METADATA in answer.text


@pytest.mark.parametrize("url", ["http://2852039166/", "http://0251.0376.0251.0376/"])
def test_numbers_that_are_no_address_are_no_webhook(url: str) -> None:
    with pytest.raises(ValueError, match="no usable host"):
        Webhook(url=url)


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to(names: Names) -> None:
    """A name that says another thing at each look-up (DNS rebinding) is asked once for a connection."""
    names.known["rebinding.example"] = [["127.0.0.1"], [METADATA], ["127.0.0.1"]]
    sender = Sender(5.0, DENIED_NETWORKS, resolver=Resolver(names, found_for=0.0))
    async with WebhookTarget() as target:
        url = f"http://rebinding.example:{target.port}/"
        assert (await post(sender, url)).status == 200
        assert names.asked["rebinding.example"] == 1
        await sender.close()
        again = Sender(5.0, DENIED_NETWORKS, resolver=Resolver(names, found_for=0.0))
        assert (await post(again, url)).is_denied
        assert (await post(again, url)).status == 200
        await again.close()
    assert len(target.requests) == 2


async def test_of_several_addresses_the_denied_ones_are_left_out(
    sender: Sender, names: Names
) -> None:
    names.known["mixed.example"] = [[METADATA, "127.0.0.1", "fe80::1"]]
    async with WebhookTarget() as target:
        assert (await post(sender, f"http://mixed.example:{target.port}/")).status == 200


async def test_of_several_addresses_one_that_refuses_or_hangs_delays_the_next_a_little(
    sender: Sender, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.9 refuses; a socket whose queue is full does not answer at all."""
    monkeypatch.setattr(connecting, "_HEAD_START", 0.1)
    names.known["several.example"] = [["127.0.0.9", "127.0.0.8", "127.0.0.1"]]
    async with WebhookTarget() as target:
        with _full("127.0.0.8", target.port):
            answer = await post(sender, f"http://several.example:{target.port}/")
            assert answer.status == 200
            assert 0.1 <= answer.took < 1.0
    refusing = await post(sender, f"http://several.example:{target.port}/")
    assert refusing.text == "connection refused; is it running, and is the port right?"


@contextmanager
def _full(host: str, port: int) -> Iterator[None]:
    """A listening socket whose queue is full, so that further connections get no answer."""
    with ExitStack() as stack:
        stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((host, port))
        yield


async def test_tls_goes_on_with_the_name(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    certified = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("good.example").configure_cert(certified)
    shown: list[str] = []
    certified.sni_callback = lambda _, name, __: shown.append(name)
    names.known["other.example"] = [["127.0.0.1"]]
    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        sender = Sender(5.0, DENIED_NETWORKS, resolver=Resolver(names))
    async with WebhookTarget(tls=certified) as target:
        assert (await post(sender, f"https://good.example:{target.port}/")).status == 200
        # The same address under another name shares no connection, and so no certificate.
        other = await post(sender, f"https://other.example:{target.port}/")
        assert other.text.startswith("its certificate is not trusted")
    assert shown == ["good.example", "other.example"]
    await sender.close()


async def test_proxies_of_the_environment_are_no_way_round(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with WebhookTarget() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        sender = Sender(5.0, DENIED_NETWORKS, resolver=Resolver(names))
        assert (await post(sender, f"http://{METADATA}/")).is_denied
        await sender.close()
        assert not proxy.requests


async def test_an_operator_may_close_this_machine_and_names_that_lead_to_it(names: Names) -> None:
    closed = Sender(5.0, ["127.0.0.0/8", "::1/128"], resolver=Resolver(names))
    free = Sender(5.0, resolver=Resolver(names))
    async with WebhookTarget() as target:
        for host in ("good.example", "127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]"):
            url = f"http://{host}:{target.port}/"
            assert (await post(closed, url)).is_denied
            assert (await post(free, url)).status == 200
    await closed.close()
    await free.close()


async def test_a_tenants_webhook_to_a_denied_address_is_one_line_and_a_dead_letter(
    tmp_path: Path,
) -> None:
    async with WebhookTarget() as target, made("sqlite", "own", tmp_path, None) as table:
        hooks = [{"url": f"http://{METADATA}/latest?token=hush"}, {"url": target.url}]
        await table.insert([{"id": APP_ID, "key": KEY, "secret": SECRET}])
        await table.update(APP_ID, "webhooks", json.dumps(hooks))
        given = settings(tmp_path, database=table.tree)
        del given["apps"]
        async with RunningServer(tmp_path, given) as server, connected(server) as client:
            assert "to close this machine and private networks to them" in server.log
            for number in range(3):
                await client.join(f"room-{number}")
            await target.heard(3)
            outbox = SqliteOutbox(tmp_path / "outbox", clock=lambda: 0.0)

            async def are_dead() -> bool:
                return len(await outbox.dead(APP_ID)) == 3

            await eventually(are_dead)
            (attempt, *others) = await outbox.log(APP_ID, Webhook(url=hooks[0]["url"]).id)
            await outbox.close()
            assert (attempt.outcome, attempt.status, attempt.number) == ("dead", 0, 1)
            assert len(others) == 2
            lines = [line for line in server.log.splitlines() if METADATA in line]
            assert len(lines) == 1, lines
            assert "is in webhooks.denied_networks" in lines[0]
            assert "hush" not in server.log
