"""Connects requests to the targets of webhooks: looks up the name once, checks each address, connects to one.

A connection goes to a checked address, never to a name, so that no second look-up can lead elsewhere (DNS
rebinding). TLS and `Host` use the name. A kept connection is reused only for the same name.
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
#: Seconds until the next address of a host is tried as well (RFC 8305 §5), and how many are tried at most.
_HEAD_START = 0.25
_MOST_ADDRESSES = 8

#: Errors of httpcore for faults of the network or the target.
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
    """Connects to the addresses that `resolver` returns for a host, except denied ones."""

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
        """See httpcore. Raises TargetDenied, NameNotResolved, and errors of httpcore's own backend."""
        addresses = await self._resolver.addresses(host)
        allowed = [address for address in addresses if address not in self._denied]
        if not allowed:
            raise TargetDenied(f"its address {addresses[0]} is in webhooks.denied_networks")

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
        """Raise an error: no webhook has a Unix socket."""
        raise httpcore.UnsupportedProtocol("webhooks go to hosts")

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await asyncio.sleep(seconds)


class Transport(httpx.AsyncBaseTransport):
    """httpx's own transport, with the backend as an argument; it ignores proxies of the environment."""

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
        """Close the connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """An answer's body in the form that httpx needs."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


def _alternating(addresses: Sequence[str]) -> list[str]:
    """The addresses with families in turn, the preferred one first (RFC 8305 §4)."""
    is_six = [":" in address for address in addresses]
    first = [address for address, six in zip(addresses, is_six, strict=True) if six == is_six[0]]
    other = [address for address, six in zip(addresses, is_six, strict=True) if six != is_six[0]]
    return [
        address for address in chain.from_iterable(zip_longest(first, other)) if address is not None
    ]


async def _first_connected(
    addresses: Sequence[str], connect: Connect
) -> httpcore.AsyncNetworkStream:
    """A connection to the first address that answers; each next one starts with a delay (RFC 8305 §5).

    Raises the error of the last one when none answers.
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
            good = [attempt for attempt in done if attempt.exception() is None]
            if good:
                trying.update(good[1:])
                return good[0].result()
            if not left and not trying:
                return next(iter(done)).result()  # raises
    finally:
        await _abandon(trying)


async def _abandon(trying: Iterable["asyncio.Task[httpcore.AsyncNetworkStream]"]) -> None:
    """End attempts that are not needed any more, and close connections that they have made meanwhile."""
    for attempt in trying:
        attempt.cancel()
    for result in await asyncio.gather(*trying, return_exceptions=True):
        if not isinstance(result, BaseException):
            await result.aclose()


def causes_of(error: BaseException) -> list[BaseException]:
    """Return the error and its causes, the innermost first; of several attempts to connect the last."""
    causes: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in causes:
        causes.append(step)
        if isinstance(step, BaseExceptionGroup):
            step = step.exceptions[-1]
        else:
            step = step.__cause__ or step.__context__
    return causes[::-1]
