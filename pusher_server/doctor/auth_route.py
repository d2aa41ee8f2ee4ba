"""The check of the backend's auth route, as a browser's preflight sees it (Fetch Standard, "CORS protocol")."""

from urllib.parse import urlsplit

from pusher_server.doctor.network import Answer, Network, Trouble
from pusher_server.doctor.results import Result, fault, good
from pusher_server.doctor.targets import parse_origin

_CHECK = "auth route"
#: Headers that clients send with the request, by their login, and that need the backend's consent.
_HEADERS = ("content-type", "authorization", "x-csrf-token")
_REDIRECTS = (301, 302, 303, 307, 308)


async def check_auth_route(network: Network, url: str, origin: str) -> Result:
    """Return whether a page of this origin may send its request; "" stands for one of the route's own origin.

    Nothing is signed in, so the route itself may refuse the request: 401, 403 and 419 prove that it is there.
    """
    own = parse_origin(_origin_of(url))
    if not origin or origin == own:
        return await _own_origin(network, url)
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": ",".join(_HEADERS),
    }
    try:
        answer = await network.request("OPTIONS", url, headers=headers)
    except Trouble as trouble:
        return fault(_CHECK, "auth_silent", reason=trouble.reason)
    return _judge(answer, origin)


def _judge(answer: Answer, origin: str) -> Result:
    status = answer.status
    if status in _REDIRECTS:
        return fault(_CHECK, "auth_redirected", status=status)
    if status in (404, 410):
        return fault(_CHECK, "auth_missing", status=status)
    if status >= 500:
        return fault(_CHECK, "auth_failing", status=status)
    allowed = answer.headers.get("access-control-allow-origin", "")
    if allowed not in ("*", origin) or status >= 300:
        return fault(_CHECK, "auth_without_cors", origin=origin)
    listed = answer.headers.get("access-control-allow-headers", "").lower()
    names = {name.strip() for name in listed.split(",")}
    if "*" not in names:
        for header in _HEADERS:
            if header not in names:
                return fault(_CHECK, "auth_headers", header=header, origin=origin)
    return good(_CHECK, f"its preflight allows {origin}")


async def _own_origin(network: Network, url: str) -> Result:
    """The page needs no preflight; a POST without a session shows whether the route exists."""
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    try:
        answer = await network.request("POST", url, headers=headers)
    except Trouble as trouble:
        return fault(_CHECK, "auth_silent", reason=trouble.reason)
    if answer.status in (404, 405, 410):
        return fault(_CHECK, "auth_missing", status=answer.status)
    if answer.status in _REDIRECTS:
        return fault(_CHECK, "auth_redirected", status=answer.status)
    if answer.status >= 500:
        return fault(_CHECK, "auth_failing", status=answer.status)
    return good(_CHECK, "it is there, and a page of its own origin needs no preflight")


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
