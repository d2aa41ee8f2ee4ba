"""The pages `/why` and `/tail`: for the operator alone, with bounded parameters."""

import httpx
import pytest

from pusher_server.config import OperationsSettings
from pusher_server.metrics.operations import operations_app
from pusher_server.metrics.process_group import ProcessGroup

FEED = "0123456789abcdef" * 2


class Page:
    """The pages of an application with these settings; the answer "" is that of a machine without a worker."""

    def __init__(self, answer: bytes = b'{"nodes":2}', **settings: str) -> None:
        self.questions: list[bytes] = []

        async def ask(question: bytes) -> bytes:
            self.questions.append(question)
            return answer

        group = ProcessGroup(lambda: [])
        self._app = operations_app(OperationsSettings(**settings), group, ask, port=6001)

    async def get(
        self, query: str = "", host: str = "127.0.0.1:9601", path: str = "/why", **headers: str
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get(f"{path}{query}", headers=headers)


async def test_the_answer_is_json_for_the_question() -> None:
    page = Page()
    answer = await page.get("?app=1&channel=private-a&event=App%5CEvents%5CE")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b'{"nodes":2}'
    assert page.questions == [
        b'{"type":"why","app":"1","channel":"private-a","event":"App\\\\Events\\\\E"}'
    ]


async def test_a_feed_is_asked_for_with_its_filters() -> None:
    page = Page()
    answer = await page.get(f"?feed={FEED}&channel=private-*", path="/tail")
    assert answer.status_code == 200
    question = b'{"type":"tail","feed":"%b","app":"","channel":"private-*","event":""}'
    assert page.questions == [question % FEED.encode()]


@pytest.mark.parametrize("feed", ["", "1", FEED.upper(), FEED + "0"])
async def test_a_feed_has_a_name_that_nobody_guesses(feed: str) -> None:
    page = Page()
    assert (await page.get(f"?feed={feed}", path="/tail")).status_code == 400
    assert page.questions == []


@pytest.mark.parametrize("path", ["/why", "/tail"])
async def test_a_page_is_for_the_operator(path: str) -> None:
    query = f"?feed={FEED}"
    assert (await Page().get(query, path=path, host="evil.example")).status_code == 403
    assert (await Page(host="0.0.0.0").get(query, path=path)).status_code == 403
    assert (await Page(token="x" * 24).get(query, path=path)).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1:9601", "localhost:9601", "[::1]:9601", "127.0.0.2"])
async def test_without_a_token_this_machine_may_ask(host: str) -> None:
    assert (await Page().get(host=host)).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "192.0.2.7:9601", "localhost.evil.example"])
async def test_a_name_that_leads_here_is_refused(host: str) -> None:
    """A page of another site can give its name our address (DNS rebinding)."""
    page = Page()
    assert (await page.get(host=host)).status_code == 403
    assert page.questions == []


@pytest.mark.parametrize("listening", ["0.0.0.0", "::", "192.0.2.7"])
async def test_where_others_reach_it_a_token_is_needed(listening: str) -> None:
    page = Page(host=listening)
    answer = await page.get()
    assert answer.status_code == 403
    assert "operations.token" in answer.text
    assert page.questions == []


async def test_with_a_token_it_is_the_token_that_counts() -> None:
    page = Page(host="0.0.0.0", token="x" * 24)
    assert (await page.get(host="192.0.2.7")).status_code == 401
    answer = await page.get(host="192.0.2.7", authorization=f"Bearer {'x' * 24}")
    assert answer.status_code == 200


@pytest.mark.parametrize("query", ["?channel=a", "?app=" + "x" * 501, "?app=1&event=" + "e" * 501])
async def test_a_wrong_question_is_refused(query: str) -> None:
    page = Page()
    assert (await page.get(query)).status_code == 400
    assert page.questions == []


async def test_without_a_process_there_is_no_answer() -> None:
    assert (await Page(answer=b"").get()).status_code == 503


ORDER = {"x-pusher-server-order": "1"}


def nested(levels: int) -> bytes:
    """An order with an unknown field of so many arrays, within the object of the order."""
    return b'{"type":"kick","app":"7","more":%s%s}' % (
        b"[" * (levels - 1),
        b"]" * (levels - 1),
    )


KICK = b'{"type":"kick","app":"1","socket_id":"1.2","user":""}'


async def post(
    page: Page, body: bytes, headers: dict[str, str], host: str = "127.0.0.1"
) -> httpx.Response:
    transport = httpx.ASGITransport(page._app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.post("/orders", content=body, headers=headers)


async def test_an_order_is_passed_on() -> None:
    page = Page()
    assert (await post(page, KICK, ORDER)).status_code == 200
    assert page.questions == [KICK]


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({}, "127.0.0.1"),
        ({"content-type": "text/plain"}, "127.0.0.1"),
        ({**ORDER, "origin": "https://evil.example"}, "127.0.0.1"),
        (ORDER, "evil.example"),
    ],
)
async def test_a_page_of_another_site_orders_nothing(headers: dict[str, str], host: str) -> None:
    """A form cannot set the header; a script would have to ask first, and OPTIONS allows nothing."""
    page = Page()
    assert (await post(page, KICK, headers, host)).status_code == 403
    assert page.questions == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"type":"why"}', 400),
        (b'{"type":"kick"}', 400),
        (b"\xff", 400),
        (nested(513), 400),
        (nested(100_000), 400),
        (b" " * 1_048_577, 413),
    ],
)
async def test_an_order_that_is_none(body: bytes, status: int) -> None:
    page = Page()
    assert (await post(page, body, ORDER)).status_code == status
    assert page.questions == []


async def test_lists_are_asked_for() -> None:
    page = Page()
    await page.get("?app=1&channel=a*", path="/channels")
    await page.get("?app=1&user=7", path="/connections")
    assert page.questions == [
        b'{"type":"channels","app":"1","channel":"a*"}',
        b'{"type":"connections","app":"1","channel":"","user":"7"}',
    ]
    for path in ("/channels", "/connections"):
        assert (await page.get(path=path, host="evil.example")).status_code == 403
