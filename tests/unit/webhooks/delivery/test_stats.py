"""`pusher_server.webhooks.delivery.stats`: what waits is told by whoever has claimed it, and by nobody else."""

from pusher_server.histogram import DELIVERY_BOUNDS
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.outbox.interface import Backlog


def test_an_app_has_its_numbers_for_good() -> None:
    stats = DeliveryStats()
    stats.of("1").attempts += 1
    stats.of("1").attempts += 1
    assert stats.of("1").attempts == 2
    assert stats.of("2").attempts == 0
    assert list(stats.apps) == ["1", "2"]


def test_only_what_is_claimed_waits_here() -> None:
    """Another process tells of the rest."""
    stats = DeliveryStats()
    stats.of("3").delivered += 1
    stats.note_backlog({"1": Backlog(7, 5.0, 0), "2": Backlog(9, 4.0, 1)}, claimed=["1", "3"])
    assert (stats.of("1").waiting, stats.of("1").oldest) == (7, 5.0)
    assert (stats.of("3").waiting, stats.of("3").oldest) == (0, None)
    assert "2" not in stats.apps


def test_an_app_that_somebody_else_has_claimed_waits_there() -> None:
    """Not in both places."""
    stats = DeliveryStats()
    stats.note_backlog({"1": Backlog(7, 5.0, 0)}, claimed=["1"])
    stats.note_backlog({"1": Backlog(7, 5.0, 0)}, claimed=[])
    assert (stats.of("1").waiting, stats.of("1").oldest) == (0, None)


def test_the_bounds_reach_to_the_last_attempt() -> None:
    """docs/protocol/webhooks.md#retries: 290 s in all."""
    assert DELIVERY_BOUNDS[-1] >= 290
    assert list(DELIVERY_BOUNDS) == sorted(DELIVERY_BOUNDS)
