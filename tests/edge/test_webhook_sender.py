"""The sender against real sockets: what it puts on the wire, and whatever targets do to it."""

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from pusher_server.app import App, AppKey, Webhook
from pusher_server.webhooks.delivery.requests import headers_of, signed_body
from pusher_server.webhooks.delivery.sender import Sender
from pusher_server.webhooks.delivery.sending import Answer
from pusher_server.webhooks.outbox.interface import Entry
from tests.support.webhook_target import Request, WebhookTarget, cutting, hanging, with_status

TIMEOUT = 1.0


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    made = Sender(TIMEOUT)
    yield made
    await made.close()


async def post(sender: Sender, url: str, *, verify: bool = True) -> Answer:
    return await sender(Webhook(url=url, verify=verify), b"{}", [("A-Header", "x")])


async def test_on_the_wire(sender: Sender) -> None:
    """Names in Pusher's spelling, the content type without a charset, nothing of the library's own."""
    entry = Entry(id="e1", webhook="", channel="c", event='{"name":"x"}', decided_at=0.0)
    app = App(id="1", keys=(AppKey(key="k", secret="s"),))
    async with WebhookTarget() as target:
        url = target.url.replace("//", "//user:pass%40word@") + "?token=t"
        webhook = Webhook(url=url, headers={"x-Custom": "1", "user-agent": "mine"})
        body = signed_body(app, [entry], 1.0)
        await sender(webhook, body.content, headers_of(webhook, body))
        (request,) = target.requests
    assert request.line == "POST /hooks?token=t HTTP/1.1"
    assert request.body == b'{"time_ms":1000,"events":[{"name":"x"}]}'
    assert request.headers == (
        ("Host", f"localhost:{target.port}"),
        ("Content-Type", "application/json"),
        ("X-Pusher-Key", "k"),
        ("X-Pusher-Signature", body.headers["X-Pusher-Signature"]),
        ("X-Pusher-Server-Event-Ids", "e1"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("x-Custom", "1"),
        ("user-agent", "mine"),
        ("Content-Length", str(len(request.body))),
        ("Authorization", "Basic dXNlcjpwYXNzQHdvcmQ="),
    )


async def test_connections_are_kept(sender: Sender) -> None:
    async with WebhookTarget(with_status(200, head="Set-Cookie: a=b\r\n", body="fine")) as target:
        for _ in range(3):
            answer = await post(sender, target.url)
            assert (answer.status, answer.text) == (200, "fine")
        assert [request.connection for request in target.requests] == [1, 1, 1]
        assert all(request.header("Cookie") is None for request in target.requests)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_2xx_is_success(sender: Sender, status: int) -> None:
    head = "" if status == 204 else "Content-Length: 0\r\n"

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 {status} -\r\n{head}\r\n".encode())
        return True

    async with WebhookTarget(answer) as target:
        assert (await post(sender, target.url)).is_success


async def test_a_redirect_is_not_followed(sender: Sender) -> None:
    async with WebhookTarget() as other:
        to = with_status(307, head=f"Location: {other.url}\r\n")
        async with WebhookTarget(to) as target:
            answer = await post(sender, target.url)
        assert (answer.status, answer.is_success) == (307, False)
        assert answer.reason == "status 307"
        assert not other.requests


async def test_no_answer_ends_with_the_time_out(sender: Sender) -> None:
    async with WebhookTarget(hanging) as target:
        answer = await post(sender, target.url)
    assert (answer.status, answer.text) == (0, "no answer within 1 s")
    assert TIMEOUT <= answer.took < TIMEOUT + 1.0


async def test_a_head_that_trickles_ends_with_the_time_out(sender: Sender) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1_000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        return False

    async with WebhookTarget(answer) as target:
        found = await post(sender, target.url)
    assert (found.status, found.text) == (0, "no answer within 1 s")


async def test_of_a_body_that_trickles_the_status_counts(sender: Sender) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsl")
        await asyncio.get_running_loop().create_future()
        return False

    async with WebhookTarget(answer) as target:
        found = await post(sender, target.url)
    assert (found.status, found.text) == (200, "sl")
    assert found.took < 2 * TIMEOUT + 1.0


async def test_a_huge_answer_fills_no_memory(sender: Sender) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 500 -\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1_000):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
        return False

    async with WebhookTarget(answer) as target:
        await post(sender, target.url)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(10):
            found = await post(sender, target.url)
            assert (found.status, found.text) == (500, "x" * 200)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


async def test_a_huge_head_is_refused(sender: Sender) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(1_000):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
        return False

    async with WebhookTarget(answer) as target:
        assert (await post(sender, target.url)).status == 0


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 101 -\r\n\r\n", b"\0\0\0\x12\x04\0\0\0\0\0"]
)
async def test_what_is_no_answer_of_http(sender: Sender, said: bytes) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(said)
        return False

    async with WebhookTarget(answer) as target:
        found = await post(sender, target.url)
    assert (found.status, found.text) == (
        0, "it has closed the connection or does not speak HTTP/1.1"
    )  # fmt: skip


async def test_a_connection_that_is_cut(sender: Sender) -> None:
    async with WebhookTarget(cutting) as target:
        found = await post(sender, target.url)
    assert found.status == 0
    assert "connection" in found.text


async def test_a_refused_connection_and_a_name_that_nobody_knows(sender: Sender) -> None:
    async with WebhookTarget() as target:
        pass
    refused = await post(sender, target.url)
    assert (refused.status, refused.text) == (
        0, "connection refused; is it running, and is the port right?"
    )  # fmt: skip
    unknown = await post(sender, "http://nowhere.invalid/?token=secret")
    assert unknown.status == 0
    assert "secret" not in unknown.text


async def test_a_text_that_is_no_utf8_is_readable(sender: Sender) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 500 -\r\nContent-Length: 3\r\n\r\n\xffab")
        return True

    async with WebhookTarget(answer) as target:
        assert (await post(sender, target.url)).text == "\ufffdab"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_a_certificate_of_nobody_known_is_refused(
    sender: Sender, certified: ssl.SSLContext
) -> None:
    async with WebhookTarget(tls=certified) as target:
        found = await post(sender, target.url)
        assert found.status == 0
        assert found.text.startswith("its certificate is not trusted: ")
        assert "verify = false" in found.text
        assert not target.requests


async def test_a_certificate_is_not_asked_for_when_the_webhook_says_so(
    sender: Sender, certified: ssl.SSLContext
) -> None:
    async with WebhookTarget(tls=certified) as target:
        assert (await post(sender, target.url, verify=False)).status == 200
        assert (await post(sender, target.url)).status == 0, "others go on asking"


async def test_an_authority_that_the_operator_names_is_trusted(
    authority: trustme.CA, certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        sender = Sender(TIMEOUT)
    async with WebhookTarget(tls=certified) as target:
        assert (await post(sender, target.url)).status == 200
        wrong_name = target.url.replace("localhost", "127.0.0.1")
        assert (await post(sender, wrong_name)).text.startswith("its certificate is not trusted")
    await sender.close()


async def test_https_where_there_is_none(sender: Sender) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        return False

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = await post(sender, f"https://localhost:{port}/")
    server.close()
    assert found.status == 0
    assert found.text.startswith("no TLS with it")
