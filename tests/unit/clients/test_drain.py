"""Who is sent away when, before the process ends."""

import pytest

from pusher_server.clients.drain import FASTEST, STEP, batches


@pytest.mark.parametrize("connections", [1, 7, 999, 5_000, 50_000])
@pytest.mark.parametrize("grace", [0.0, 0.5, 5.0, 60.0])
def test_everybody_is_out_once_and_in_time(connections: int, grace: float) -> None:
    sizes = list(batches(connections, grace))
    assert sum(sizes) == connections
    assert all(size > 0 for size in sizes)
    assert len(sizes) * STEP <= max(grace, STEP) + 2 * STEP


def test_few_go_at_a_pace_that_another_server_takes() -> None:
    sizes = list(batches(1_000, grace=60.0))
    assert max(sizes) == FASTEST * STEP


def test_many_go_faster_to_be_out_in_time() -> None:
    assert max(batches(50_000, grace=5.0)) == 500


def test_nobody_is_nothing() -> None:
    assert list(batches(0, 5.0)) == []
