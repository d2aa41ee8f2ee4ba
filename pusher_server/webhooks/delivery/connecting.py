"""How requests to webhooks reach their target: the name looked up once, each address judged, one connected to.

A connection is made to an address that was judged, never to a name, so that no second look-up can lead
elsewhere (DNS rebinding). TLS and `Host` go on with the name, for which alone connections are kept.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

import httpcore
import httpx

from pusher_server.resolving import Resolver
from pusher_server.webhooks.delivery.denied_networks import DeniedNetworks

#: Below the 5 s after which Node's servers close idle connections: we close first, so no request is lost.
_KEEP_ALIVE = 4.0
_IDLE_CONNECTIONS = 100
#: Seconds until the next address of a host is tried besides (RFC 8305 §5), and how many are tried at most.
_HEAD_START = 0.25
_MOST_ADDRESSES = 8

#: What httpcore raises for what the network or the target does.
FAULTS = (
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)

Connect = Callable[[str], Awaitable[httpcore.AsyncNetworkStream]]


class TargetDenied(Exception):
    """All addresses of the host are in `webhooks.denied_networks`. The text is one line for the operator."""


class JudgingBackend(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that `resolver` knows of a host, but for those that are denied."""

    def __init__(
        self,
        resolver: Resolver,
        denied: DeniedNetworks,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._resolver = resolver
        self._denied = denied
        self._backend = backend or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore. Raises TargetDenied, NameNotResolved, and what httpcore's own backend raises."""
        found = await self._resolver.addresses(host)
        allowed = [each for each in found if each not in self._denied]
        if not allowed:
            raise TargetDenied(f"its address {found[0]} is in webhooks.denied_networks")

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._backend.connect_tcp(
                address, port, timeout, local_address, socket_options
            )

        return await _first_connected(_alternating(allowed)[:_MOST_ADDRESSES], connect)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """No webhook names one."""
        raise httpcore.UnsupportedProtocol("webhooks go to hosts")

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await asyncio.sleep(seconds)


class Transport(httpx.AsyncBaseTransport):
    """httpx's own transport, with the backend as an argument. Proxies of the environment mean nothing to it."""

    def __init__(self, context: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,  # the deliverer has bounds of its own
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx. Raises `FAULTS`, TargetDenied and OSError."""
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """An answer's body as httpx wants it."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


def _alternating(addresses: Sequence[str]) -> list[str]:
    """The families by turns, beginning with the preferred one (RFC 8305 §4)."""
    is_six = [":" in each for each in addresses]
    first = [each for each, six in zip(addresses, is_six, strict=True) if six == is_six[0]]
    other = [each for each, six in zip(addresses, is_six, strict=True) if six != is_six[0]]
    return [each for each in chain.from_iterable(zip_longest(first, other)) if each is not None]


async def _first_connected(
    addresses: Sequence[str], connect: Connect
) -> httpcore.AsyncNetworkStream:
    """A connection to whichever address answers first; each but the first waits for its turn (RFC 8305 §5).

    Raises what the last one raised when none does.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    left = list(addresses)
    trying: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
    try:
        while True:
            if left:
                trying.add(asyncio.ensure_future(connect(left.pop(0))))
            done, trying = await asyncio.wait(
                trying,
                timeout=_HEAD_START if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            good = [each for each in done if each.exception() is None]
            if good:
                trying.update(good[1:])
                return good[0].result()
            if not left and not trying:
                return next(iter(done)).result()  # raises
    finally:
        await _abandon(trying)


async def _abandon(trying: Iterable["asyncio.Task[httpcore.AsyncNetworkStream]"]) -> None:
    """End attempts that are not needed any more, and close what they have connected meanwhile."""
    for each in trying:
        each.cancel()
    for told in await asyncio.gather(*trying, return_exceptions=True):
        if not isinstance(told, BaseException):
            await told.aclose()
