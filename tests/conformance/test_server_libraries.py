"""Row H12 for PHP, Laravel and Ruby, row H13: requests replayed byte for byte.

Those libraries are not installed here, so each request is written as their HTTP client sends it:
header set and order, JSON escaping, `channel` or `channels`, order and encoding of the query.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conformance.api import exchange
from tests.conformance.client import connected, unique
from tests.conformance.target import PREFIX, Credentials, Target
from tests.support.signing import body_md5, request_signature


def php_json(value: Any) -> str:
    r"""What PHP's json_encode writes: no spaces, `\/`, `\u` escapes, an empty array for nothing."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


@dataclass
class PhpLibrary:
    """pusher-http-php 7.2 over Guzzle, as Laravel's broadcaster configures it.

    `request_path_prefix` stands in the request line only: the library signs the bare path.
    """

    target: Target
    app: Credentials
    request_path_prefix: str = ""
    headers: str = field(
        default="X-Pusher-Library: pusher-http-php 7.2.6\r\n"
        "User-Agent: GuzzleHttp/7\r\nContent-Type: application/json\r\n"
    )

    def query(self, method: str, path: str, body: str | None, parameters: str = "") -> str:
        """auth_*, body_md5 and parameters, in the order of http_build_query."""
        query = f"auth_key={self.app.key}&auth_timestamp={int(time.time())}&auth_version=1.0"
        if body is not None:
            query += f"&body_md5={body_md5(body.encode())}"
        if parameters:
            query += f"&{parameters}"
        return f"{query}&auth_signature={request_signature(self.app.secret, method, path, query)}"

    async def send(
        self, method: str, path: str, body: str | None = None, parameters: str = ""
    ) -> dict[str, Any]:
        """One request; the library throws unless the answer is exactly 200 with a JSON object."""
        path = f"/apps/{self.app.app_id}{path}"
        query = self.query(method, path, body, parameters)
        line = f"{method} {self.request_path_prefix}{path}?{query}"
        length = f"Content-Length: {len(body.encode())}\r\n" if body is not None else ""
        head = f"{line} HTTP/1.1\r\n{length}{self.headers}Host: {self.target.host}\r\n\r\n"
        status, content = await exchange(self.target, (head + (body or "")).encode())
        assert status == 200, content
        answer = json.loads(content)
        assert isinstance(answer, dict)
        return answer

    async def trigger(
        self, channels: list[str], event: str, data: Any, extra: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """trigger(): `channel` for exactly one name, `channels` otherwise; data encoded inside."""
        post: dict[str, Any] = {"name": event, "data": php_json(data)}
        if len(channels) == 1:
            post["channel"] = channels[0]
        else:
            post["channels"] = channels
        return await self.send("POST", "/events", php_json(post | (extra or {})))


@pytest.fixture
def php(target: Target) -> PhpLibrary:
    return PhpLibrary(target, target.main)


async def test_H12_php_trigger_as_laravel_does(target: Target, php: PhpLibrary) -> None:
    r"""PHP trigger of a Laravel event: class name, channel, socket_id, \/ and \u inside data."""
    channel = f"private-{unique('orders.')}"
    async with connected(target) as author, connected(target) as other:
        await author.subscribe(channel)
        await other.subscribe(channel)
        payload = {"url": "a/b", "name": "Zoë 世界", "list": []}
        event = "App\\Events\\OrderShipped"
        answer = await php.trigger([channel], event, payload, {"socket_id": author.socket_id})
        assert "channels" not in answer
        frame = await other.expect(event, channel)
        assert frame.data == r'{"url":"a\/b","name":"Zo\u00eb \u4e16\u754c","list":[]}'
        await author.expect_nothing()


async def test_H12_php_trigger_to_many_with_info(target: Target, php: PhpLibrary) -> None:
    """PHP trigger to several channels with info, and an empty payload as data "[]"."""
    one, other = unique("a"), unique("presence-")
    async with connected(target) as client:
        await client.subscribe(one)
        await client.join(other, "u")
        answer = await php.trigger([one, other], "e", [], {"info": "subscription_count,user_count"})
        assert answer["channels"][one] == {"subscription_count": 1}
        assert answer["channels"][other] == {"subscription_count": 1, "user_count": 1}
        assert (await client.expect("e", one)).data == "[]"


async def test_H12_php_trigger_batch(target: Target, php: PhpLibrary) -> None:
    """PHP triggerBatch with a socket_id in one item and info in another."""
    channel = unique("batch")
    async with connected(target) as client:
        await client.subscribe(channel)
        batch = [
            {
                "channel": channel,
                "name": "e1",
                "data": php_json({"x": 1}),
                "info": "subscription_count",
            },
            {
                "channel": channel,
                "name": "e2",
                "data": php_json("s"),
                "socket_id": client.socket_id,
            },
            {"channel": channel, "name": "e3", "data": php_json("s")},
        ]
        answer = await php.send("POST", "/batch_events", php_json({"batch": batch}))
        assert answer == {"batch": [{"subscription_count": 1}, {}, {}]}
        assert (await client.expect("e1", channel)).data == '{"x":1}'
        assert (await client.expect("e3", channel)).data == '"s"'


async def test_H12_php_queries(target: Target, php: PhpLibrary) -> None:
    """PHP getChannels, getChannelInfo, getPresenceUsers: GET with a Content-Type, info with %2C."""
    channel = unique("presence-")
    async with connected(target) as client:
        await client.join(channel, "u")
        info = "info=user_count%2Csubscription_count"
        single = await php.send("GET", f"/channels/{channel}", None, info)
        assert single == {"occupied": True, "user_count": 1, "subscription_count": 1}
        listed = await php.send(
            "GET", "/channels", None, f"filter_by_prefix={channel}&info=user_count"
        )
        assert listed == {"channels": {channel: {"user_count": 1}}}
        users = await php.send("GET", f"/channels/{channel}/users")
        assert users == {"users": [{"id": "u"}]}


async def test_H12_php_user_calls(target: Target, php: PhpLibrary) -> None:
    """PHP sendToUser and terminateUserConnections (body {})."""
    user = unique("u")
    async with connected(target) as client:
        await client.sign_in(user)
        await php.trigger([f"#server-to-user-{user}"], "hello", {"x": 1})
        assert (await client.expect("hello", f"#server-to-user-{user}")).data == '{"x":1}'
        await php.send("POST", f"/users/{user}/terminate_connections", "{}")
        await client.expect_error(4009)


async def test_H12_ruby_trigger_and_queries(target: Target) -> None:
    """Ruby: channels as a list, JSON with raw UTF-8, and its query sorted by key."""
    app, channel = target.main, unique("ruby")
    body = f'{{"name":"e","channels":["{channel}"],"data":"{{\\"name\\":\\"Zoë\\"}}"}}'
    headers = (
        "X-Pusher-Library: pusher-http-ruby 2.0.3\r\nContent-Type: application/json\r\n"
        "Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\nAccept: */*\r\n"
        "User-Agent: HTTPClient/1.0 (2.9.0, ruby 3.3.0)\r\n"
    )
    async with connected(target) as client:
        await client.subscribe(channel)
        for method, path, content, extra in (
            ("POST", "/events", body, ""),
            ("GET", "/channels", None, "filter_by_prefix=ruby"),
        ):
            full = f"/apps/{app.app_id}{path}"
            query = f"auth_key={app.key}&auth_timestamp={int(time.time())}&auth_version=1.0"
            query += f"&body_md5={body_md5(content.encode())}" if content else f"&{extra}"
            signature = request_signature(app.secret, method, full, query)
            parts = sorted([*query.split("&"), f"auth_signature={signature}"])
            length = f"Content-Length: {len(content.encode())}\r\n" if content else ""
            head = f"{method} {full}?{'&'.join(parts)} HTTP/1.1\r\n{headers}{length}Host: x\r\n\r\n"
            status, answer = await exchange(target, (head + (content or "")).encode())
            assert status == 200, answer
        assert (await client.expect("e", channel)).data == '{"name":"Zoë"}'


async def test_H12_ruby_array_parameters(target: Target) -> None:
    """Ruby's repeated k[]= parameters are signed as sent; PHP joins them by commas."""
    target.require_own_config()
    app = target.main
    path = f"/apps/{app.app_id}/channels"
    query = (
        f"auth_key={app.key}&auth_timestamp={int(time.time())}&auth_version=1.0"
        "&x[]=b&x[]=a&filter_by_prefix=nothing"
    )
    for signed in (query, query.replace("x[]=b&x[]=a", "x=b,a")):
        signature = request_signature(app.secret, "GET", path, signed)
        request = f"GET {path}?{query}&auth_signature={signature} HTTP/1.1\r\nHost: x\r\n\r\n"
        status, answer = await exchange(target, request.encode())
        assert status == 200, answer


async def test_H13_websocket_behind_a_prefix(prefixed: Target) -> None:
    """The WebSocket endpoint answers under the path prefix too."""
    async with connected(prefixed) as client:
        await client.subscribe(unique("prefixed"))


@pytest.mark.parametrize("path_option", ["/ws", "/ws/"])
async def test_H13_php_path_option(target: Target, path_option: str) -> None:
    """PHP's path "/ws" loses the prefix in the URL, "/ws/" keeps it; both sign the bare path."""
    target.require_own_config()
    request_prefix = PREFIX if path_option.endswith("/") else ""
    php = PhpLibrary(target, target.main, request_path_prefix=request_prefix)
    channel = unique("presence-")
    async with connected(target) as client:
        await client.join(channel, "u")
        await php.trigger([channel], "e", {"x": 1})
        await client.expect("e", channel)
        assert await php.send("GET", f"/channels/{channel}") == {"occupied": True}
        assert await php.send("GET", f"/channels/{channel}/users") == {"users": [{"id": "u"}]}
        batch = [{"channel": channel, "name": "b", "data": "1"}]
        await php.send("POST", "/batch_events", php_json({"batch": batch}))


@pytest.mark.parametrize("signed_prefix", ["", PREFIX])
async def test_H13_signature_with_or_without_the_prefix(target: Target, signed_prefix: str) -> None:
    """Behind a proxy the signed path may or may not contain the prefix that we see."""
    target.require_own_config()
    app = target.main
    path = f"/apps/{app.app_id}/channels"
    for seen in ("", PREFIX):
        query = f"auth_key={app.key}&auth_timestamp={int(time.time())}&auth_version=1.0"
        query += (
            f"&auth_signature={request_signature(app.secret, 'GET', signed_prefix + path, query)}"
        )
        request = f"GET {seen}{path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n"
        status, answer = await exchange(target, request.encode())
        assert status == 200, (seen, answer)


async def test_H12_trailing_slash_is_no_redirect(target: Target) -> None:
    """POST /apps/ID/events/ works as without the slash, signed as sent."""
    target.require_own_config()
    app, body = target.main, '{"name":"e","channel":"a","data":"x"}'
    path = f"/apps/{app.app_id}/events/"
    query = PhpLibrary(target, app).query("POST", path, body)
    head = f"POST {path}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    status, answer = await exchange(target, (head + body).encode())
    assert (status, json.loads(answer)) == (200, {})
