"""The host and its ports: wrong names, ports and certificates, each with doctor's sentence."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from tests.edge.doctor_setups import (
    HeadProxy,
    at,
    authorities,
    examined,
    holding,
    http,
    issued,
    self_signed,
    server_side,
    site,
    unsure,
    wrong,
)
from tests.support.inprocess import serving
from tests.support.serving import free_port

AUTHORITY = trustme.CA()


async def test_a_name_without_an_address() -> None:
    results = await examined(at(443, tls=True, host="nowhere.example"))
    assert wrong(results)["name_unknown"].startswith("nowhere.example has no address")
    assert len(wrong(results)) == 1


async def test_a_closed_port() -> None:
    port = free_port()
    sentence = f"127.0.0.1 refuses connections on port {port}: nothing listens there."
    assert wrong(await examined(at(port))) == {"port_refused": sentence}
    assert wrong(await examined(at(port, tls=True))) == {"port_refused": sentence}


async def test_plain_http_where_tls_is_expected(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        port = inside.address.port
        results = await examined(at(port, tls=True))
    assert wrong(results) == {
        "plain_on_tls_port": f"Port {port} of 127.0.0.1 speaks plain HTTP, and the URL wants TLS."
    }


async def test_tls_where_plain_http_is_expected(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        tls = server_side(AUTHORITY.issue_cert("localhost"))
        async with HeadProxy(inside.address.port, tls=tls) as proxy:
            results = await examined(at(proxy.port))
    assert wrong(results) == {
        "tls_on_plain_port": f"Port {proxy.port} of 127.0.0.1 speaks TLS, and the URL wants none."
    }


async def test_nginx_says_that_its_port_wants_tls() -> None:
    page = "<html>400 The plain HTTP request was sent to HTTPS port</html>"
    async with site({"/": http("400 Bad Request", page)}) as port:
        assert list(wrong(await examined(at(port)))) == ["tls_on_plain_port"]


async def test_another_program() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\x1b[31m\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        for tls in (False, True):
            assert list(wrong(await examined(at(port, tls=tls)))) == ["no_http"]


@pytest.mark.parametrize(
    ("tls", "cause", "words"),
    [
        (False, "no_http", "speaks neither HTTP nor TLS"),
        (True, "tls_broken", "fails: no answer within 2 s"),
    ],
)
async def test_a_port_that_is_silent(tls: bool, cause: str, words: str) -> None:
    """Each step gives up, and the checks beside it are there all the same."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        results = await examined(
            at(port, tls=tls), operations=url, auth_url=f"{url}/auth", limit=2.0
        )
    assert set(wrong(results)) == {cause, "operations_silent", "auth_silent"}
    assert words in wrong(results)[cause]
    assert "within 2 s" in wrong(results)["auth_silent"]


CERTIFICATES = {
    "certificate_expired": (-30, -1, ("localhost",), "The certificate of localhost has expired."),
    "certificate_early": (2, 30, ("localhost",), "The certificate of localhost is not valid yet"),
    "certificate_name": (-1, 90, ("other.example",), "that localhost shows is for another name"),
}


@pytest.mark.parametrize("cause", CERTIFICATES)
async def test_a_wrong_certificate(cause: str, tmp_path: Path) -> None:
    """The rest is looked at all the same, and nothing is signed."""
    begins, ends, names, sentence = CERTIFICATES[cause]
    tls = server_side(issued(AUTHORITY, begins, ends, *names))
    async with serving(tmp_path) as inside, HeadProxy(inside.address.port, tls=tls) as proxy:
        target = at(proxy.port, tls=True, host="localhost")
        results = await examined(target, trusted=authorities(AUTHORITY))
    assert list(wrong(results)) == [cause]
    assert sentence in wrong(results)[cause]
    assert "upgrade" in holding(results)
    assert not {"credentials", "publication"} & set(holding(results))


async def test_an_authority_that_nobody_knows(tmp_path: Path) -> None:
    unknown = server_side(trustme.CA().issue_cert("localhost"))
    async with serving(tmp_path) as inside, HeadProxy(inside.address.port, tls=unknown) as proxy:
        results = await examined(at(proxy.port, tls=True, host="localhost"))
    assert list(wrong(results)) == ["certificate_chain"]


@pytest.mark.parametrize("is_complete", [True, False])
async def test_a_chain_with_an_intermediate_certificate(is_complete: bool, tmp_path: Path) -> None:
    """Browsers with the intermediate in their cache are content, phones are not."""
    leaf = AUTHORITY.create_child_ca().issue_cert("localhost")
    leaf.private_key_pem.write_to_path(str(tmp_path / "chain.pem"))
    shown = leaf.cert_chain_pems if is_complete else leaf.cert_chain_pems[:1]
    for pem in shown:
        pem.write_to_path(str(tmp_path / "chain.pem"), append=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "chain.pem")
    async with serving(tmp_path) as inside, HeadProxy(inside.address.port, tls=tls) as proxy:
        target = at(proxy.port, tls=True, host="localhost")
        results = await examined(target, trusted=authorities(AUTHORITY))
    assert list(wrong(results)) == ([] if is_complete else ["certificate_chain"])


async def test_a_self_signed_certificate(tmp_path: Path) -> None:
    own = self_signed(tmp_path)
    async with serving(tmp_path) as inside, HeadProxy(inside.address.port, tls=own) as proxy:
        results = await examined(at(proxy.port, tls=True, host="localhost"))
    assert list(wrong(results)) == ["certificate_self_signed"]


async def test_a_certificate_that_ends_soon(tmp_path: Path) -> None:
    tls = server_side(issued(AUTHORITY, -80, 5))
    async with serving(tmp_path) as inside, HeadProxy(inside.address.port, tls=tls) as proxy:
        target = at(proxy.port, tls=True, host="localhost")
        results = await examined(target, trusted=authorities(AUTHORITY))
    assert wrong(results) == {}
    assert unsure(results) == {"certificate_soon": "The certificate of localhost ends in 4 days."}
