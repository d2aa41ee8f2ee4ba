"""Who may connect: every refusal of docs/protocol/connection.md#refusal that one request can earn."""

from itertools import count
from time import perf_counter

import pytest

from pusher_server.clients.admission import Admission, origin_allowed
from pusher_server.clients.registry import ClientRegistry
from pusher_server.clients.request import ClientRequest
from pusher_server.protocol.errors import ConnectionRejected
from tests.support.node import KEY, NodeFixture


class AdmissionFixture:
    """A node whose clients are let in or not; no transport is needed for that."""

    def __init__(self, node_fixture: NodeFixture | None = None) -> None:
        self.node_fixture = node_fixture or NodeFixture()
        random = count(1)
        self.admission = Admission(
            self.node_fixture.node,
            self.node_fixture.apps,
            ClientRegistry(0, self.node_fixture.clock),
            lambda limit: next(random),
        )


def refused(
    fixture: AdmissionFixture, target: str = f"/app/{KEY}", *, secure: bool = False, **headers: str
) -> int:
    request = ClientRequest("GET", target, [(n.encode(), v.encode()) for n, v in headers.items()])
    with pytest.raises(ConnectionRejected) as caught:
        fixture.admission.admit(fixture.node_fixture.app, request, secure=secure)
    return caught.value.code


def admitted(
    fixture: AdmissionFixture, target: str = f"/app/{KEY}", *, secure: bool = False, **headers: str
) -> None:
    request = ClientRequest("GET", target, [(n.encode(), v.encode()) for n, v in headers.items()])
    fixture.admission.admit(fixture.node_fixture.app, request, secure=secure)


async def test_the_app_is_found_by_its_key() -> None:
    fixture = AdmissionFixture()
    assert await fixture.admission.app_for(KEY) == fixture.node_fixture.app


async def test_an_unknown_key_is_named_as_far_as_it_fits_a_close_frame() -> None:
    with pytest.raises(ConnectionRejected) as caught:
        await AdmissionFixture().admission.app_for("x" * 500)
    assert caught.value.code == 4001
    assert "x" * 40 in caught.value.message
    assert len(caught.value.message.encode()) <= 123


@pytest.mark.parametrize("version", ["5", "6", "7"])
def test_three_versions_and_none_are_spoken(version: str) -> None:
    admitted(AdmissionFixture(), f"/app/key?protocol={version}")
    admitted(AdmissionFixture(), "/app/key")


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
    assert refused(AdmissionFixture(), f"/app/key?protocol={version}") == code


def test_strict_asks_for_a_version() -> None:
    fixture = AdmissionFixture(NodeFixture(strict=True))
    assert refused(fixture) == 4008
    admitted(fixture, "/app/key?protocol=7")


def test_an_app_may_ask_for_tls() -> None:
    fixture = AdmissionFixture(NodeFixture(tls_only=True))
    assert refused(fixture) == 4000
    admitted(fixture, secure=True)


def test_an_origin_may_be_asked_for() -> None:
    fixture = AdmissionFixture(NodeFixture(allowed_origins=("example.com",)))
    admitted(fixture, origin="https://example.com")
    assert refused(fixture, origin="https://evil.com") == 4009
    assert refused(fixture) == 4009


def test_the_node_has_its_say() -> None:
    assert refused(AdmissionFixture(NodeFixture(enabled=False))) == 4003


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
    fixture = AdmissionFixture()

    def seconds(parameters: int) -> float:
        target = "/app/key?client=x&protocol=7" + "&%41=%41" * parameters
        times = []
        for _ in range(5):
            before = perf_counter()
            admitted(fixture, target)
            times.append(perf_counter() - before)
        return min(times)

    assert seconds(8_000) < 10 * seconds(199)
