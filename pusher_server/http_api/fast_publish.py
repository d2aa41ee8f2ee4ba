"""The fast path of publications: they are answered in the HTTP parser's own step, with one write.

Through an ASGI cycle a publication costs half as much again (docs/decisions.md#fast-path-of-publications).
The connection calls these in order: `judge` at the end of a head, `takes`, `PendingRequest.gather` for each
piece of the body, `answer` at its end, `encode`.

No body is kept for a stranger: the head says who signs, and only then the body is gathered.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus

from msgspec import Struct

from pusher_server.http_api.api import Admission, without_waiting
from pusher_server.http_api.asgi import ApiApplication
from pusher_server.http_api.refusal_log import Sender
from pusher_server.http_api.requests import UNWANTED_BODY_BYTES, RequestHead
from pusher_server.http_api.responses import CLOSE, ApiResponse, Header

#: A larger body goes the ordinary way, which stops reading while it waits.
_LARGEST_BODY = 1_048_576

#: The verdict on a head: the request's answer, or that its body is wanted.
Verdict = Admission | ApiResponse


class PendingRequest(Struct, gc=False):
    """A request on the fast path whose end has not come. `body` is what came of a body that is wanted."""

    verdict: Verdict
    body: bytes | bytearray = b""

    def gather(self, piece: bytes) -> None:
        """Keep a piece of the body, unless the request has its answer already."""
        if isinstance(self.verdict, ApiResponse):
            return
        if not self.body:  # most come whole
            self.body = piece
            return
        if isinstance(self.body, bytes):  # a list of tiny pieces takes many times their bytes
            self.body = bytearray(self.body)
        self.body += piece


class FastPublish:
    """The fast path to an API, for all connections. `request_bytes` is the largest body that the API takes."""

    def __init__(self, application: ApiApplication, request_bytes: int) -> None:
        self._application = application
        self._api = application.api
        self._largest_body = min(_LARGEST_BODY, request_bytes)

    def judge(
        self,
        method: bytes,
        target: bytes,
        headers: Mapping[bytes, bytes],
        length: int | None,
        sender: Sender | None = None,
    ) -> Verdict | None:
        """Return the verdict on a head; None when its app has to be looked up elsewhere first.

        `length` is that of the body, None when only its end will tell.
        """
        if not target.startswith(b"/") or b"#" in target:
            return None  # read by uvicorn's parser of URLs, and judged by the application
        path, _, query = target.partition(b"?")
        encoding = headers.get(b"content-encoding", b"")
        head = RequestHead(method.decode(), path, query, encoding, length)
        try:
            return without_waiting(self._api.admit(head))
        except Exception as error:
            return self._application.refusal(error, head, sender)

    def takes(self, verdict: Verdict, length: int | None) -> bool:
        """Whether the request is a publication of known, moderate length.

        So are refused requests while their bodies are small enough to be dropped.
        """
        if length is None:
            return False
        if isinstance(verdict, Admission):
            return verdict.target.route.is_publication and length <= self._largest_body
        return length <= UNWANTED_BODY_BYTES and CLOSE not in verdict.headers

    def answer(self, request: PendingRequest, sender: Sender | None = None) -> ApiResponse | None:
        """The answer to a complete request; None when it would have to wait, and nothing has happened."""
        verdict = request.verdict
        if isinstance(verdict, ApiResponse):
            return verdict
        try:
            return self._api.answer_now(verdict, bytes(request.body))
        except Exception as error:
            return self._application.refusal(error, verdict.head, sender)

    def encode(
        self, response: ApiResponse, default_headers: Sequence[Header], *, keep_alive: bool
    ) -> bytes:
        """The whole answer. A reset may follow it: of two writes Java's HttpClient then had the first only."""
        headers = [*default_headers, *self._application.headers(response)]
        if not keep_alive and CLOSE not in headers:
            headers.append(CLOSE)
        return _head(response.status, tuple(headers)) + response.body


@lru_cache(maxsize=64)  # for a second all answers to publications begin alike
def _head(status: int, headers: tuple[Header, ...]) -> bytes:
    """Status line and headers, with the empty line behind them."""
    line = b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
    return b"".join([line, *(b"%b: %b\r\n" % header for header in headers), b"\r\n"])
