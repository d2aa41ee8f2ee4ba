"""A bucket of tokens, second by second."""

import pytest

from pusher_server.token_bucket import TokenBucket


def test_a_bucket_begins_full() -> None:
    bucket = TokenBucket(3, 100.0)
    assert [bucket.take(1, 100.0) for _ in range(3)] == [0.0] * 3


def test_the_wait_is_until_there_is_enough() -> None:
    bucket = TokenBucket(4, 100.0)
    bucket.take(4, 100.0)
    assert bucket.take(1, 100.0) == pytest.approx(0.25)
    assert bucket.take(4, 100.0) == pytest.approx(1.0)
    assert bucket.take(1, 100.25) == 0.0


def test_it_never_holds_more_than_one_second() -> None:
    bucket = TokenBucket(2, 100.0)
    assert [bucket.take(1, 500.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.5)]


def test_a_large_cost_needs_a_full_bucket_and_leaves_a_debt() -> None:
    bucket = TokenBucket(2, 100.0)
    bucket.take(1, 100.0)
    assert bucket.take(10, 100.0) == pytest.approx(0.5)
    assert bucket.take(10, 100.5) == 0.0
    assert bucket.take(1, 100.5) == pytest.approx(4.5)


def test_nothing_costs_nothing() -> None:
    bucket = TokenBucket(1, 100.0)
    bucket.take(1, 100.0)
    assert bucket.take(0, 100.0) == 0.0


def test_a_changed_rate_counts_from_now_on() -> None:
    bucket = TokenBucket(10, 100.0)
    bucket.take(10, 100.0)
    bucket.rate = 2
    assert bucket.take(1, 100.0) == pytest.approx(0.5)
    assert bucket.take(2, 101.0) == 0.0
    bucket.rate = 100
    assert bucket.take(100, 102.0) == 0.0


def test_a_lower_rate_takes_tokens_away() -> None:
    bucket = TokenBucket(10, 100.0)
    bucket.rate = 2
    assert [bucket.take(1, 100.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.5)]
