"""The upgrade: RFC 6455's own example, and every reason to refuse."""

from time import perf_counter

import pytest

from pusher_server.clients.request import ClientRequest
from pusher_server.websocket.handshake import HandshakeRefused, accept

# RFC 6455 §1.3
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = (
    (b"host", b"localhost"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
)


def upgrade(
    *extra: tuple[bytes, bytes], method: str = "GET", without: bytes = b""
) -> ClientRequest:
    headers = [*(each for each in GOOD if each[0] != without), *extra]
    return ClientRequest(method, "/app/key?protocol=7", headers)


def test_the_example_of_the_rfc() -> None:
    response = accept(upgrade())
    status, *headers = response.split(b"\r\n")
    assert status == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: " + ACCEPT in headers
    assert {b"Upgrade: websocket", b"Connection: Upgrade"} <= set(headers)
    assert response.endswith(b"\r\n\r\n")
    assert b"Sec-WebSocket-Protocol" not in response


@pytest.mark.parametrize(
    "offers",
    [
        [b"pusher-channels-protocol-7"],
        [b"a, pusher-channels-protocol-7 ,b"],
        [b"a", b"pusher-channels-protocol-7"],
    ],
)
def test_swifts_subprotocol_is_echoed(offers: list[bytes]) -> None:
    response = accept(upgrade(*((b"sec-websocket-protocol", offer) for offer in offers)))
    assert response.count(b"Sec-WebSocket-Protocol: pusher-channels-protocol-7\r\n") == 1
    assert response.endswith(b"\r\n\r\n")


def test_of_other_subprotocols_none_is_selected() -> None:
    response = accept(upgrade((b"sec-websocket-protocol", b"graphql-ws")))
    assert b"Sec-WebSocket-Protocol" not in response


def refused(request: ClientRequest) -> bytes:
    with pytest.raises(HandshakeRefused) as caught:
        accept(request)
    response = caught.value.response
    assert response.startswith(b"HTTP/1.1 4")
    return response.split(b" ")[1]


def test_only_get_upgrades() -> None:
    assert refused(upgrade(method="POST")) == b"405"


@pytest.mark.parametrize("version", [b"8", b"", b"13, 8", b"x"])
def test_another_version_is_told_which_one_we_speak(version: bytes) -> None:
    request = upgrade((b"sec-websocket-version", version), without=b"sec-websocket-version")
    assert refused(request) in (b"400", b"426")


@pytest.mark.parametrize("without", [b"sec-websocket-key", b"sec-websocket-version"])
def test_both_headers_must_be_there(without: bytes) -> None:
    assert refused(upgrade(without=without)) in (b"400", b"426")


@pytest.mark.parametrize(
    "key", [b"", b"short", b"dGhlIHNhbXBsZSBub25jZQ", b"\xff" * 24, b"!" * 24, KEY + b"AAAA"]
)
def test_a_key_is_sixteen_bytes_in_base64(key: bytes) -> None:
    assert refused(upgrade((b"sec-websocket-key", key), without=b"sec-websocket-key")) == b"400"


def test_a_header_is_found_by_its_name() -> None:
    request = upgrade((b"origin", b"http://\xe9"), (b"origin", b"second"))
    assert request.header(b"origin") == "http://é"
    assert request.header(b"x") is None


def test_a_refusal_does_not_look_at_endless_headers() -> None:
    """The library explains a refusal, and reads lists for it."""

    def seconds(elements: int) -> float:
        wrong = upgrade((b"connection", b"upgrade," * elements), without=b"sec-websocket-key")
        times = []
        for _ in range(5):
            before = perf_counter()
            with pytest.raises(HandshakeRefused):
                accept(wrong)
            times.append(perf_counter() - before)
        return min(times)

    assert seconds(8_000) < 5 * seconds(120)
