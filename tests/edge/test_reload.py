"""SIGHUP: the file's apps are read again, nothing else (docs/decisions.md#reload)."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET, app
from tests.support.processes import reload, rewrite, write_text
from tests.support.serving import RunningServer
from tests.support.signing import channel_auth, user_auth
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address, Wire

OTHER: dict[str, Any] = {"id": "9", "key": "other-key", "secret": "other-secret"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """A process with one app."""
    settings = {"server": {"shutdown_grace": 0.0}, "apps": [app()]}
    async with RunningServer(tmp_path, settings) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def address(server: RunningServer) -> Address:
    """Where it listens."""
    return Address(port=server.port)


async def expect_closed(client: Wire, code: int) -> None:
    """Error frame and close frame, then the end."""
    await client.expect_refusal(code)


async def expect_refused(address: Address, key: str, code: int) -> None:
    """A new connection with this key is refused."""
    async with wire.opened(address) as client:
        await client.handshake(f"/app/{key}{QUERY}")
        await client.expect_refusal(code)


async def is_served(address: Address, client: Wire) -> None:
    """It still gets what is published to `c`."""
    async with wire.opened(address) as backend:
        await backend.send(signed.event("c"))
        assert (await backend.answer()).status == 200
    await client.expect("my-event")


async def test_an_added_app_works_and_a_removed_one_is_4001(
    server: RunningServer, address: Address
) -> None:
    """The first app's clients do not notice either."""
    async with wire.connected(address, KEY) as stays:
        await stays.join("c")
        await expect_refused(address, "other-key", 4001)
        rewrite(server, apps=[app(), OTHER])
        await reload(server)
        async with wire.connected(address, "other-key") as guest:
            await guest.join("c")
            await is_served(address, stays)
            rewrite(server, apps=[app()])
            await reload(server)
            await expect_closed(guest, 4001)
        await expect_refused(address, "other-key", 4001)
        await is_served(address, stays)


async def test_a_risky_app_that_is_added_is_a_warning(server: RunningServer) -> None:
    """As at the start; those that have not changed have had theirs."""
    rewrite(server, apps=[app(), {**OTHER, "secret": "s"}])
    await reload(server)
    assert "app '9': the secret of key 'other-key' has 1 character and can be guessed" in server.log
    await reload(server)
    assert server.log.count("can be guessed") == 1


async def test_a_disabled_app_is_4003_until_it_is_enabled(
    server: RunningServer, address: Address
) -> None:
    """For those who are there and for those who come; the API says 403."""
    async with wire.connected(address, KEY) as client, wire.opened(address) as backend:
        rewrite(server, apps=[app(enabled=False), OTHER])
        await reload(server)
        await expect_closed(client, 4003)
        await expect_refused(address, KEY, 4003)
        await backend.send(signed.event("c"))
        assert (await backend.answer()).status == 403
        rewrite(server, apps=[app()])
        await reload(server)
        async with wire.connected(address, KEY):
            await backend.send(signed.event("c"))
            assert (await backend.answer()).status == 200


async def test_keys_are_rotated_without_dropping_anybody(
    server: RunningServer, address: Address
) -> None:
    """Both work while both are there; removing one closes its connections with 4001."""
    old, new = {"key": KEY, "secret": SECRET}, {"key": "new-key", "secret": "new-secret"}
    async with wire.connected(address, KEY) as with_old:
        await with_old.join("c")
        rewrite(server, apps=[{"id": APP_ID, "keys": [new, old]}])
        await reload(server)
        async with wire.connected(address, "new-key") as with_new:
            await with_new.join("c")
            async with wire.opened(address) as backend:
                await backend.send(signed.event("c"))  # still signed with the old one
                assert (await backend.answer()).status == 200
            await with_old.expect("my-event")
            await with_new.expect("my-event")
            rewrite(server, apps=[{"id": APP_ID, "keys": [new]}])
            await reload(server)
            await expect_closed(with_old, 4001)
            await expect_refused(address, KEY, 4001)
            async with wire.opened(address) as backend:
                await backend.send(signed.event("c"))
                assert (await backend.answer()).status == 401
            await with_new.expect_alive()


@pytest.mark.parametrize("old_secret", [None, "changed"], ids=["key removed", "secret changed"])
async def test_a_secret_that_is_gone_ends_what_it_signed(
    server: RunningServer, address: Address, old_secret: str | None
) -> None:
    """Also of those who came with the new key. They may come back, with a proof that holds."""
    old, new = {"key": KEY, "secret": SECRET}, {"key": "new-key", "secret": "new-secret"}
    rewrite(server, apps=[{"id": APP_ID, "keys": [new, old]}])
    await reload(server)
    async with AsyncExitStack() as clients:
        member, user, renewed = [
            await clients.enter_async_context(wire.opened(address)) for _ in range(3)
        ]
        names = {}
        for client in (member, user, renewed):
            await client.handshake(f"/app/new-key{QUERY}")
            names[client] = await client.established()
        await member.join("private-c", auth=channel_auth(KEY, SECRET, names[member], "private-c"))
        await renewed.join(
            "private-c", auth=channel_auth("new-key", "new-secret", names[renewed], "private-c")
        )
        proof = {
            "auth": user_auth(KEY, SECRET, names[user], '{"id":"1"}'),
            "user_data": '{"id":"1"}',
        }
        await user.send(wire.message("pusher:signin", data=proof))
        await user.expect("pusher:signin_success")
        left = [] if old_secret is None else [{"key": KEY, "secret": old_secret}]
        rewrite(server, apps=[{"id": APP_ID, "keys": [new, *left]}])
        await reload(server)
        for client in (member, user):
            assert await client.expect_refusal(4200) == "Authorization is no longer valid"
        async with wire.opened(address) as backend:
            await backend.send(signed.event("private-c"))  # with the old secret
            assert (await backend.answer()).status == 401
        await renewed.expect_alive()


async def test_limits_count_from_the_next_action_on(
    server: RunningServer, address: Address
) -> None:
    """Nobody is closed for a changed limit."""
    async with wire.connected(address, KEY) as client:
        await client.join("c")
        rewrite(server, apps=[app(limits={"subscriptions_per_connection": 1})])
        await reload(server)
        await client.send(wire.subscribe("d"))
        await client.expect("pusher:subscription_error")
        await is_served(address, client)


@pytest.mark.parametrize(
    "broken",
    [
        "this is no TOML",
        "",
        "[server]\nprot = 7\n",
        '[[apps]]\nid = "3"\n',
        '[[apps]]\nid = "3"\nkey = "a"\nsecret = "b"\n[[apps]]\nid = "3"\nkey = "c"\nsecret = "d"\n',
        None,
    ],
    ids=["no TOML", "empty", "misspelt", "no key", "twice", "file gone"],
)
async def test_a_broken_file_keeps_everything_and_says_one_line(
    server: RunningServer, address: Address, broken: str | None
) -> None:
    """The operator sees what is wrong; clients see nothing."""
    async with wire.connected(address, KEY) as client:
        await client.join("c")
        if broken is None:
            server.write_config().unlink()
        else:
            write_text(server, broken)
        said = await reload(server, rejected=True)
        assert said.count("\n") == 1, said
        assert "the old settings stay" in said
        await is_served(address, client)
        async with wire.connected(address, KEY) as another:
            await another.expect_alive()
        rewrite(server, apps=[app(), OTHER])
        await reload(server)
        async with wire.connected(address, "other-key"):
            await is_served(address, client)


async def test_other_changes_are_said_to_need_a_restart(
    server: RunningServer, address: Address
) -> None:
    """They are not half applied."""
    rewrite(server, http={"json_errors": True})
    said = await reload(server)
    assert "[http] has changed; this needs a restart" in said
    async with wire.opened(address) as client:
        assert (await client.ask("/nowhere")).headers["content-type"].startswith("text/plain")


async def is_known(address: Address, key: str) -> bool:
    """Whether clients with this key are let in."""
    try:
        async with wire.connected(address, key):
            return True
    except AssertionError:  # the error event came instead
        return False


async def test_many_signals_at_once(server: RunningServer, address: Address) -> None:
    """They are taken one after the other, whatever the state of the file."""
    async with wire.connected(address, KEY) as client:
        for number in range(20):
            rewrite(server, apps=[app(), OTHER] if number % 2 else [app()])
            os.kill(server.pid, signal.SIGHUP)
        await asyncio.sleep(0)
        rewrite(server, apps=[app(), OTHER])
        await reload(server)
        # What was waited for may have been the first one's line.
        await eventually(lambda: is_known(address, "other-key"), 10.0)
        await client.expect_alive()
