"""The page `/why`: the findings about what does not arrive, as JSON (docs/troubleshooting.md#ask-the-server).

It has names of channels and addresses of clients. So it is there with `operations.token`, or for programs of
this machine. A browser that was led here by a foreign name is refused (DNS rebinding).
"""

import ipaddress
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from pusher_server.config import OperationsSettings
from pusher_server.diagnosis.explanation import Explanation, WhyQuestion

#: Answers a question for the whole cluster; None while no process can.
Explain = Callable[[WhyQuestion], Awaitable[Explanation | None]]
Endpoint = Callable[[Request], Awaitable[Response]]

#: Characters of a parameter.
_LONGEST = 500
_PARAMETERS = ("app", "channel", "event")


def why_page(settings: OperationsSettings, explain: Explain) -> Endpoint:
    """Return the endpoint, for requests whose token was checked if there is one."""

    async def why(request: Request) -> Response:
        refusal = "" if settings.token else _refusal(settings.host, request)
        if refusal:
            return PlainTextResponse(refusal, 403)
        values = {name: request.query_params.get(name, "") for name in _PARAMETERS}
        if any(len(value) > _LONGEST for value in values.values()):
            return PlainTextResponse(f"A parameter has more than {_LONGEST} characters\n", 400)
        if values["channel"] and not values["app"]:
            return PlainTextResponse("channel needs app: the id of the channel's app\n", 400)
        answer = await explain(WhyQuestion(**values))
        if answer is None:
            return PlainTextResponse("No process can answer now; try again\n", 503)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return why


def _refusal(host: str, request: Request) -> str:
    """Return why a request without a token is refused, "" when it may be answered."""
    if not _is_loopback(host):
        return "operations.token is needed where others than this machine reach the listener\n"
    if not _is_loopback(request.url.hostname or ""):
        return "Without operations.token the host has to be localhost or 127.0.0.1\n"
    return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
