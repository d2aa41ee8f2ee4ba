"""Responses, as endpoints return them. Success is 200 with a JSON object: PHP throws on anything else."""

from collections.abc import Awaitable
from typing import Any

import msgspec
from msgspec import Struct

#: The connection ends with the answer.
CLOSE = (b"connection", b"close")

JSON = b"application/json"
PLAIN = b"text/plain; charset=utf-8"

Header = tuple[bytes, bytes]

_encode = msgspec.json.encode


class ApiResponse(Struct, frozen=True):
    """A whole answer. `headers` are those beyond content type and length."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()


#: Endpoints that read from the cluster return a coroutine, all others their answer at once.
Answer = ApiResponse | Awaitable[ApiResponse]

#: The answer to nearly every publication, made once.
EMPTY = ApiResponse(200, b"{}")


def json_response(document: dict[str, Any]) -> ApiResponse:
    """200 with a JSON object; `msgspec.Raw` values go in as they are."""
    return ApiResponse(200, _encode(document))


def text_response(status: int, text: str) -> ApiResponse:
    """Plain text, exactly as given."""
    return ApiResponse(status, text.encode("utf-8", "replace"), PLAIN)
