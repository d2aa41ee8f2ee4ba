"""The pace of 4000, and the line for operators."""

import pytest

from pusher_server.clients.request import ClientRequest
from pusher_server.clients.tls_only import DELAY, TlsRefusals
from pusher_server.protocol.errors import Code


def request(
    peer: str | None = "192.0.2.1",
    *,
    by_proxy: bool = False,
    forwarded_for: str | None = None,
    proto: str | None = None,
) -> ClientRequest:
    """A client without TLS."""
    headers = [] if proto is None else [(b"x-forwarded-proto", proto.encode())]
    return ClientRequest("GET", "/app/k", headers, peer, by_proxy, forwarded_for)


def test_the_first_is_told_at_once_and_whoever_comes_again_a_second_later() -> None:
    refusals = TlsRefusals()
    first = refusals.refuse(request(), 0.0)
    assert (first.code, first.delay) == (Code.TLS_REQUIRED, 0.0)
    assert [refusals.refuse(request(), now).delay for now in (0.1, 5.0, 14.0)] == [DELAY] * 3
    assert refusals.refuse(request("192.0.2.2"), 0.1).delay == 0.0
    assert refusals.refuse(request(), 30.0).delay == 0.0


def test_behind_a_proxy_clients_are_told_apart() -> None:
    refusals = TlsRefusals()
    for address in ("203.0.113.1", "203.0.113.2"):
        client = request("10.0.0.1", by_proxy=True, forwarded_for=address)
        assert refusals.refuse(client, 0.0).delay == 0.0
        assert refusals.refuse(client, 0.0).delay == DELAY


def test_what_is_remembered_is_bounded() -> None:
    refusals = TlsRefusals()
    for number in range(20_000):
        refusals.refuse(request(f"10.0.{number >> 8}.{number & 255}"), 0.0)
    assert len(refusals._refused) <= 10_000


@pytest.mark.parametrize(
    ("client", "advice"),
    [
        (request(), "if 192.0.2.1 is your proxy and speaks TLS, name it in server.trusted_proxies"),
        (
            request("10.0.0.1", by_proxy=True),
            "10.0.0.1 (server.trusted_proxies) sends no X-Forwarded-Proto; let it send https",
        ),
        (
            request("10.0.0.1", by_proxy=True, proto="http"),
            "10.0.0.1 (server.trusted_proxies) says X-Forwarded-Proto: http",
        ),
        (
            request(None, by_proxy=True),
            "the proxy behind the Unix socket sends no X-Forwarded-Proto; let it send https",
        ),
    ],
)
def test_the_log_says_what_to_do(client: ClientRequest, advice: str) -> None:
    cause = TlsRefusals().refuse(client, 0.0).cause
    assert cause == f"the app is tls_only and the client came without TLS: {advice}"
