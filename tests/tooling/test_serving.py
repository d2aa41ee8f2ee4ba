"""What tests start their servers with."""

from itertools import islice

from tests.support.serving import PORTS, ports_of


def test_no_two_processes_choose_the_same_port() -> None:
    """Nor does one of them choose a port again before it has chosen all others."""
    shares = [list(islice(ports_of(worker, 2), len(PORTS) // 2)) for worker in range(2)]
    assert sorted(shares[0] + shares[1]) == list(PORTS)


def test_ports_come_back_when_all_were_chosen() -> None:
    chosen = list(islice(ports_of(0, 4), len(PORTS) // 4 + 1))
    assert chosen[-1] == chosen[0]
