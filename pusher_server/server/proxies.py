"""What a proxy in front says about a client, believed only of the proxies that the operator names."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network


class TrustedProxies:
    """`networks` are addresses or CIDRs. A Unix socket's peer is trusted: only this machine reaches it."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(each, strict=False) for each in networks]

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
        return any(address in network for network in self._networks)

    def client(self, peer: str | None, forwarded_for: str | None) -> str:
        """The client's address: the last in `X-Forwarded-For` that is not a trusted proxy itself."""
        hops = [each.strip() for each in (forwarded_for or "").split(",") if each.strip()]
        client = peer
        while self.trusts(client) and hops:
            client = hops.pop()
        return client or "unix"

    def is_secure(self, peer: str | None, forwarded_proto: str | None) -> bool:
        """Whether the client spoke TLS to the trusted proxy; of several, to each of them."""
        hops = (forwarded_proto or "").split(",")
        return all(each.strip() == "https" for each in hops) and self.trusts(peer)
