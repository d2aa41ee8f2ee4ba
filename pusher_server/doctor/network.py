"""Connects and requests with a time limit for each step; each fault of the network is one `Trouble`."""

import asyncio
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Literal

import httpcore
import httpx
from msgspec import Struct

from pusher_server.doctor.targets import Target
from pusher_server.resolving import NameNotResolved, Resolver
from pusher_server.webhooks.delivery.connecting import FAULTS, JudgingBackend, Transport, causes_of
from pusher_server.webhooks.delivery.denied_networks import DeniedNetworks

Kind = Literal["name", "refused", "silent", "unreachable", "certificate", "tls", "closed"]

#: Bytes of an answer that are read, unless the caller says else.
_READ = 65_536


class Trouble(Exception):
    """A step of the network failed. The text is the reason, without the host.

    `code` is OpenSSL's number (`X509_V_ERR_…`) when the certificate is refused.
    """

    def __init__(self, kind: Kind, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.code = code


class Answer(Struct, frozen=True):
    """An HTTP answer. `headers` have names in lower case; `text` is its beginning."""

    status: int
    headers: Mapping[str, str]
    text: str


class Network:
    """Opens streams and sends requests. `limit` is for each step, in seconds."""

    def __init__(
        self, resolver: Resolver, *, limit: float = 5.0, trusted: ssl.SSLContext | None = None
    ) -> None:
        self.resolver = resolver
        self.limit = limit
        self._backend = JudgingBackend(resolver, DeniedNetworks(()))
        self._trusting = trusted or trusted_authorities()
        self._unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._unverified.check_hostname = False
        self._unverified.verify_mode = ssl.CERT_NONE

    async def connect(
        self, target: Target, *, tls: bool, verify: bool = True
    ) -> httpcore.AsyncNetworkStream:
        """Return a stream to the target, after the handshake if `tls`. Raises Trouble."""
        try:
            async with asyncio.timeout(self.limit):
                stream = await self._backend.connect_tcp(target.host, target.port)
        except (*FAULTS, OSError, ValueError) as error:
            raise trouble_of(error, self.limit) from None
        if not tls:
            return stream
        try:
            return await stream.start_tls(self._context(verify=verify), target.host, self.limit)
        except (*FAULTS, OSError, ValueError) as error:
            trouble = trouble_of(error, self.limit)
            kind = trouble.kind if trouble.kind in ("certificate", "closed") else "tls"
            raise Trouble(kind, trouble.reason, trouble.code) from None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        verify: bool = True,
        most: int = _READ,
    ) -> Answer:
        """Return the answer with `most` bytes of its body; no redirect is followed. Raises Trouble."""
        transport = Transport(self._context(verify=verify), self._backend)
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self.limit)
        async with httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=None,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        ) as client:
            try:
                request = client.build_request(
                    method,
                    url,
                    headers=dict(headers or {}),
                    content=body or None,
                    extensions={"timeout": timeout},
                )
                async with asyncio.timeout(2 * self.limit):
                    response = await client.send(request, stream=True)
                    try:
                        text = await _beginning(response, most)
                    finally:
                        await response.aclose()
            except (*FAULTS, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                raise trouble_of(error, self.limit) from None
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, lowered, text)

    def _context(self, *, verify: bool) -> ssl.SSLContext:
        return self._trusting if verify else self._unverified


def trusted_authorities() -> ssl.SSLContext:
    """Return the authorities of this machine and of SSL_CERT_FILE, besides certifi's."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


async def _beginning(response: httpx.Response, most: int) -> str:
    """Return the beginning of the body, and read no more."""
    beginning = b""
    async for chunk in response.aiter_raw():
        beginning += chunk
        if len(beginning) >= most:
            break
    return beginning[:most].decode("utf-8", "replace")


def trouble_of(error: BaseException, limit: float) -> Trouble:
    """Return the trouble that an error of the network stands for."""
    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            continue  # the state of a handshake whose time was over, and no fault of it
        if isinstance(cause, NameNotResolved):
            return Trouble("name", "the name has no address, or no name server answers")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Trouble("certificate", cause.verify_message, cause.verify_code)
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "reason", None) or "the handshake failed"
            return Trouble("tls", reason.lower().replace("_", " "))
        if isinstance(cause, ConnectionRefusedError):
            return Trouble("refused", "the connection is refused")
        if isinstance(cause, TimeoutError | httpcore.TimeoutException):
            return Trouble("silent", f"no answer within {limit:g} s")
        if isinstance(cause, ConnectionError):
            return Trouble("closed", "the connection is closed without an answer")
        if isinstance(cause, OSError):
            return Trouble("unreachable", (cause.strerror or "no connection comes about").lower())
    if isinstance(error, httpcore.RemoteProtocolError | httpcore.ReadError | httpcore.WriteError):
        return Trouble("closed", "the connection is closed, or speaks no HTTP/1.1")
    if isinstance(error, httpcore.ConnectError):
        return Trouble("closed", "the connection is closed in the TLS handshake")
    return Trouble("unreachable", f"the step failed ({type(error).__name__})")
