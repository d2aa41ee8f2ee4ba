"""Which paths are WebSockets', and how many clients may come by them."""

import pytest

from pusher_server.clients.request import ClientRequest
from pusher_server.protocol.errors import ConnectionRejected
from tests.unit.websocket.edge_fixture import EdgeFixture


@pytest.mark.parametrize(
    "target",
    ["/app/key", "/app/key/", "/app/key?protocol=7&client=js", "/ws/app/key", "/app/k%65y"],
)
def test_the_key_is_the_last_part_of_the_path(target: str) -> None:
    assert EdgeFixture().edge.key_of(ClientRequest("GET", target, [])) == "key"


@pytest.mark.parametrize(
    "target",
    ["/", "", "/app", "/app/", "/apps/key", "/x/app/key", "/app/a/b", "*"],
)
def test_other_paths_are_not_found(target: str) -> None:
    with pytest.raises(ConnectionRejected) as caught:
        EdgeFixture().edge.key_of(ClientRequest("GET", target, []))
    assert (caught.value.code, caught.value.message) == (4005, "Path not found")


@pytest.mark.parametrize("target", ["//app/key", "/app//key", "//[", "//app//key?a=//"])
def test_a_double_slash_is_named_in_words_that_fit_a_close_frame(target: str) -> None:
    with pytest.raises(ConnectionRejected, match="double slash") as caught:
        EdgeFixture().edge.key_of(ClientRequest("GET", target, []))
    assert (caught.value.code, caught.value.reason) == (4005, "double_slash")
    assert len(caught.value.message) <= 123


async def test_a_process_takes_so_many_connections_and_no_more() -> None:
    fixture = EdgeFixture(max_connections=2)
    first = await fixture.client().established()
    await fixture.client().established()
    third = fixture.client()
    assert await third.told() == [(4100, "Over capacity"), ("close", 4100)]
    third.lose()
    first.lose()
    await fixture.client().established()
