"""The PROXY protocol's headers, byte for byte, and bytes that are none."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.server.proxy_protocol import Origin, length_of, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(
    payload: bytes, *, family: int = 0x11, command: int = 0x21, length: int | None = None
) -> bytes:
    """A header of version 2; a wrong `length` on request."""
    size = len(payload) if length is None else length
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", size) + payload


def addresses(source: str, destination: str, port: int = 4711) -> bytes:
    """Both addresses and their ports."""
    packed = ip_address(source).packed + ip_address(destination).packed
    return packed + struct.pack(">HH", port, 443)


def record(kind: int, value: bytes) -> bytes:
    """One record behind the addresses."""
    return bytes([kind]) + struct.pack(">H", len(value)) + value


V4 = addresses("203.0.113.7", "192.0.2.2")
V6 = addresses("2001:db8::7", "2001:db8::2")
TLS = record(0x20, b"\x01\x00\x00\x00\x00" + record(0x21, b"TLSv1.3"))
PLAIN = record(0x20, b"\x00\x00\x00\x00\x00")

RIGHT = {
    "v1": (b"PROXY TCP4 203.0.113.7 192.0.2.2 4711 443\r\n", Origin("203.0.113.7", 4711)),
    "v1, v6": (b"PROXY TCP6 2001:db8::7 2001:db8::2 1 2\r\n", Origin("2001:db8::7", 1)),
    "v1, unknown": (b"PROXY UNKNOWN\r\n", Origin()),
    "v1, unknown with more": (b"PROXY UNKNOWN ff:: 1 2 anything\r\n", Origin()),
    "v2": (v2(V4), Origin("203.0.113.7", 4711)),
    "v2, v6": (v2(V6, family=0x21), Origin("2001:db8::7", 4711)),
    "v2, by TLS": (v2(V4 + TLS), Origin("203.0.113.7", 4711, True)),
    "v2, by TLS, among others": (
        v2(V4 + record(0x02, b"ws.example.com") + TLS + record(0x04, bytes(7))),
        Origin("203.0.113.7", 4711, True),
    ),
    "v2, not by TLS": (v2(V4 + PLAIN), Origin("203.0.113.7", 4711)),
    "v2, local": (v2(b"", family=0, command=0x20), Origin()),
    "v2, local with addresses": (v2(V4, command=0x20), Origin()),
    "v2, a Unix socket": (v2(bytes(216), family=0x31), Origin()),
    "v2, unspecified": (v2(b"", family=0), Origin()),
}


@pytest.mark.parametrize(("header", "origin"), RIGHT.values(), ids=RIGHT.keys())
def test_a_header_says_whose_connection_it_is(header: bytes, origin: Origin) -> None:
    assert length_of(header + b"GET / HTTP/1.1\r\n") == len(header)
    assert parse(header) == origin


@pytest.mark.parametrize("header", [header for header, _ in RIGHT.values()], ids=RIGHT.keys())
def test_a_part_of_a_header_is_no_error(header: bytes) -> None:
    """Its length is unknown, or right."""
    for size in range(len(header)):
        assert length_of(header[:size]) in (None, len(header))


WRONG = {
    "no header": b"GET / HTTP/1.1\r\n",
    "TLS": b"\x16\x03\x01",
    "another word": b"PROXX TCP4",
    "a line that does not end": b"PROXY TCP4 " + b"1" * 96,
    "v1, version 5": b"PROXY TCP5 203.0.113.7 192.0.2.2 1 2\r\n",
    "v1, the wrong family": b"PROXY TCP6 203.0.113.7 192.0.2.2 1 2\r\n",
    "v1, no address": b"PROXY TCP4 203.0.113 192.0.2.2 1 2\r\n",
    "v1, no address at all": b"PROXY TCP4\r\n",
    "v1, a port too large": b"PROXY TCP4 203.0.113.7 192.0.2.2 65536 2\r\n",
    "v1, more": b"PROXY TCP4 203.0.113.7 192.0.2.2 1 2 3\r\n",
    "v1, two blanks": b"PROXY TCP4  203.0.113.7 192.0.2.2 1 2\r\n",
    "v2, version 1": v2(V4, command=0x11),
    "v2, command 2": v2(V4, command=0x22),
    "v2, addresses cut": v2(V4[:11]),
    "v2, v6 with v4's length": v2(V4, family=0x21),
    "v2, a record cut": v2(V4 + b"\x20\x00"),
    "v2, a record's value cut": v2(V4 + b"\x20\x00\x09\x01"),
    "v2, too long": v2(b"", length=4_081),
}


@pytest.mark.parametrize("header", WRONG.values(), ids=WRONG.keys())
def test_what_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        assert length_of(header) is None or parse(header) is None


@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]),
    st.binary(),
)
def test_any_bytes_are_a_header_or_refused(opening: bytes, rest: bytes) -> None:
    """Nothing but ValueError, and never a length beyond the bound."""
    data = opening + rest
    try:
        length = length_of(data)
    except ValueError:
        return
    assert length is None or 8 <= length <= 4_096  # `PROXY ` and the end of its line
    if length is not None and length <= len(data):
        try:
            origin = parse(data[:length])
        except ValueError:
            return
        assert origin.address is None or str(ip_address(origin.address)) == origin.address
