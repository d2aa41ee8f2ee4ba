"""Sends requests to webhooks with httpx: HTTP/1.1, connections kept alive, no redirects, no cookies.

Each request ends within the time-out, takes little memory, and returns an `Answer`, also when its target
misbehaves.
"""

import asyncio
import ssl
from collections.abc import Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore
import httpx

from pusher_server.app import Webhook
from pusher_server.resolving import NameNotResolved, Resolver
from pusher_server.webhooks.delivery.connecting import (
    FAULTS,
    JudgingBackend,
    TargetDenied,
    Transport,
    causes_of,
)
from pusher_server.webhooks.delivery.denied_networks import DeniedNetworks
from pusher_server.webhooks.delivery.sending import Answer, Send

#: Characters of an answer that are kept, and bytes of it that are read at most.
KEPT = 200
_READ = 1_024
#: Seconds that an answer's body may take once its status is known: the status is what counts.
_BODY_TIMEOUT = 1.0


class Sender(Send):
    """`timeout` is for a whole request, in seconds. To make a sender takes 50 ms: it reads certificates.

    `denied` are networks that no request may reach. `resolver` looks up the names of targets and nothing else.
    """

    def __init__(
        self, timeout: float, denied: Sequence[str] = (), *, resolver: Resolver | None = None
    ) -> None:
        self._timeout = timeout
        self._backend = JudgingBackend(resolver or Resolver(), DeniedNetworks(denied))
        trusted = httpx.create_ssl_context(trust_env=False)
        trusted.load_default_certs()  # the machine's own authorities, and SSL_CERT_FILE, besides certifi's
        self._trusting = _client(trusted, self._backend)
        self._unverified: httpx.AsyncClient | None = None

    async def __call__(
        self, webhook: Webhook, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> Answer:
        """Post the body. Faults of the network or the target become an Answer, never an exception."""
        clock = asyncio.get_running_loop().time
        began = clock()
        # A request made here has only these headers, in this spelling.
        status, text, is_denied = 0, "", False
        try:
            request = httpx.Request("POST", webhook.url, headers=list(headers), content=body)
            async with asyncio.timeout(self._timeout):
                response = await self._client(webhook).send(request, stream=True)
            try:
                status = response.status_code
                text = await _beginning(response)
            finally:
                await response.aclose()
        except TimeoutError:
            text = f"no answer within {self._timeout:g} s"
        except TargetDenied as error:
            text, is_denied = str(error), True
        except (*FAULTS, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            text = explained(error)
        except (OSError, ValueError) as error:
            text = explained(error)
        return Answer(status, text, clock() - began, is_denied=is_denied)

    async def close(self) -> None:
        """Close the connections."""
        await self._trusting.aclose()
        if self._unverified is not None:
            await self._unverified.aclose()

    def _client(self, webhook: Webhook) -> httpx.AsyncClient:
        if webhook.verify:
            return self._trusting
        if self._unverified is None:
            anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            anybody.check_hostname = False
            anybody.verify_mode = ssl.CERT_NONE
            self._unverified = _client(anybody, self._backend)
        return self._unverified


def _client(context: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=Transport(context, backend),
        trust_env=False,  # proxies of the environment are not for webhooks
        follow_redirects=False,
        timeout=None,  # `Sender` has one for the whole request
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


async def _beginning(response: httpx.Response) -> str:
    """The beginning of the answer's body. A short one is read to its end, to keep the connection usable."""
    beginning = b""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            async for chunk in response.aiter_raw():
                beginning += chunk
                if len(beginning) >= _READ:
                    break
    except (TimeoutError, *FAULTS, httpx.HTTPError, OSError):
        pass  # cut off or too slow: the bytes so far are enough
    return beginning[: 4 * KEPT].decode("utf-8", "replace")[:KEPT]


def explained(error: BaseException) -> str:
    """The reason why there was no answer, with the fix if there is one; without the URL."""
    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {cause.verify_message}; give the machine its authority's"
                " certificate (or SSL_CERT_FILE), or set verify = false to try things out"
            )
        if isinstance(cause, ssl.SSLError):
            return (
                f"no TLS with it ({cause.reason or 'handshake failed'}); is it https at that port?"
            )
        if isinstance(cause, NameNotResolved):
            return str(cause)
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused; is it running, and is the port right?"
        if isinstance(cause, ConnectionResetError):
            return "it has cut the connection"
        if isinstance(cause, OSError) and cause.strerror:
            return f"cannot connect: {cause.strerror}"
    if isinstance(error, httpcore.RemoteProtocolError):
        return "it has closed the connection or does not speak HTTP/1.1"
    if isinstance(error, httpcore.ConnectError):
        return "cannot connect to it"
    return f"the request failed ({type(error).__name__})"
