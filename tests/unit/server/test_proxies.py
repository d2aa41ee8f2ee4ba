"""What a proxy says about a client, and whose word counts."""

import pytest

from pusher_server.server import proxies
from pusher_server.server.proxies import TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "192.0.2.7", "fd00::/8", "203.0.113.9/24"])


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("fd00::1", True),
        ("203.0.113.200", True),
        ("::1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:198.51.100.1", False),
        ("not an address", False),
        ("", False),
        (None, True),
    ],
)
def test_named_addresses_and_networks_are_trusted(peer: str | None, trusted: bool) -> None:
    """A Unix socket has no address: only this machine reaches it."""
    assert PROXIES.trusts(peer) is trusted


def test_without_any_named_nobody_but_the_unix_socket_is_trusted() -> None:
    nobody = TrustedProxies([])
    assert not nobody.trusts("127.0.0.1")
    assert nobody.trusts(None)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.1", None, "198.51.100.1"),
        ("198.51.100.1", "1.1.1.1", "198.51.100.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1 , 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "unknown", "unknown"),
        ("10.0.0.1", "1.1.1.1:4711", "1.1.1.1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1:80, 10.0.0.2:443,", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6,\t1.1.1.1\t, ::ffff:10.0.0.2", "1.1.1.1"),
        (None, "1.1.1.1", "1.1.1.1"),
        (None, None, "unix"),
    ],
)
def test_the_client_is_the_last_hop_that_is_no_proxy_of_ours(
    peer: str | None, forwarded_for: str | None, client: str
) -> None:
    """Whatever the client itself wrote into the header stands further left, and does not count."""
    assert PROXIES.client(peer, forwarded_for) == client


@pytest.mark.parametrize(
    ("peer", "proto", "secure"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", " https ", True),
        ("10.0.0.1", "https,https", True),
        ("10.0.0.1", "https,http", False),
        ("10.0.0.1", "wss", True),
        ("10.0.0.1", "HTTPS", True),
        ("10.0.0.1", "Wss , https", True),
        ("10.0.0.1", "\thttps\t", True),
        ("10.0.0.1", '"https"', True),
        ("10.0.0.1", ", https,,", True),
        ("10.0.0.1", "wss,ws", False),
        ("10.0.0.1", "ws", False),
        ("10.0.0.1", "httpswss", False),
        ("10.0.0.1", "https wss", False),
        ("10.0.0.1", " , ,", False),
        ("10.0.0.1", "", False),
        ("198.51.100.1", "wss", False),
        ("10.0.0.1", "http", False),
        ("10.0.0.1", None, False),
        ("198.51.100.1", "https", False),
        (None, "https", True),
    ],
)
def test_only_a_trusted_proxy_can_say_that_the_client_spoke_tls(
    peer: str | None, proto: str | None, secure: bool
) -> None:
    assert PROXIES.is_secure(peer, proto) is secure


def test_of_a_long_list_only_what_proxies_have_written_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rest is the client's own, and may be as long as a head."""
    looks = 0
    address = proxies._address

    def counted(hop: str) -> str:
        nonlocal looks
        looks += 1
        return address(hop)

    monkeypatch.setattr(proxies, "_address", counted)
    forwarded_for = "10.0.0.9:80, " * 5_000 + "198.51.100.7, 10.0.0.2"
    assert PROXIES.client("10.0.0.1", forwarded_for) == "198.51.100.7"
    assert looks == 2


def test_what_is_no_address_is_kept_short() -> None:
    """A proxy that passes on what it was given lets a client write a head full of it."""
    assert PROXIES.client("10.0.0.1", "_" * 60_000) == "_" * 64
    assert PROXIES.client("10.0.0.1", '"[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"') == (
        "2001:db8:1234:5678:9abc:def0:1234:5678"
    )
