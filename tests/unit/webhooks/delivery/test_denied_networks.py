"""Which addresses are denied, in whatever form."""

import pytest

from pusher_server.config.settings import DENIED_NETWORKS
from pusher_server.webhooks.delivery.denied_networks import DeniedNetworks

DEFAULT = DeniedNetworks(DENIED_NETWORKS)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "169.254.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "fe80::1",
        "fe80::1%eth0",
        "febf:ffff::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::169.254.169.254",
        "::ffff:0:a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1::a9:fea9:fe00:0",
        "64:ff9b:1::a9fe:a9fe",
        "2001:0:a9fe:a9fe::1",
        "2001:0:102:304:0:0:5601:5601",
        "2001:db8::5efe:169.254.169.254",
        "2001:db8::200:5efe:a9fe:a9fe",
        "64:ff9b::6464:64c8",
    ],
)
def test_link_local_and_metadata_addresses_are_denied_by_default(address: str) -> None:
    assert address in DEFAULT


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "10.0.0.1",
        "192.168.1.1",
        "172.17.0.1",
        "fd12:3456::1",
        "169.253.255.255",
        "169.255.0.0",
        "100.100.100.201",
        "93.184.216.34",
        "2606:2800:220:1::1",
        "::ffff:10.0.0.1",
        "64:ff9b::5db8:d822",
        "2001:db8::a9fe:a9fe",
    ],
)
def test_this_machine_private_networks_and_everybody_else_are_not(address: str) -> None:
    assert address not in DEFAULT


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"],
)
def test_no_address_is_this_machine(address: str) -> None:
    closed = DeniedNetworks(["127.0.0.0/8", "::1/128"])
    assert address in closed


@pytest.mark.parametrize(("address", "network"), [("::%1", "::1/128"), ("::1%lo", "::1/128")])
def test_the_interface_that_an_address_names_opens_nothing(address: str, network: str) -> None:
    assert address in DeniedNetworks([network])


def test_a_network_may_be_written_in_the_form_of_the_other_family() -> None:
    closed = DeniedNetworks(["::ffff:10.0.0.0/104"])
    assert "10.1.2.3" in closed
    assert "::ffff:10.1.2.3" in closed
    assert "11.0.0.1" not in closed
    assert "0.0.0.1" in DeniedNetworks(["::ffff:0:0/96"])


def test_the_empty_list_denies_nothing() -> None:
    assert "169.254.169.254" not in DeniedNetworks([])
    assert not DeniedNetworks([])


def test_a_network_is_covered_when_all_of_it_is_denied() -> None:
    """What the start says is open must not hide the rest of a network of which a part is closed."""
    closed = DeniedNetworks(["10.0.0.0/24", "172.16.0.0/12", "::ffff:192.168.0.0/104", "fc00::/6"])
    assert not closed.cover("10.0.0.0/8")
    assert closed.cover("172.16.0.0/12")
    assert closed.cover("192.168.0.0/16")
    assert closed.cover("fc00::/7")
    assert not closed.cover("::1/128")
