"""Checks of the host and its ports: the name, whether TLS or plain HTTP is spoken, and the certificate."""

import asyncio
import ssl
from collections.abc import Callable

import httpcore
from msgspec import Struct

from pusher_server.diagnosis.printable import counted, printable
from pusher_server.doctor.network import Network, Trouble
from pusher_server.doctor.results import Result, fault, good
from pusher_server.doctor.targets import Target, is_local
from pusher_server.resolving import NameNotResolved
from pusher_server.webhooks.delivery.connecting import FAULTS

#: Days before its end at which a certificate should have been renewed; certbot does it at 30.
_SOON = 14
_DAY = 86_400.0
#: Addresses that a sentence names.
_SHOWN = 3
#: Paths of the look at a port. The second one is for a proxy that cuts what it has no rule for.
_PROBED = ("/up", "/app/doctor-without-a-key")
#: Bytes of the answer that are read.
_PROBE = 2_000
#: OpenSSL's X509_V_ERR_… (openssl/x509_vfy.h) and the cause.
_VERIFY_CODES = {
    9: "certificate_early",
    10: "certificate_expired",
    18: "certificate_self_signed",
    62: "certificate_name",
    63: "certificate_name",
    64: "certificate_name",
}
#: Reasons that releases of OpenSSL have for an answer that is no TLS.
_NO_TLS = ("wrong version number", "record layer failure", "packet length too long")
#: Answers of nginx, Apache and Go to plain HTTP on a port with TLS.
_WANTS_TLS = ("sent to https port", "ssl-enabled server port", "http request to an https server")


class Port(Struct, frozen=True):
    """The results of a port. `is_open`: go on; `is_trusted`: its certificate holds, or there is none."""

    results: list[Result]
    is_open: bool = False
    is_trusted: bool = False


async def check_name(network: Network, target: Target, check: str = "name") -> Result:
    """Return whether the host's name has an address."""
    try:
        addresses = await network.resolver.addresses(target.host)
    except NameNotResolved:
        reason = "no name server knows it, or none answers"
        return fault(check, "name_unknown", host=target.shown_host, reason=reason)
    if target.host_named:
        several = f"{len(addresses)} addresses" if len(addresses) > 1 else "an address"
        return good(check, f"{target.shown_host} has {several}")
    if addresses == (target.host,):
        return good(check, f"{target.shown_host} is an address")
    more = len(addresses) - _SHOWN
    shown = ", ".join(printable(address) for address in addresses[:_SHOWN])
    return good(
        check, f"{target.shown_host} is {shown}" + (f" and {more} more" if more > 0 else "")
    )


async def check_port(network: Network, target: Target, now: Callable[[], float]) -> Port:
    """Return what the port speaks, and whether its certificate holds. `now` gives Unix seconds."""
    if target.is_tls:
        return await _check_tls(network, target, now())
    try:
        protocol = await _protocol_of(network, target)
    except Trouble as trouble:
        return Port([port_trouble("port", target, trouble)])
    if protocol == "plain":
        spoken = f"port {target.shown_port} of {target.shown_host} speaks plain HTTP"
        return Port([good("port", spoken)], is_open=True, is_trusted=True)
    cause = "tls_on_plain_port" if protocol == "tls" else "no_http"
    return Port([_fault(target, cause)])


async def check_other_port(network: Network, target: Target) -> list[Result]:
    """Return whether the usual port of the other scheme is open: 80 beside 443, and 443 beside 80."""
    if not target.is_usual_port or is_local(target.host):
        return []
    other = Target(
        target.host, 80 if target.is_tls else 443, not target.is_tls, host_named=target.host_named
    )
    try:
        stream = await network.connect(other, tls=False)
    except Trouble:
        if target.is_tls:
            return [good("other port", "port 80 is closed, and clients with TLS need only 443")]
        return [fault("other port", "other_port_closed", host=other.shown_host, port=443)]
    await stream.aclose()
    return [good("other port", f"port {other.port} of {other.shown_host} is open as well")]


async def _check_tls(network: Network, target: Target, now: float) -> Port:
    try:
        stream = await network.connect(target, tls=True)
    except Trouble as trouble:
        if trouble.kind == "certificate":
            return await _without_trust(network, target, trouble)
        return Port([await _tls_trouble(network, target, trouble)])
    spoken = good("port", f"port {target.shown_port} of {target.shown_host} speaks TLS")
    certificate = _lifetime(stream, target, now)
    await stream.aclose()
    return Port([spoken, certificate], is_open=True, is_trusted=True)


def _lifetime(stream: httpcore.AsyncNetworkStream, target: Target, now: float) -> Result:
    tls = stream.get_extra_info("ssl_object")
    ends = ssl.cert_time_to_seconds(str(tls.getpeercert()["notAfter"]))
    days = int((ends - now) // _DAY)
    if days < _SOON:
        left = "less than a day" if days < 1 else counted(days, "day")
        return fault("certificate", "certificate_soon", host=target.shown_host, days=left)
    return good(
        "certificate",
        f"it is for {target.shown_host}, its chain is complete, and it ends in {days} days",
    )


async def _without_trust(network: Network, target: Target, trouble: Trouble) -> Port:
    """The certificate is refused; the rest is looked at all the same, without a signature."""
    cause = _VERIFY_CODES.get(trouble.code, "certificate_chain")
    certificate = fault("certificate", cause, host=target.shown_host, reason=trouble.reason)
    spoken = good("port", f"port {target.shown_port} of {target.shown_host} speaks TLS")
    return Port([spoken, certificate], is_open=True, is_trusted=False)


async def _tls_trouble(network: Network, target: Target, trouble: Trouble) -> Result:
    """A handshake that fails may be plain HTTP, which tells what to change."""
    if trouble.kind not in ("tls", "closed"):
        return port_trouble("port", target, trouble)
    try:
        protocol = await _protocol_of(network, target)
    except Trouble:
        protocol = ""
    if protocol == "plain":
        return _fault(target, "plain_on_tls_port")
    if protocol == "tls" or trouble.reason not in _NO_TLS:
        return _fault(target, "tls_broken", reason=trouble.reason)
    return _fault(target, "no_http")


async def _protocol_of(network: Network, target: Target) -> str:
    """Return `plain`, `tls` or `` for neither. Raises Trouble when the port cannot be reached."""
    for path in _PROBED:
        answer, is_silent = await _first_bytes(network, target, path)
        if answer.startswith(b"HTTP/"):
            text = answer.decode("latin-1").lower()
            return "tls" if any(words in text for words in _WANTS_TLS) else "plain"
        if answer or is_silent:
            break
    if target.is_tls:  # the handshake was tried before
        return ""
    try:
        secure = await network.connect(target, tls=True, verify=False)
    except Trouble:
        return ""
    await secure.aclose()
    return "tls"


async def _first_bytes(network: Network, target: Target, path: str) -> tuple[bytes, bool]:
    """Return the beginning of the answer to a plain request, and whether its time was over. Raises Trouble."""
    stream = await network.connect(target, tls=False)
    request = f"GET {target.prefix}{path} HTTP/1.1\r\nHost: {target.host_header}\r\nConnection: close\r\n\r\n"
    answer, is_silent = b"", False
    try:
        async with asyncio.timeout(network.limit / 2):
            await stream.write(request.encode(), network.limit)
            while len(answer) < _PROBE and (data := await stream.read(_PROBE)):
                answer += data
    except TimeoutError:
        is_silent = True
    except (*FAULTS, OSError):  # a port with TLS cuts
        pass
    finally:
        await stream.aclose()
    return answer, is_silent


def port_trouble(check: str, target: Target, trouble: Trouble) -> Result:
    """Return the cause of a connection that does not come about."""
    seen = {
        "host": target.shown_host,
        "port": target.shown_port,
        "reason": trouble.reason,
        "seconds": 5,
    }
    causes = {
        "name": "name_unknown",
        "refused": "port_refused",
        "silent": "port_silent",
        "closed": "no_http",
        "tls": "tls_broken",
    }
    return fault(check, causes.get(trouble.kind, "port_unreachable"), **seen)


def _fault(target: Target, cause: str, **seen: object) -> Result:
    return fault("port", cause, host=target.shown_host, port=target.shown_port, **seen)
