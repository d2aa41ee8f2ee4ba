"""Row H12: the official server libraries of Python (PyPI), Node (npm) and Java (Maven): every call."""

import asyncio
import hashlib
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from nacl.secret import SecretBox

from tests.conformance.client import Client, connected, unique
from tests.conformance.official.app_server import MASTER_KEY, server_library
from tests.conformance.official.driver import driver
from tests.conformance.official.java_library import JavaLibrary, java_library
from tests.conformance.target import Credentials, Target
from tests.support.waiting import equals


class PythonLibrary:
    """PyPI `pusher`, which blocks, behind the verbs that these tests need."""

    def __init__(self, target: Target) -> None:
        self.library = server_library(target)

    async def trigger(self, channels: Any, event: str, data: Any, socket_id: str | None) -> None:
        await asyncio.to_thread(self.library.trigger, channels, event, data, socket_id)

    async def trigger_batch(self, batch: list[dict[str, Any]]) -> None:
        await asyncio.to_thread(self.library.trigger_batch, batch)

    async def channels(self, prefix: str) -> Any:
        return await asyncio.to_thread(self.library.channels_info, prefix, ["user_count"])

    async def channel(self, name: str) -> Any:
        attributes = ["user_count", "subscription_count"]
        return await asyncio.to_thread(self.library.channel_info, name, attributes)

    async def users(self, name: str) -> Any:
        return await asyncio.to_thread(self.library.users_info, name)

    async def send_to_user(self, user: str, event: str, data: Any) -> None:
        await asyncio.to_thread(self.library.send_to_user, user, event, data)

    async def terminate(self, user: str) -> None:
        await asyncio.to_thread(self.library.terminate_user_connections, user)


class NodeLibrary:
    """npm `pusher` in a Node process. A status from 400 on is an exception there."""

    def __init__(self, do: Any) -> None:
        self.do = do

    async def call(self, method: str, *arguments: Any) -> Any:
        answer = await self.do(method, arguments=arguments)
        assert answer["status"] == 200
        return answer["content"]

    async def trigger(self, channels: Any, event: str, data: Any, socket_id: str | None) -> None:
        options = {"socket_id": socket_id} if socket_id else {}
        await self.call("trigger", channels, event, data, options)

    async def trigger_batch(self, batch: list[dict[str, Any]]) -> None:
        await self.call("triggerBatch", batch)

    async def channels(self, prefix: str) -> Any:
        params = {"filter_by_prefix": prefix, "info": "user_count"}
        return await self.call("get", {"path": "/channels", "params": params})

    async def channel(self, name: str) -> Any:
        params = {"info": "user_count,subscription_count"}
        return await self.call("get", {"path": f"/channels/{name}", "params": params})

    async def users(self, name: str) -> Any:
        return await self.call("get", {"path": f"/channels/{name}/users"})

    async def send_to_user(self, user: str, event: str, data: Any) -> None:
        await self.call("sendToUser", user, event, data)

    async def terminate(self, user: str) -> None:
        await self.call("terminateUserConnections", user)


Library = PythonLibrary | NodeLibrary | JavaLibrary


@asynccontextmanager
async def node_library(target: Target) -> AsyncIterator[NodeLibrary]:
    async with driver("pusher_library_node.mjs") as running:
        options = {
            "appId": target.main.app_id,
            "key": target.main.key,
            "secret": target.main.secret,
            "host": target.host,
            "port": str(target.port),
            "useTLS": target.scheme == "https",
            "encryptionMasterKeyBase64": MASTER_KEY,
        }
        await running.do("configure", options=options)
        yield NodeLibrary(running.do)


@pytest.fixture(params=["PyPI", "npm", "Maven"])
async def library(request: pytest.FixtureRequest, target: Target) -> AsyncIterator[Library]:
    """Each library in turn."""
    if request.param == "PyPI":
        yield PythonLibrary(target)
    elif request.param == "Maven":
        async with java_library(target) as java:
            yield java
    else:
        async with node_library(target) as node:
            yield node


async def test_H12_trigger(target: Target, library: Library) -> None:
    """trigger: one channel, several, text and objects, with a socket left out."""
    one, other = unique("a"), unique("private-")
    async with connected(target) as author, connected(target) as reader:
        for client in (author, reader):
            await client.subscribe(one)
            await client.subscribe(other)
        await library.trigger(one, "text", "hi", None)
        await library.trigger([one, other], "object", {"x": "é/😀"}, author.socket_id)
        await library.trigger(one, "last", [], None)
        # Java's writes every value as JSON, texts too.
        text = '"hi"' if isinstance(library, JavaLibrary) else "hi"
        assert (await reader.expect("text", one)).data == text
        objects = [await reader.receive(), await reader.receive()]
        assert {frame.channel for frame in objects} == {one, other}
        assert [frame.content for frame in objects] == [{"x": "é/😀"}] * 2
        assert (await reader.expect("last", one)).content == []
        assert [(await author.receive()).event for _ in range(2)] == ["text", "last"]


async def test_H12_trigger_encrypted(target: Target, library: Library) -> None:
    """trigger on an encrypted channel: the ciphertext arrives and opens with the channel's key."""
    channel = unique("private-encrypted-")
    async with connected(target) as client:
        await client.subscribe(channel)
        await library.trigger(channel, "secret", {"text": "世界"}, None)
        sealed = (await client.expect("secret", channel)).content
        key = hashlib.sha256(channel.encode() + b64decode(MASTER_KEY)).digest()
        opened = SecretBox(key).decrypt(b64decode(sealed["ciphertext"]), b64decode(sealed["nonce"]))
        assert json.loads(opened) == {"text": "世界"}


async def test_H12_trigger_batch(target: Target, library: Library) -> None:
    """triggerBatch: ten events in their order."""
    channel = unique("batch")
    async with connected(target) as client:
        await client.subscribe(channel)
        batch = [{"channel": channel, "name": f"e{n}", "data": {"n": n}} for n in range(10)]
        await library.trigger_batch(batch)
        for n in range(10):
            assert (await client.expect(f"e{n}", channel)).content == {"n": n}


async def test_H12_queries(target: Target, library: Library) -> None:
    """channels, channel and users of a presence channel, whose name needs escaping in a path."""
    channel = unique("presence-a=b,c;d@e.f")
    async with connected(target) as one, connected(target) as other:
        await one.join(channel, "u1")
        await other.join(channel, "u2")
        listed = await library.channels("presence-a")
        assert listed["channels"][channel] == {"user_count": 2}
        counts = {"occupied": True, "user_count": 2, "subscription_count": 2}
        await equals(partial(library.channel, channel), counts)
        assert await library.users(channel) == {"users": [{"id": "u1"}, {"id": "u2"}]}


async def test_H12_send_to_user_and_terminate(target: Target, library: Library) -> None:
    """sendToUser reaches the user, terminateUserConnections ends its connections."""
    user = unique("u")
    async with connected(target) as client:
        await client.sign_in(user)
        await library.send_to_user(user, "hello", {"n": 1})
        assert (await client.expect("hello", f"#server-to-user-{user}")).content == {"n": 1}
        await library.terminate(user)
        await expect_termination(client)


async def expect_termination(client: Client) -> None:
    await client.expect_error(4009)
    assert (await client.expect_close())[0] == 4009


async def test_H12_node_authorizations_are_accepted(target: Target) -> None:
    """What npm `pusher` signs for channels, members and users is let in as it comes."""
    async with driver("pusher_library_node.mjs") as running, connected(target) as client:
        app = target.main
        options = {"appId": app.app_id, "key": app.key, "secret": app.secret, "cluster": "x"}
        options["encryptionMasterKeyBase64"] = MASTER_KEY
        await running.do("configure", options=options)
        for kind in ("private-", "private-encrypted-", "presence-"):
            channel = unique(kind)
            member = [{"user_id": "7", "user_info": {"name": "Zoë"}}] if "presence" in kind else []
            arguments = [client.socket_id, channel, *member]
            answer = await running.do("authorizeChannel", arguments=arguments)
            answer.pop("shared_secret", None)
            await client.send("pusher:subscribe", data={**answer, "channel": channel})
            await client.expect("pusher_internal:subscription_succeeded", channel)
        arguments = [client.socket_id, {"id": unique("u")}]
        answer = await running.do("authenticateUser", arguments=arguments)
        await client.send("pusher:signin", data=answer)
        await client.expect("pusher:signin_success")


async def test_H12_java_authorizations_are_accepted(target: Target) -> None:
    """What pusher-http-java signs for channels and members is let in as it comes; it signs no users."""
    async with java_library(target) as library, connected(target) as client:
        for kind in ("private-", "private-encrypted-", "presence-"):
            channel = unique(kind)
            member = {"user_id": "7", "user_info": {"name": "Zoë"}} if "presence" in kind else {}
            answer = await library.driver.do(
                "authenticate", socket_id=client.socket_id, channel=channel, **member
            )
            answer.pop("shared_secret", None)
            await client.send("pusher:subscribe", data={**answer, "channel": channel})
            success = await client.expect("pusher_internal:subscription_succeeded", channel)
            if member:
                assert success.content["presence"]["hash"] == {"7": {"name": "Zoë"}}


async def test_H12_java_reads_a_refusal(target: Target) -> None:
    """A wrong secret is AUTHENTICATION_ERROR in pusher-http-java."""
    wrong = Credentials(target.main.app_id, target.main.key, "0" * len(target.main.secret))
    async with java_library(target, wrong) as library:
        answer = await library.driver.do("trigger", channels=["a"], event="x", data="")
        assert (answer["status"], answer["http_status"]) == ("AUTHENTICATION_ERROR", 401)
