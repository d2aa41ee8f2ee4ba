"""Floods of connections, below HTTP."""

import ssl
from collections.abc import Iterator

from tests.abuse.flood import AT_A_TIME, Flood, Manner

_SLOW = 200


def unchecked_context() -> ssl.SSLContext:
    """A TLS client that does not look whose certificate it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_hello() -> bytes:
    """The first flight of a TLS handshake."""
    outgoing = ssl.MemoryBIO()
    half = unchecked_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake needs an answer")


def connection_floods() -> Iterator[Flood]:
    """All of them; those that need TLS say so."""
    yield Flood(
        "connects", "connect and close, as fast as it closes, too", b"", Manner.CHURN,
        waits=True, resets=False, connections=AT_A_TIME,
    )  # fmt: skip
    yield Flood("connects, reset", "connect and reset", b"", Manner.CHURN, connections=AT_A_TIME)
    hello = client_hello()
    yield Flood(
        "TLS hellos", "handshakes begun and dropped", hello, Manner.CHURN,
        waits=True, needs_tls=True, below_tls=True, connections=AT_A_TIME,
    )  # fmt: skip
    yield Flood(
        "TLS hellos, slow", f"{_SLOW} handshakes, a byte now and then", hello, Manner.DRIBBLE,
        connections=_SLOW, needs_tls=True, below_tls=True,
    )  # fmt: skip
    yield Flood(
        "TLS garbage", "bytes that are no TLS", b"\x16\x03\x01\xff\xff" + b"\0" * 300, Manner.CHURN,
        waits=True, needs_tls=True, below_tls=True, connections=AT_A_TIME,
    )  # fmt: skip
    yield Flood("TLS handshakes", "finished and dropped", b"", Manner.HANDSHAKE, needs_tls=True)
