"""Reads the headers in which a proxy describes its client, of proxies that the operator names."""

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network

#: Schemes that proxies write for a client with TLS. Traefik names the WebSocket's own scheme.
_SECURE = ("https", "wss")
#: Bytes of a proxy's entry that is no address (RFC 7239 §6.3 allows names).
_NAME_BYTES = 64
#: `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`: some proxies add the port (Azure's, IIS).
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>\d+\.\d+\.\d+\.\d+):\d+")


class TrustedProxies:
    """`networks` are addresses or CIDRs. A Unix socket's peer is trusted: only this machine reaches it."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]

    def trusts(self, peer: str | None) -> bool:
        """Whether this peer's headers count."""
        if peer is None:
            return True
        if not self._networks:
            return False
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def client(self, peer: str | None, forwarded_for: str | None) -> str:
        """The client's address: the last in `X-Forwarded-For` that is not a trusted proxy itself."""
        hops = _items(forwarded_for)
        client = peer
        while self.trusts(client) and hops:
            client = _address(hops.pop())  # the others may come from the client itself
        return client or "unix"

    def is_secure(self, peer: str | None, forwarded_proto: str | None) -> bool:
        """Whether the client spoke TLS to the trusted proxy; of several, to each of them."""
        hops = [scheme.strip('"').lower() for scheme in _items(forwarded_proto)]
        return bool(hops) and all(scheme in _SECURE for scheme in hops) and self.trusts(peer)


def _items(header: str | None) -> list[str]:
    """A list's elements (RFC 9110 §5.6.1): blanks around them and empty ones mean nothing."""
    return [item for part in (header or "").split(",") if (item := part.strip(" \t"))]


def _address(hop: str) -> str:
    """The address of a hop, without quotes, brackets and port, and not longer than any address."""
    hop = hop[:_NAME_BYTES].strip('"')
    match = _WITH_PORT.fullmatch(hop)
    return hop if match is None else match["v6"] or match["v4"]
