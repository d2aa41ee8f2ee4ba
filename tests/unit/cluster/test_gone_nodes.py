"""`GoneNodes`: one line for each node that is gone, with all of its keys."""

import pytest

from pusher_server.cluster.gone_nodes import GoneNodes


def test_a_node_that_is_gone_is_logged_once_with_all_of_its_keys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A store releases them in steps; our own former name is no news."""
    gone = GoneNodes("me.abc")
    gone.released({"other.1f.1": 500, "me.abc.1": 3}, more=True)
    assert caplog.records == []
    gone.released({"other.1f.1": 20}, more=False)
    gone.released({}, more=False)
    assert [record.getMessage() for record in caplog.records] == [
        "node other is gone: 520 of its keys released"
    ]
    assert caplog.records[0].__dict__["node"] == "me.abc"
