"""Counts asked for with a publication: nothing is published before it is certain how the answer is given."""

import asyncio
import gzip
from typing import Any, cast

import pytest

from pusher_server.http_api import events
from pusher_server.http_api.api import Admission
from pusher_server.http_api.asgi import ApiApplication
from pusher_server.http_api.fast_publish import FastPublish, PendingRequest
from tests.unit.http_api.backend import APP, Backend

ONE, BATCH = "/apps/3/events", "/apps/3/batch_events"
COUNTED = {"subscription_count": 3}


def item(info: bytes) -> bytes:
    return b'{"name":"e","channel":"a","data":"x",%b}' % info


PLAIN, ESCAPED = b'"info":"subscription_count"', rb'"\u0069nfo":"subscription\u005fcount"'

#: Path, body, query of the request and whether it is compressed: every way to ask for counts.
ASKED: dict[str, tuple[str, bytes, str, bool]] = {
    "plain": (ONE, item(PLAIN), "", False),
    "escaped": (ONE, item(ESCAPED), "", False),
    "gzip": (ONE, item(PLAIN), "", True),
    "gzip and escaped": (ONE, item(ESCAPED), "", True),
    "the later one counts": (ONE, item(b'"info":"",' + ESCAPED), "", False),
    "query": (ONE, item(b'"x":1'), "info=subscription_count", False),
    "query as a list": (ONE, item(b'"x":1'), "info[]=subscription_count", False),
    "query in capitals": (ONE, item(b'"x":1'), "INFO=subscription_count", False),
    "batch": (BATCH, b'{"batch":[%b,%b]}' % (item(b'"x":1'), item(PLAIN)), "", False),
    "batch, escaped": (BATCH, b'{"batch":[%b,%b]}' % (item(ESCAPED), item(b'"x":1')), "", False),
    "batch, gzip": (BATCH, b'{"batch":[%b]}' % item(PLAIN), "", True),
}


class Asking:
    """One request, for the way without waiting and for the ordinary one."""

    def __init__(self, path: str, body: bytes, query: str, compressed: bool) -> None:
        self.backend = Backend()
        self.backend.node.inspection.counts = {"a": 3}
        self.raw = gzip.compress(body, mtime=0) if compressed else body
        self.encoding = b"gzip" if compressed else b""
        self.url = self.backend.signed("POST", path, self.raw, query)

    def at_once(self) -> Any:
        fast = FastPublish(cast("ApiApplication", self.backend.api), request_bytes=1_000)
        headers, length = {b"content-encoding": self.encoding}, len(self.raw)
        admission = fast.judge(b"POST", self.url.encode(), headers, length)
        assert isinstance(admission, Admission)
        assert fast.takes(admission, length)
        request = PendingRequest(admission)
        request.gather(self.raw)
        return fast.answer(request)

    async def answered(self) -> Any:
        headers = {"content-encoding": "gzip"} if self.encoding else {}
        return await self.backend.send("POST", self.url, content=self.raw, headers=headers)


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_who_asks_for_counts_is_published_once_and_answered(
    asked: tuple[str, bytes, str, bool],
) -> None:
    """The way without waiting has done nothing when it gives up: neither event, nor rate, nor count."""
    asking = Asking(*asked)
    node, batch = asking.backend.node, asked[0] == BATCH
    assert asking.at_once() is None
    assert asking.backend.sent == []
    assert asking.backend.limiter.consumed == []
    assert node.signals == []
    assert asking.backend.traffic.of(APP.id).requests == 0
    assert asking.backend.traffic.of(APP.id).bytes_received == 0

    answer = await asking.answered()
    found = answer.json()
    assert answer.status_code == 200
    assert COUNTED in found["batch"] if batch else found == {"channels": {"a": COUNTED}}
    assert len(asking.backend.sent) == (len(found["batch"]) if batch else 1)
    assert len(asking.backend.limiter.consumed) == 1
    assert asking.backend.traffic.of(APP.id).requests == 1
    assert asking.backend.traffic.of(APP.id).bytes_received == len(asking.raw)


@pytest.mark.parametrize("path", [ONE, BATCH])
@pytest.mark.parametrize("info", [b'"info":""', b'"\\u0069nfo":"nonsense"', b'"x":"info"'])
def test_who_asks_for_nothing_is_answered_at_once(path: str, info: bytes) -> None:
    body = item(info) if path == ONE else b'{"batch":[%b]}' % item(info)
    asking = Asking(path, body, "", compressed=b"info" in info)
    answer = asking.at_once()
    assert (answer.status, answer.body) == (200, b"{}")
    assert len(asking.backend.sent) == 1
    assert asking.backend.traffic.of(APP.id).requests == 1


def test_a_refusal_at_once_is_counted_once() -> None:
    asking = Asking(ONE, b"{", "", compressed=False)
    assert asking.at_once().status == 400
    assert asking.backend.traffic.of(APP.id).requests == 1


async def never() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a broken row")


@pytest.mark.parametrize("trouble", [never, broken])
@pytest.mark.parametrize("path", [ONE, BATCH])
@pytest.mark.parametrize("attribute", ["subscription_count", "user_count"])
async def test_an_event_that_is_out_has_succeeded_whatever_becomes_of_the_counts(
    path: str, attribute: str, trouble: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error, or an answer that comes after the backend's patience, would make it send the event again."""
    monkeypatch.setattr(events, "COUNTS_PATIENCE", 0.01)
    backend = Backend()

    async def counts(*_: object) -> dict[str, int]:
        await trouble()
        return {}

    monkeypatch.setattr(backend.node.inspection, f"{attribute}s", counts)
    one = {"name": "e", "channel": "presence-a", "data": "x", "info": attribute}
    answer = await backend.post(
        path.removeprefix("/apps/3"), one if path == ONE else {"batch": [one]}
    )
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert len(backend.sent) == 1
