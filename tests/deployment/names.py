"""A name server as Docker's networks have one: `python -m tests.deployment.names NAME=ADDRESS ...`."""

import socket
import struct
import sys

ADDRESS = ("127.0.0.11", 53)
_A = 1


def answer(query: bytes, names: dict[str, list[str]]) -> bytes:
    """The reply to one question (RFC 1035 §4.1): addresses of version 4, an empty answer, or no such name."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    question = query[12 : at + 5]
    (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
    addresses = names.get(".".join(labels).removesuffix("."))
    given = addresses or [] if kind == _A else []
    flags = 0x8580 if addresses is not None else 0x8583
    head = query[:2] + struct.pack(">HHHHH", flags, 1, len(given), 0, 0)
    rows = [
        struct.pack(">HHHIH", 0xC00C, _A, 1, 1, 4) + socket.inet_aton(address) for address in given
    ]
    return head + question + b"".join(rows)


def main(pairs: list[str]) -> None:
    """Serve for ever. A name may stand in several pairs."""
    names: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, address = pair.partition("=")
        names.setdefault(name, []).append(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(ADDRESS)
        print("serving", flush=True)
        while True:
            query, client = server.recvfrom(4096)
            if len(query) > 16:
                server.sendto(answer(query, names), client)


if __name__ == "__main__":
    main(sys.argv[1:])
