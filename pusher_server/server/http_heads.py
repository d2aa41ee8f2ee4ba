"""Heads of requests and of refusals: checks of the first, bytes of the second."""

from pusher_server.http_api.responses import Header

#: Trailers count. Browsers and libraries send 5 to 25, proxies add a few; each costs us many times its bytes.
HEADER_LINES = 100

#: Status and text of refusals that are sent before the request is understood.
HEAD_TOO_LARGE = (
    b"431 Request Header Fields Too Large",
    b"The request's headers are too large.\n",
)
TOO_MANY_HEADERS = (
    b"431 Request Header Fields Too Large",
    b"The request has more than %d header lines.\n" % HEADER_LINES,
)
NO_SINGLE_HOST = (b"400 Bad Request", b"A request needs one Host header.\n")
NO_HTTP = (b"400 Bad Request", b"Invalid HTTP request received.\n")
TOO_SLOW = (b"408 Request Timeout", b"The request did not arrive in time.\n")
NO_ROOM = (
    b"503 Service Unavailable",
    b"Too many requests wait for their apps to be looked up, try again.\n",
)
#: Text of such a refusal -> its reason in metrics, and cause and next step for the log, if it is worth one.
REFUSED_HEADS = {
    HEAD_TOO_LARGE[1]: ("head", "its headers are larger than http.header_bytes"),
    TOO_MANY_HEADERS[1]: (
        "head",
        f"it has more than {HEADER_LINES} header lines: see what a proxy adds",
    ),
    NO_SINGLE_HOST[1]: ("host", "it needs one Host header: see what a proxy adds or removes"),
    NO_HTTP[1]: ("no_http", ""),  # scanners send it all day
    TOO_SLOW[1]: ("too_slow", ""),
    NO_ROOM[1]: ("no_room", ""),
}


def refusal(status: bytes, text: bytes, headers: bytes = b"") -> bytes:
    """A whole answer that ends the connection; `headers` are further lines, each with its line break."""
    return (
        b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\n%bconnection: close\r\n\r\n%b" % (status, len(text), headers, text)
    )


def asks_for_websocket(headers: list[Header]) -> bool:
    """Upgrade is a list, in one line or several (RFC 9110 §7.8); the parser has looked at Connection."""
    for name, value in headers:
        if name == b"upgrade":
            offered = value.lower()
            if offered == b"websocket" or b"websocket" in map(bytes.strip, offered.split(b",")):
                return True
    return False


def names_its_host(headers: list[Header], version: str) -> bool:
    """Whether there is one Host, or none in HTTP/1.0 (RFC 9112 §3.2).

    Of several, a proxy in front and we could take different ones.
    """
    hosts = 0
    for name, _ in headers:
        if name == b"host":
            hosts += 1
    return hosts == 1 or (hosts == 0 and version == "1.0")


def without_offer(method: bytes, target: bytes, version: str, headers: list[Header]) -> bytes:
    """The head of a request once more, without its offer of another protocol."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    lines += [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
