"""Every connection in the log, for those who look for one."""

import logging

import pytest

from pusher_server.clients.connection_log import OBSERVED, ConnectionLog
from tests.support.node import NodeFixture


def test_a_connection_is_a_line_at_its_beginning_and_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fixture = NodeFixture()
    log = ConnectionLog(fixture.node.hub)
    fixture.node.observe(log.observe, *OBSERVED)
    with caplog.at_level(logging.DEBUG, "pusher_server.websocket"):
        client = fixture.connect()
        fixture.node.close(client, 4201, settle=False)
    opened, closed = map(vars, caplog.records)
    for line in (opened, closed):
        assert line["levelname"] == "DEBUG"
        assert (line["app"], line["socket_id"]) == (fixture.app.id, client.socket_id)
        assert line["address"] == client.remote
    assert (opened["msg"], opened["key"]) == ("connection opened", client.app_key)
    assert (closed["msg"], closed["code"]) == ("connection closed", 4201)
    assert not log._addresses, "nothing is kept of those that are gone"
