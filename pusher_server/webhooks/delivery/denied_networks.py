"""The addresses that webhooks of tenants may not reach (pure).

An IPv4 address has many forms in IPv6 that lead to the same machine, through the kernel or a translator in the
network. All of them are denied with it.
"""

from collections.abc import Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address

#: To connect to "no address" is to connect to this machine.
_HERE: dict[Address, Address] = {
    IPv4Address(0): IPv4Address("127.0.0.1"),
    IPv6Address(0): IPv6Address("::1"),
}
#: The prefix for networks that translate IPv6 to IPv4 (RFC 6052 §2.1), and the one for local use (RFC 8215).
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
#: The bytes of an IPv4 address in a translated one, by the length of the prefix (RFC 6052 §2.2).
_PLACES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
#: Addresses that are IPv4-mapped (RFC 4291 §2.5.5.2), IPv4-compatible (RFC 4291 §2.5.5.1) and
#: IPv4-translated (RFC 2765 §2.1).
_MAPPED = IPv6Network("::ffff:0:0/96")
_WITH_IPV4_AT_THE_END = (_MAPPED, IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"))
#: The bytes before the IPv4 address in an interface's identifier of ISATAP (RFC 5214 §6.1).
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")


class DeniedNetworks:
    """`networks` are as in `webhooks.denied_networks`. Raises ValueError for a text that is no network."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [_network(network) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Whether one of the networks has this address, in any of its forms and on any interface."""
        forms = set(forms_of(ip_address(address.partition("%")[0])))
        return any(form in network for network in self._networks for form in forms)

    def cover(self, network: str) -> bool:
        """Whether a single one of the networks has all of this one."""
        wanted = _network(network)
        return any(
            wanted.version == denied.version and wanted.subnet_of(denied)  # type: ignore[arg-type] # the same
            for denied in self._networks
        )


def forms_of(address: Address) -> Iterator[Address]:
    """The address, and those that it leads to."""
    yield address
    if address in _HERE:
        yield _HERE[address]
    if isinstance(address, IPv6Address):
        for embedded in _embedded(address):
            yield from forms_of(embedded)


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    raw = address.packed
    if address in _NAT64 or any(address in network for network in _WITH_IPV4_AT_THE_END):
        yield IPv4Address(raw[12:])
    if address in _LOCAL_NAT64:
        for places in _PLACES:
            yield IPv4Address(bytes(raw[place] for place in places))
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if raw[8:12] in _ISATAP:
        yield IPv4Address(raw[12:])


def _network(text: str) -> IPv4Network | IPv6Network:
    """The network in a setting; an IPv4-mapped one becomes the IPv4 network that it maps."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        base = IPv4Address(network.network_address.packed[12:])
        return IPv4Network((base, network.prefixlen - _MAPPED.prefixlen))
    return network
