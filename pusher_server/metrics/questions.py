"""The pages that the whole cluster answers as JSON: `/why`, `/tail`, `/channels`, `/connections`, `/orders`.

See docs/troubleshooting.md#ask-the-server. They have names of channels and addresses of clients. So they are
there with `operations.token`, or for programs of this machine. A browser that was led here by a foreign name is
refused (DNS rebinding).
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from pusher_server.config import OperationsSettings
from pusher_server.diagnosis.explanation import WhyQuestion
from pusher_server.diagnosis.inventory import (
    ChannelsQuestion,
    ConnectionsQuestion,
    KickOrder,
    PublishOrder,
)
from pusher_server.diagnosis.live import TailQuestion
from pusher_server.nesting import DEPTH, is_too_deep

#: Answers a question as JSON for the whole cluster, as JSON; nothing while no process can.
Ask = Callable[[bytes], Awaitable[bytes]]

#: Characters of a parameter.
_LONGEST = 500
_PARAMETERS = ("app", "channel", "event", "user")
#: The header of an order, and its bytes at most.
_ORDER = "x-pusher-server-order"
_ORDER_BYTES = 1_048_576

OperatorQuestion = (
    WhyQuestion | TailQuestion | ChannelsQuestion | ConnectionsQuestion | PublishOrder | KickOrder
)


class QuestionPages:
    """The endpoints, for requests whose token was checked if there is one."""

    def __init__(self, settings: OperationsSettings, ask: Ask) -> None:
        self._settings = settings
        self._ask = ask

    async def why(self, request: Request) -> Response:
        """The reasons why nothing arrives: findings, facts, and the steps of one event."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        values = _values(request)
        if values["channel"] and not values["app"]:
            return PlainTextResponse("channel needs app: the id of the channel's app\n", 400)
        del values["user"]
        return await self._answer(WhyQuestion(**values))

    async def tail(self, request: Request) -> Response:
        """The rows of a feed since its last request."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        feed = request.query_params.get("feed", "")
        if not re.fullmatch(r"[0-9a-f]{32}", feed):
            return PlainTextResponse("feed has to be 32 hexadecimal digits, made by chance\n", 400)
        values = _values(request)
        del values["user"]
        return await self._answer(TailQuestion(feed=feed, **values))

    async def channels(self, request: Request) -> Response:
        """The occupied channels of an app in the cluster."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        values = _values(request)
        return await self._answer(ChannelsQuestion(app=values["app"], channel=values["channel"]))

    async def connections(self, request: Request) -> Response:
        """The connections of an app in the cluster, of a channel or of a user."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        values = _values(request)
        return await self._answer(
            ConnectionsQuestion(app=values["app"], channel=values["channel"], user=values["user"])
        )

    async def order(self, request: Request) -> Response:
        """Publish an event, or close connections: a `PublishOrder` or a `KickOrder` as JSON.

        A page of another site cannot send the header without asking first, and no answer allows it to.
        """
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if _ORDER not in request.headers or "origin" in request.headers:
            return PlainTextResponse(f"An order needs the header {_ORDER}, and no Origin\n", 403)
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _ORDER_BYTES:
                return PlainTextResponse(f"An order has at most {_ORDER_BYTES} bytes\n", 413)
        if is_too_deep(body):
            return PlainTextResponse(f"An order is nested at most {DEPTH} levels deep\n", 400)
        try:
            order = msgspec.json.decode(body, type=PublishOrder | KickOrder)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return PlainTextResponse(f"{error}\n", 400)
        return await self._answer(order)

    async def _answer(self, question: OperatorQuestion) -> Response:
        answer = await self._ask(msgspec.json.encode(question))
        if not answer:
            return PlainTextResponse("No process can answer now; try again\n", 503)
        return Response(answer, media_type="application/json")

    def _refusal(self, request: Request) -> Response | None:
        """Return why a request is refused, None when it may be answered."""
        if not self._settings.token:
            if not _is_loopback(self._settings.host):
                text = (
                    "operations.token is needed where others than this machine reach the listener\n"
                )
                return PlainTextResponse(text, 403)
            if not _is_loopback(request.url.hostname or ""):
                text = "Without operations.token the host has to be localhost or 127.0.0.1\n"
                return PlainTextResponse(text, 403)
        if any(len(value) > _LONGEST for value in _values(request).values()):
            return PlainTextResponse(f"A parameter has more than {_LONGEST} characters\n", 400)
        return None


def _values(request: Request) -> dict[str, str]:
    return {name: request.query_params.get(name, "") for name in _PARAMETERS}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
