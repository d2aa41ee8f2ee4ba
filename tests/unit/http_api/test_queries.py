"""Questions about channels, users and connections."""

from urllib.parse import unquote_to_bytes

import pytest

from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import Action
from tests.support.signing import sign
from tests.unit.http_api.backend import KEY, NOW, SECRET, Backend, app_with


async def occupied() -> Backend:
    """Two presence channels, a cache channel and a public one."""
    backend = Backend(app_with(cache_ttl=60))
    await backend.occupy("a")
    await backend.occupy("presence-b", '{"user_id":"1","user_info":{"n":1.0}}', times=2)
    await backend.occupy("presence-b", '{"user_id":"2"}')
    await backend.occupy("presence-c", '{"user_id":"é","user_info":true}')
    await backend.occupy("cache-x", times=2)
    backend.fixture.publish("cache-x", data='{"x":1.0}')
    backend.fixture.clock.advance(0.8)
    return backend


async def test_h8_nothing_occupied() -> None:
    """H8: an object, or PHP dies (trap 56)."""
    response = await Backend().get("/channels")
    assert (response.status_code, response.content) == (200, b'{"channels":{}}')


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"a": {}, "presence-b": {}, "presence-c": {}, "cache-x": {}}),
        ("filter_by_prefix=a", {"a": {}}),
        ("filter_by_prefix=", {"a": {}, "presence-b": {}, "presence-c": {}, "cache-x": {}}),
        (
            "filter_by_prefix=presence-&info=user_count",
            {"presence-b": {"user_count": 2}, "presence-c": {"user_count": 1}},
        ),
        (
            "filter_by_prefix=presence-b&info=subscription_count,user_count",
            {"presence-b": {"user_count": 2, "subscription_count": 3}},
        ),
        (
            "filter_by_prefix=presence-b&info[]=subscription_count&info[]=user_count",
            {"presence-b": {"user_count": 2, "subscription_count": 3}},
        ),
        (
            "filter_by_prefix=cache-&info=subscription_count,cache",
            {"cache-x": {"subscription_count": 2}},
        ),
        ("filter_by_prefix=a&info=nonsense", {"a": {}}),
    ],
)
async def test_channels(query: str, found: dict[str, dict[str, int]]) -> None:
    """Occupied channels, with what was asked."""
    response = await (await occupied()).get("/channels", query)
    assert (response.status_code, response.json()) == (200, {"channels": found})


@pytest.mark.parametrize("respelled", ["filter_by_prefix[]=", "filter_by_prefix%5B0%5D="])
async def test_a_filter_holds_however_it_is_spelled(respelled: str) -> None:
    """The signature is the same for all of them, so the answer is too."""
    backend = await occupied()
    url = backend.signed("GET", "/apps/3/channels", b"", "filter_by_prefix=presence-b")
    assert "filter_by_prefix=" in url
    response = await backend.send("GET", url.replace("filter_by_prefix=", respelled))
    assert (response.status_code, response.json()) == (200, {"channels": {"presence-b": {}}})


@pytest.mark.parametrize("prefix", ["", "&filter_by_prefix=", "&filter_by_prefix=presence"])
async def test_h9_user_count_without_presence_prefix(prefix: str) -> None:
    """H9: 400 with Pusher's text."""
    response = await (await occupied()).get("/channels", "info=user_count" + prefix)
    assert response.status_code == 400
    assert response.text == (
        "user_count may only be requested for presence channels - "
        "please supply filter_by_prefix begining with presence-\n"
    )


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        ("a", "", b'{"occupied":true}'),
        ("vacant", "", b'{"occupied":false}'),
        ("a", "info=subscription_count", b'{"occupied":true,"subscription_count":1}'),
        ("vacant", "info=subscription_count", b'{"occupied":false,"subscription_count":0}'),
        (
            "presence-b",
            "info=subscription_count,user_count",
            b'{"occupied":true,"user_count":2,"subscription_count":3}',
        ),
        ("presence-v", "info=user_count", b'{"occupied":false,"user_count":0}'),
        ("cache-x", "info=cache", rb'{"occupied":true,"cache":{"data":"{\"x\":1.0}","ttl":60}}'),
        ("cache-y", "info=cache", b'{"occupied":false,"cache":null}'),
        ("a", "info=nonsense", b'{"occupied":true}'),
        ("presence-a%3Db%2Cc%3Bd%40e.f", "", b'{"occupied":false}'),
    ],
)
async def test_channel(path: str, query: str, found: bytes) -> None:
    """A vacant channel is 200 and not 404 (trap 57)."""
    response = await (await occupied()).get(f"/channels/{path}", query)
    assert (response.status_code, response.content) == (200, found)


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        (
            "a",
            "info=user_count",
            "Cannot retrieve the user count unless the channel is a presence channel\n",
        ),
        ("a", "info=cache", "Cannot retrieve the cache unless the channel is a cache channel\n"),
        ("a%20b", "", "Invalid channel name: 'a b'\n"),
        ("%FF", "", "The path is not UTF-8\n"),
    ],
)
async def test_bad_questions_about_a_channel(path: str, query: str, text: str) -> None:
    """400 with a text that says what is wrong."""
    response = await (await occupied()).get(f"/channels/{path}", query)
    assert (response.status_code, response.text) == (400, text)


async def test_h10_users_of_presence_channels_only() -> None:
    """H10: 400 for another kind; a vacant channel has an empty list."""
    backend = await occupied()
    response = await backend.get("/channels/private-a/users")
    text = "Users can only be retrieved for presence channels\n"
    assert (response.status_code, response.text) == (400, text)
    response = await backend.get("/channels/presence-v/users")
    assert (response.status_code, response.content) == (200, b'{"users":[]}')


async def test_users() -> None:
    """Ids are strings; info is given when asked for, as the backend wrote it."""
    backend = await occupied()
    response = await backend.get("/channels/presence-b/users")
    assert response.content == b'{"users":[{"id":"1"},{"id":"2"}]}'
    response = await backend.get("/channels/presence-b/users", "with_user_info=1")
    assert response.content == b'{"users":[{"id":"1","user_info":{"n":1.0}},{"id":"2"}]}'


async def test_stats() -> None:
    """The deprecated route."""
    backend = await occupied()
    found = (await backend.get("/channels/presence-b/stats")).json()
    assert found == {"occupied": True, "connection_count": 3, "user_count": 2}
    found = (await backend.get("/channels/v/stats")).json()
    assert found == {"occupied": False, "connection_count": 0}


async def test_connections() -> None:
    """As Reverb; Laravel Pulse reads it."""
    backend = Backend()
    for _ in range(42):
        backend.fixture.connect()
    assert (await backend.get("/connections")).json() == {"connections": 42}


@pytest.mark.parametrize("body", [b"{}", b"", b"not json"])
async def test_terminate(body: bytes) -> None:
    """The user id is percent-decoded; the body does not matter."""
    backend = Backend()
    users = {name: await backend.fixture.user(name) for name in ("a é", "a")}
    response = await backend.post("/users/a%20%C3%A9/terminate_connections", body)
    assert (response.status_code, response.content) == (200, b"{}")
    assert backend.terminated == [("3", "a é")]
    assert [name for name, user in users.items() if user.closed] == ["a é"]


async def test_terminate_without_app() -> None:
    """Python's library leaves out the app; its key says which one."""
    backend = Backend()
    url = backend.signed("POST", "/users/7/terminate_connections", b"{}")
    assert (await backend.send("POST", url, content=b"{}")).status_code == 200
    assert backend.terminated == [("3", "7")]
    response = await backend.send("POST", url.replace("auth_key=2", "auth_key=3"), content=b"{}")
    assert (response.status_code, response.text) == (401, "Unknown auth_key\n")


@pytest.mark.parametrize("query", ["filter_by_prefix=%FF", "info=%FF"])
async def test_parameters_that_are_no_text(query: str) -> None:
    """400 names the parameter. Signed by hand: the signature is over the decoded bytes."""
    backend = Backend()
    standard = f"auth_key={KEY}&auth_timestamp={int(NOW)}&auth_version=1.0"
    text = f"GET\n/apps/3/channels\n{standard}&".encode() + unquote_to_bytes(query)
    url = f"/apps/3/channels?{standard}&{query}&auth_signature={sign(SECRET, text)}"
    response = await backend.send("GET", url)
    name = query.partition("=")[0]
    assert (response.status_code, response.text) == (400, f"The parameter {name} is not UTF-8\n")


PATHS = [
    "/channels",
    "/channels/a",
    "/channels/presence-a/users",
    "/channels/a/stats",
    "/connections",
]


@pytest.mark.parametrize("path", PATHS)
async def test_cluster_away(path: str) -> None:
    """503 and when to ask again."""
    backend = await occupied()
    backend.fixture.lose_cluster()
    response = await backend.get(path)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert str(ClusterUnavailable("the store is away")) not in response.text


@pytest.mark.parametrize("path", PATHS)
async def test_reads_are_rated(path: str) -> None:
    """One each; 429 before anything is asked."""
    backend = await occupied()
    backend.limiter.wait = 0.5
    response = await backend.get(path)
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert backend.limiter.consumed == [(Action.READ, 1)]
