"""Plans: the same seed gives the same run, and a run sees every kind of fault."""

from tests.chaos.plan import CALM, Plan, Sizes
from tests.chaos.world import BROAD, NARROW, Timing

KINDS = {"flush": (0.1, 0.1), "kill": (0.5, 2.0), "stop": (4.0, 6.0)}
SIZES = Sizes(clients=30)


def plan(seed: int = 1, kinds: dict[str, tuple[float, float]] = KINDS) -> Plan:
    """A small one."""
    return Plan(seed, kinds, 3, Timing(), SIZES)


def test_a_seed_replays() -> None:
    one, same, other = plan(), plan(), plan(2)
    assert one.clients == same.clients
    assert [one.round(n) for n in range(5)] == [same.round(n) for n in range(5)]
    assert one.clients != other.clients
    assert one.round(0) != other.round(0)


def test_rounds_do_not_depend_on_those_asked_for_before() -> None:
    one, same = plan(), plan()
    third = one.round(3)
    assert [same.round(n) for n in range(4)][3] == third


def test_every_kind_of_fault_comes_before_one_comes_again() -> None:
    first = [plan().round(n).faults[0].kind for n in range(2 * len(KINDS))]
    assert sorted(first[: len(KINDS)]) == sorted(first[len(KINDS) :]) == sorted(KINDS)


def test_a_round_is_calm_first_and_ends_after_its_faults() -> None:
    for number in range(20):
        round_ = plan().round(number)
        assert all(fault.at >= CALM and fault.ends < round_.seconds for fault in round_.faults)
        assert all(0 <= action.at <= round_.seconds for action in round_.actions)
        assert [a.at for a in round_.actions] == sorted(a.at for a in round_.actions)
        for fault in round_.faults:
            least, most = KINDS[fault.kind]
            assert least <= fault.seconds <= most


def test_faults_overlap_now_and_then() -> None:
    rounds = [plan().round(number) for number in range(40)]
    both = [r.faults for r in rounds if len(r.faults) == 2]
    assert len(both) > 5
    assert any(two.at < one.ends for one, two in both)


def test_without_faults_there_are_only_actions() -> None:
    round_ = plan(kinds={}).round(0)
    assert round_.faults == ()
    assert round_.actions


def test_several_tabs_share_a_user_and_nobody_watches_himself() -> None:
    clients = Plan(1, KINDS, 3, Timing(), Sizes(clients=200)).clients
    assert len({client.user for client in clients}) < len(clients) / 2
    assert all(client.user not in client.watchlist for client in clients)
    assert {name for client in clients for name in client.channels} <= {*BROAD, *NARROW}
