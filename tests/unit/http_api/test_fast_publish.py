"""The fast path of publications: what takes it, what it keeps, and the bytes of its answers."""

from typing import cast

import pytest
from msgspec import structs

from pusher_server.http_api.api import Admission
from pusher_server.http_api.asgi import ApiApplication
from pusher_server.http_api.fast_publish import FastPublish, PendingRequest
from pusher_server.http_api.responses import CLOSE, EMPTY, PLAIN, ApiResponse
from tests.unit.http_api.backend import Backend

BODY = b'{"name":"e","channel":"a","data":"x"}'
DATE = (b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")
REFUSED = ApiResponse(401, b"no\n", PLAIN)


def fast(backend: Backend, request_bytes: int = 10_485_760) -> FastPublish:
    """The fast path to the backend's API."""
    return FastPublish(cast("ApiApplication", backend.api), request_bytes)


def admitted(path: str = "/apps/3/events", method: str = "POST") -> Admission:
    """The verdict on a head that is right."""
    backend = Backend()
    url = backend.signed(method, path, BODY).encode()
    verdict = fast(backend).judge(method.encode(), url, {}, len(BODY))
    assert isinstance(verdict, Admission)
    return verdict


def test_a_publication_is_answered_at_its_end() -> None:
    backend = Backend()
    path = fast(backend)
    url = backend.signed("POST", "/apps/3/events", BODY).encode()
    verdict = path.judge(b"POST", url, {}, len(BODY))
    assert verdict is not None
    request = PendingRequest(verdict)
    request.gather(BODY)
    assert backend.sent == []
    assert path.answer(request) == EMPTY
    assert len(backend.sent) == 1


def test_a_stranger_is_refused_at_the_head_and_nothing_is_kept() -> None:
    path = fast(Backend())
    verdict = path.judge(b"POST", b"/apps/3/events?auth_key=unknown", {}, len(BODY))
    assert isinstance(verdict, ApiResponse)
    assert verdict.status == 401
    request = PendingRequest(verdict)
    request.gather(BODY)
    assert request.body == b""
    assert path.answer(request) is verdict


def test_an_error_in_the_body_is_an_answer() -> None:
    request = PendingRequest(admitted())
    request.gather(BODY[:-1] + b" ")  # not what was signed
    answer = fast(Backend()).answer(request)
    assert answer is not None
    assert answer.status == 401


@pytest.mark.parametrize("target", [b"http://host/apps/3/events", b"*", b"/apps/3/events#x"])
def test_a_target_that_needs_a_parser_of_urls_is_not_judged(target: bytes) -> None:
    assert fast(Backend()).judge(b"POST", target, {}, len(BODY)) is None


@pytest.mark.parametrize(
    ("length", "request_bytes", "taken"),
    [
        (1_048_576, 10_485_760, True),
        (1_048_577, 10_485_760, False),
        (1_000, 1_000, True),
        (1_001, 1_000, False),
        (None, 10_485_760, False),
    ],
)
def test_a_publication_of_known_moderate_length_is_taken(
    length: int | None, request_bytes: int, taken: bool
) -> None:
    assert fast(Backend(), request_bytes).takes(admitted(), length) is taken


def test_a_request_that_publishes_nothing_is_not_taken() -> None:
    verdict = admitted("/apps/3/users/7/terminate_connections")
    assert not fast(Backend()).takes(verdict, len(BODY))


@pytest.mark.parametrize(
    ("verdict", "length", "taken"),
    [
        (REFUSED, 65_536, True),
        (REFUSED, 65_537, False),
        (REFUSED, None, False),
        (structs.replace(REFUSED, headers=(CLOSE,)), 1, False),
    ],
)
def test_a_refusal_is_taken_while_its_body_can_be_dropped(
    verdict: ApiResponse, length: int | None, taken: bool
) -> None:
    assert fast(Backend()).takes(verdict, length) is taken


def test_pieces_are_joined() -> None:
    request = PendingRequest(admitted())
    request.gather(BODY)
    assert request.body is BODY  # no copy of what came whole
    for piece in (b"1", b"23"):
        request.gather(piece)
    assert request.body == BODY + b"123"


@pytest.mark.parametrize(
    ("response", "keep_alive", "head"),
    [
        (EMPTY, True, b"HTTP/1.1 200 OK\r\n%bcontent-length: 2\r\n\r\n{}"),
        (EMPTY, False, b"HTTP/1.1 200 OK\r\n%bcontent-length: 2\r\nconnection: close\r\n\r\n{}"),
        (
            ApiResponse(403, b"", headers=(CLOSE,)),
            False,
            b"HTTP/1.1 403 Forbidden\r\n%bconnection: close\r\ncontent-length: 0\r\n\r\n",
        ),
    ],
)
def test_an_answer_is_one_piece_of_bytes(
    response: ApiResponse, keep_alive: bool, head: bytes
) -> None:
    written = fast(Backend()).encode(response, [DATE], keep_alive=keep_alive)
    assert (
        written
        == head % b"date: Mon, 01 Jan 2024 00:00:00 GMT\r\ncontent-type: application/json\r\n"
    )
