"""Who may connect: every refusal of docs/protocol/connection.md#refusal that one request can earn."""

from time import perf_counter

import pytest

from pusher_server.protocol.errors import ConnectionRejected
from pusher_server.websocket.edge import origin_allowed
from pusher_server.websocket.handshake import Upgrade
from tests.support.node import KEY, NodeFixture
from tests.unit.websocket.edge_fixture import EdgeFixture


def refused(
    fixture: EdgeFixture, target: str = f"/app/{KEY}", *, secure: bool = False, **headers: str
) -> int:
    upgrade = Upgrade("GET", target, [(n.encode(), v.encode()) for n, v in headers.items()])
    with pytest.raises(ConnectionRejected) as caught:
        fixture.edge.admit(fixture.node_fixture.app, upgrade, secure=secure)
    return caught.value.code


def admitted(
    fixture: EdgeFixture, target: str = f"/app/{KEY}", *, secure: bool = False, **headers: str
) -> None:
    upgrade = Upgrade("GET", target, [(n.encode(), v.encode()) for n, v in headers.items()])
    fixture.edge.admit(fixture.node_fixture.app, upgrade, secure=secure)


@pytest.mark.parametrize(
    "target",
    ["/app/key", "/app/key/", "/app/key?protocol=7&client=js", "/ws/app/key", "/app/k%65y"],
)
def test_the_key_is_the_last_part_of_the_path(target: str) -> None:
    assert EdgeFixture().edge.key_of(Upgrade("GET", target, [])) == "key"


@pytest.mark.parametrize(
    "target",
    ["/", "", "/app", "/app/", "/apps/key", "/x/app/key", "/app/a/b", "//app/key", "//[", "*"],
)
def test_other_paths_are_not_found(target: str) -> None:
    with pytest.raises(ConnectionRejected) as caught:
        EdgeFixture().edge.key_of(Upgrade("GET", target, []))
    assert (caught.value.code, caught.value.message) == (4005, "Path not found")


async def test_the_app_is_found_by_its_key() -> None:
    fixture = EdgeFixture()
    assert await fixture.edge.app_for(KEY) == fixture.node_fixture.app


async def test_an_unknown_key_is_named_as_far_as_it_fits_a_close_frame() -> None:
    with pytest.raises(ConnectionRejected) as caught:
        await EdgeFixture().edge.app_for("x" * 500)
    assert caught.value.code == 4001
    assert "x" * 40 in caught.value.message
    assert len(caught.value.message.encode()) <= 123


@pytest.mark.parametrize("version", ["5", "6", "7"])
def test_three_versions_and_none_are_spoken(version: str) -> None:
    admitted(EdgeFixture(), f"/app/key?protocol={version}")
    admitted(EdgeFixture(), "/app/key")


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("4", 4007),
        ("8", 4007),
        ("99", 4007),
        ("-1", 4007),
        ("abc", 4006),
        ("7.5", 4006),
        ("%C2%B2", 4006),
    ],
)
def test_other_versions_are_refused(version: str, code: int) -> None:
    assert refused(EdgeFixture(), f"/app/key?protocol={version}") == code


def test_strict_asks_for_a_version() -> None:
    fixture = EdgeFixture(NodeFixture(strict=True))
    assert refused(fixture) == 4008
    admitted(fixture, "/app/key?protocol=7")


def test_an_app_may_ask_for_tls() -> None:
    fixture = EdgeFixture(NodeFixture(tls_only=True))
    assert refused(fixture) == 4000
    admitted(fixture, secure=True)


def test_an_origin_may_be_asked_for() -> None:
    fixture = EdgeFixture(NodeFixture(allowed_origins=("example.com",)))
    admitted(fixture, origin="https://example.com")
    assert refused(fixture, origin="https://evil.com") == 4009
    assert refused(fixture) == 4009


def test_the_node_has_its_say() -> None:
    assert refused(EdgeFixture(NodeFixture(enabled=False))) == 4003


async def test_a_process_takes_so_many_connections_and_no_more() -> None:
    fixture = EdgeFixture(max_connections=2)
    first = await fixture.client().established()
    await fixture.client().established()
    third = fixture.client()
    assert await third.told() == [(4100, "Over capacity"), ("close", 4100)]
    third.lose()
    first.lose()
    await fixture.client().established()


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        ((), None, True),
        (("*",), None, True),
        (("*", "example.com"), "https://evil.com", True),
        (("example.com",), "https://example.com", True),
        (("example.com",), "http://example.com:8080", True),
        (("Example.COM",), "https://EXAMPLE.com", True),
        (("example.com",), "https://www.example.com", False),
        (("example.com",), "https://example.com.evil.com", False),
        (("*.example.com",), "https://a.b.example.com", True),
        (("*.example.com",), "https://example.com", False),
        (("*.example.com",), "https://evil.com/.example.com", False),
        (("a", "b"), "http://b", True),
        (("example.com",), None, False),
        (("example.com",), "null", False),
        (("example.com",), "", False),
        (("example.com",), "https://[", False),
        (("127.0.0.1",), "http://127.0.0.1:3000", True),
    ],
)
def test_origins_are_hosts_or_globs(
    allowed: tuple[str, ...], origin: str | None, expected: bool
) -> None:
    assert origin_allowed(allowed, origin) is expected


def test_a_long_query_takes_no_longer_than_a_short_one_of_many_parameters() -> None:
    """What a head may have of parameters took 50 ms, for every connect."""
    fixture = EdgeFixture()

    def seconds(parameters: int) -> float:
        target = "/app/key?client=x&protocol=7" + "&%41=%41" * parameters
        times = []
        for _ in range(5):
            before = perf_counter()
            admitted(fixture, target)
            times.append(perf_counter() - before)
        return min(times)

    assert seconds(8_000) < 10 * seconds(199)
