"""Which events count as lost, and to whom the loss is put down."""

import pytest

from tests.chaos.ledger import FaultWindow, Ledger, Settled, Stay

NEWS = "news-0"
#: Sockets and the process that each is connected to; events come from process 1.
PROCESSES = {"1.1": 1, "2.2": 2}


def settled(ledger: Ledger, *faults: FaultWindow, now: float = 20.0) -> Settled:
    """At rest."""
    return ledger.settle(now, faults, PROCESSES, {("tick:p:1", NEWS): 1})


def stay(
    ledger: Ledger, socket: str = "2.2", since: float = 0.0, ended: float | None = None
) -> Stay:
    """A granted subscription."""
    stay = ledger.asked(NEWS, socket, None, since)
    stay.granted, stay.ended = since, ended
    return stay


@pytest.fixture
def ledger() -> Ledger:
    """With one event, sent at 10 and answered at once."""
    ledger = Ledger()
    ledger.published("tick:p:1", NEWS, 10.0, excluded="9.9").answered = 10.1
    return ledger


def test_an_event_that_came_is_not_lost(ledger: Ledger) -> None:
    stay(ledger)
    assert ledger.delivered("tick:p:1", NEWS, "2.2")
    assert settled(ledger).losses == []
    assert settled(ledger).expected == {(): 1}


def test_the_same_event_twice_is_noticed(ledger: Ledger) -> None:
    assert ledger.delivered("tick:p:1", NEWS, "2.2")
    assert not ledger.delivered("tick:p:1", NEWS, "2.2")


@pytest.mark.parametrize(("socket", "same"), [("1.1", True), ("2.2", False)])
def test_a_loss_says_whether_it_happened_within_one_process(
    ledger: Ledger, socket: str, same: bool
) -> None:
    stay(ledger, socket)
    (loss,) = settled(ledger).losses
    assert (loss.faults, loss.same_process) == ((), same)


@pytest.mark.parametrize(
    ("begin", "rest", "faults"),
    [(9.0, None, ("flush",)), (9.0, 9.5, ()), (10.2, None, ("flush",)), (12.0, None, ())],
)
def test_a_loss_is_put_down_to_the_faults_that_were_on(
    ledger: Ledger, begin: float, rest: float | None, faults: tuple[str, ...]
) -> None:
    stay(ledger)
    (loss,) = settled(ledger, FaultWindow("flush", begin, rest)).losses
    assert loss.faults == faults


@pytest.mark.parametrize(
    ("since", "ended"), [(10.05, None), (0.0, 10.0), (0.0, 11.0)], ids=["late", "gone", "leaving"]
)
def test_only_who_was_there_for_long_enough_can_lose(
    ledger: Ledger, since: float, ended: float
) -> None:
    stay(ledger, since=since, ended=ended)
    assert settled(ledger).expected == {}


def test_with_a_fault_on_only_who_stayed_to_the_end_can_lose(ledger: Ledger) -> None:
    stay(ledger, ended=18.0)
    assert settled(ledger, FaultWindow("node stopped", 9.0)).expected == {}
    assert settled(ledger).expected == {(): 1}


def test_the_excluded_socket_and_the_sender_lose_nothing(ledger: Ledger) -> None:
    stay(ledger, "9.9")
    sender = stay(ledger, "1.1")
    ledger.published("client-tick:1.1:1", NEWS, 10.0, sender=sender)
    ledger.delivered("tick:p:1", NEWS, "1.1")
    ledger.delivered("client-tick:1.1:1", NEWS, "9.9")
    assert settled(ledger).losses == []


def test_an_event_without_an_answer_is_not_expected() -> None:
    ledger = Ledger()
    stay(ledger)
    ledger.published("tick:p:1", NEWS, 10.0)
    assert settled(ledger).expected == {}


@pytest.mark.parametrize(("ended", "lost"), [(10.3, 0), (None, 1)])
def test_a_termination_ends_every_connection_of_the_user(ended: float | None, lost: int) -> None:
    ledger = Ledger()
    signed_in = ledger.asked("#server-to-user-u1", "2.2", "u1", 0.0)
    signed_in.granted, signed_in.ended = 0.0, ended
    ledger.terminating("u1", 10.0).answered = 10.1
    assert len(settled(ledger).losses) == lost


def test_a_new_round_remembers_who_is_there_and_nothing_else(ledger: Ledger) -> None:
    there = stay(ledger)
    stay(ledger, "1.1", ended=5.0)
    ledger.begin_round()
    assert list(ledger.stays(NEWS)) == [there]
    assert settled(ledger).expected == {}
    assert ledger.delivered("tick:p:1", NEWS, "2.2"), "an event of the round before"
