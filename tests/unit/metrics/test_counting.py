"""Signals become totals, by app and reason."""

import pytest

from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.counting import Counting
from pusher_server.protocol.errors import Code
from pusher_server.signals import (
    ChannelOccupied,
    ConnectionRefused,
    MessageRefused,
    RequestRefused,
    Signal,
)


@pytest.mark.parametrize(
    ("signal", "metric", "labels"),
    [
        (
            ConnectionRefused(app_id="", code=Code.UNKNOWN_APP),
            catalogue.CONNECTIONS_REFUSED,
            ("", "unknown_app"),
        ),
        (
            ConnectionRefused(app_id="1", code=1009),
            catalogue.CONNECTIONS_REFUSED,
            ("1", "websocket_1009"),
        ),
        (MessageRefused(app_id="1", code=0), catalogue.MESSAGES_REFUSED, ("1", "other")),
        (
            MessageRefused(app_id="1", code=Code.CLIENT_EVENT_RATE),
            catalogue.RATE_LIMITED,
            ("1", "client_event"),
        ),
        (
            RequestRefused(app_id="1", reason="rate_read"),
            catalogue.RATE_LIMITED,
            ("1", "read"),
        ),
        (
            RequestRefused(app_id="1", reason="clock"),
            catalogue.REQUESTS_REFUSED,
            ("1", "clock"),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Signal) else "",
)
def test_each_refusal_has_its_metric(
    signal: Signal, metric: Metric, labels: tuple[str, ...]
) -> None:
    counting = Counting()
    counting.observe(signal)
    counting.observe(signal)
    assert list(counting.samples()) == [(metric, labels, 2)]


def test_what_nobody_counts_is_let_pass() -> None:
    counting = Counting()
    counting.observe(ChannelOccupied(app_id="1", channel="a"))
    assert list(counting.samples()) == []
