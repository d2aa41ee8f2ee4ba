"""`log.access`: a line per request, and no signature in any of them."""

from collections.abc import Iterator

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, app
from tests.support.serving import RunningServer
from tests.support.waiting import eventually
from tests.support.wire import Address

EVENTS = f"/apps/{APP_ID}/events"
BODY = b'{"name":"e","channel":"c","data":"{}"}'


@pytest.fixture(scope="module", params=["console", "json"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One that writes them, in either form."""
    settings = {"apps": [app()], "log": {"access": True, "format": request.param}}
    with RunningServer(tmp_path_factory.mktemp("log"), settings) as running:
        yield running


@pytest.mark.parametrize(
    ("respelled", "status"),
    [
        (("auth_signature", "auth_signature"), 200),
        (("auth_signature", "AUTH_SIGNATURE"), 200),
        (("auth_signature", "auth%5Fsignature"), 200),
        (("auth_signature", "%61uth_signature"), 200),
        (("auth_signature", "auth_signature[]"), 401),
        (("?", "/"), 404),
        (("?", "%3F"), 404),
    ],
)
async def test_no_signature_is_written(
    server: RunningServer, respelled: tuple[str, str], status: int
) -> None:
    """In the spellings that are accepted, and in those that are not."""
    target = signed.target("POST", EVENTS, BODY)
    signature = target.rpartition("=")[2]
    assert len(signature) == 64
    before = len(server.log)
    async with wire.opened(Address(port=server.port)) as client:
        await client.send(wire.request(target.replace(*respelled), method="POST", body=BODY))
        assert (await client.answer()).status == status
    await eventually(lambda: f"{status}" in server.log[before:])
    said = server.log[before:]
    assert "***" in said
    assert signature not in said
    assert signature[:16] not in said
