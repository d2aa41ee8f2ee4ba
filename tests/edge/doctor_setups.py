"""Proxies, sites and certificates for the set-ups that `pusher-server doctor` looks at."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import trustme

from pusher_server.doctor.credentials import Credentials
from pusher_server.doctor.examination import Examination, Plan
from pusher_server.doctor.network import Network
from pusher_server.doctor.results import Result
from pusher_server.doctor.targets import Target
from pusher_server.resolving import Resolver
from tests.support.inprocess import APP_ID, KEY, SECRET
from tests.support.link_proxy import LinkProxy
from tests.support.waiting import PATIENCE

#: A name that is this machine for the injected resolver alone, and no local name for the rules.
NAME = "ws.shop.example"
CREDENTIALS = Credentials(APP_ID, KEY, SECRET)


def at(port: int, *, tls: bool = False, prefix: str = "", host: str = "127.0.0.1") -> Target:
    """A port of this machine."""
    return Target(host, port, tls, prefix)


def look_up(host: str) -> Sequence[str]:
    """Knows one name."""
    if host in (NAME, "localhost"):
        return ["127.0.0.1"]
    raise OSError("unknown")


async def examined(
    clients: Target,
    *,
    trusted: ssl.SSLContext | None = None,
    now: Callable[[], float] = time.time,
    longest: float = 0.3,
    limit: float = PATIENCE,
    **plan: Any,
) -> list[Result]:
    """The results of a run whose steps have `limit` seconds each, and its idle check `longest`."""
    network = Network(Resolver(look_up), limit=limit, trusted=trusted or authorities())
    made = Plan(
        clients=clients,
        **{
            "backend": clients,
            "credentials": CREDENTIALS,
            "channel": "doctor-0123abcd",
            "is_quick": True,
            **plan,
        },
    )
    clock = asyncio.get_running_loop().time
    examination = Examination(made, network, now=now, clock=clock, longest=longest)
    return [result async for result in examination.results()]


def authorities(*authority: trustme.CA) -> ssl.SSLContext:
    """Trusts these and no other."""
    context = ssl.create_default_context()
    for ours in authority:
        ours.configure_trust(context)
    return context


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def issued(authority: trustme.CA, begins: int, ends: int, *names: str) -> trustme.LeafCert:
    """A certificate from so many days on for so many days, counted from now."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return authority.issue_cert(
        *(names or ("localhost", "127.0.0.1")),
        not_before=now + timedelta(days=begins),
        not_after=now + timedelta(days=ends),
    )


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate that is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC).replace(tzinfo=None)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=100))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "self.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "self.pem")
    return context


class HeadProxy(LinkProxy):
    """Changes the head of each connection's first request, and speaks TLS with clients if it has a context."""

    def __init__(
        self,
        upstream: int,
        change: Callable[[bytes], bytes] = bytes,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", upstream))
        self._change = change
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            writer.write(self._change(await reader.readuntil(b"\r\n\r\n")))
        await super()._copy(reader, writer)

    async def _copy_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await super()._copy(reader, writer)


class IdleProxy(LinkProxy):
    """Cuts a connection when the server has sent nothing for so many seconds after its first bytes."""

    def __init__(self, upstream: int, limit: float) -> None:
        super().__init__(("127.0.0.1", upstream))
        self._limit = limit

    async def _copy_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            data = await reader.read(65_536)
            while data:
                writer.write(data)
                await writer.drain()
                data = await asyncio.wait_for(reader.read(65_536), self._limit)
        writer.transport.abort()


def without_upgrade(head: bytes) -> bytes:
    """As nginx passes a request on without further settings."""
    lines = head.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith((b"upgrade:", b"connection:"))]
    return b"\r\n".join(kept)


def replacing(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Changes the first occurrence in a head."""
    return lambda head: head.replace(old, new, 1)


def http(status: str, body: str = "", **headers: str) -> bytes:
    """An answer that ends its connection."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


@asynccontextmanager
async def site(answers: Mapping[str, bytes], *, upstream: int = 0) -> AsyncIterator[int]:
    """Answers by the path's beginning, the longest first; anything else goes to `upstream` or is cut."""

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            known = [start for start in answers if path.startswith(start)]
            if known:
                writer.write(answers[max(known, key=len)])
                await writer.drain()
            elif upstream:
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", upstream)
                up_writer.write(head)
                await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        writer.close()

    listener = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def wrong(results: Sequence[Result]) -> dict[str, str]:
    """Cause -> sentence of each ✗."""
    return {result.cause: result.sentence for result in results if result.mark == "✗"}


def unsure(results: Sequence[Result]) -> dict[str, str]:
    """Cause -> sentence of each `?` with a cause of its own."""
    return {
        result.cause: result.sentence
        for result in results
        if result.mark == "?" and result.cause != "left_out"
    }


def holding(results: Sequence[Result]) -> dict[str, str]:
    """Check -> sentence of each ✓."""
    return {result.check: result.sentence for result in results if result.mark == "✓"}
